#!/usr/bin/env bash
# PyTorch's `FlopCounterMode` has no formula for the kernels that a CPU takes for scaled dot
# product attention, for an LSTM and for multi-head attention in evaluation: it counts 0 for them,
# without a word. On the device `meta`, where the same layers are taken apart into products, it
# counts all of them.
#
# Seen with torch 2.13.0 (CPU), Python 3.11, Linux x86-64, 2026-11-30:
#   torch 2.13.0+cpu: attention: 131072 FLOP by hand, 0 on a CPU, 131072 on meta
#   torch 2.13.0+cpu: MultiheadAttention, eval: 1179648 FLOP by hand, 0 on a CPU, 1179648 on meta
#   torch 2.13.0+cpu: LSTM: 6291456 FLOP by hand, 0 on a CPU, 6291456 on meta
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from torch.utils.flop_counter import FlopCounterMode

warnings.simplefilter("ignore")
batch, length, width, heads, hidden = 2, 16, 64, 4, 128


def flops(function, *arguments):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function(*arguments)
    return counter.get_total_flops()


products = 4 * batch * length * length * width  # queries by keys, and weights by values
by_hand = {
    "attention": products,
    "MultiheadAttention, eval": products + 8 * batch * length * width * width,
    "LSTM": 8 * batch * length * hidden * (width + hidden),
}
counted = {}
for device in ("cpu", "meta"):
    x = torch.zeros(batch, length, width, device=device)
    q = torch.zeros(batch, heads, length, width // heads, device=device)
    attention = torch.nn.MultiheadAttention(width, heads, batch_first=True, device=device).eval()
    lstm = torch.nn.LSTM(width, hidden, batch_first=True, device=device)
    counted[device] = {
        "attention": flops(torch.nn.functional.scaled_dot_product_attention, q, q, q),
        "MultiheadAttention, eval": flops(lambda x: attention(x, x, x, need_weights=False), x),
        "LSTM": flops(lstm, x),
    }
for what, expected in by_hand.items():
    print(
        f"torch {torch.__version__}: {what}: {expected} FLOP by hand,"
        f" {counted['cpu'][what]} on a CPU, {counted['meta'][what]} on meta"
    )
sys.exit(not (counted["meta"] == by_hand and not any(counted["cpu"].values())))
PYTHON
