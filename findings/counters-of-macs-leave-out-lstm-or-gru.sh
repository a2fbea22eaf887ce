#!/usr/bin/env bash
# Which recurrent layers a counter of MACs knows is another one for each: fvcore counts neither an
# LSTM nor a GRU and names them unsupported, torchprofile an LSTM and no GRU, calflops gives the
# FLOPs of both and 0 MACs.
#
# Seen with torch 2.13.0 (CPU), fvcore 0.1.5, torchprofile 0.1.0, calflops 0.3.2, ptflops 0.7.5,
# Python 3.11, Linux x86-64, 2026-11-30:
#   LSTM: 3145728 MACs by hand; times as many: ptflops 1.02, fvcore 0.00, torchprofile 1.00, calflops, MACs 0.00, calflops, half of its FLOPs 1.01
#   GRU: 2359296 MACs by hand; times as many: ptflops 1.02, fvcore 0.00, torchprofile 0.00, calflops, MACs 0.00, calflops, half of its FLOPs 1.01
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.13.0' 'fvcore==0.1.5.post20221221' 'torchprofile==0.1.0' 'calflops==0.3.2' \
  'transformers==5.24.0' 'ptflops==0.7.5' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import logging
import sys
import warnings

import fvcore.nn
import ptflops
import torch
import torchprofile
from calflops import calculate_flops

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
batch, length, width, hidden = 2, 16, 64, 128
x = torch.zeros(batch, length, width)


class First(torch.nn.Module):
    """A recurrent layer whose states are left aside."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def counts(model):
    flops, macs, _ = calculate_flops(model, args=[x], print_results=False, output_as_string=False)
    return {
        "ptflops": ptflops.get_model_complexity_info(
            model, (length, width), input_constructor=lambda _: {"x": x}, as_strings=False,
            print_per_layer_stat=False, backend="pytorch",
        )[0],
        "fvcore": fvcore.nn.FlopCountAnalysis(model, x).total(),
        "torchprofile": torchprofile.profile_macs(model, x),
        "calflops, MACs": macs,
        "calflops, half of its FLOPs": flops / 2,
    }


nothing = {"LSTM": {"fvcore", "calflops, MACs"}, "GRU": {"fvcore", "calflops, MACs", "torchprofile"}}
same = True
for name, gates in (("LSTM", 4), ("GRU", 3)):
    by_hand = batch * length * gates * hidden * (width + hidden)
    with contextlib.redirect_stdout(io.StringIO()):
        found = counts(First(getattr(torch.nn, name)(width, hidden, batch_first=True)))
    told = ", ".join(f"{tool} {count / by_hand:.2f}" for tool, count in found.items())
    print(f"{name}: {by_hand} MACs by hand; times as many: {told}")
    same &= {tool for tool, count in found.items() if count == 0} == nothing[name]
    same &= all(abs(count / by_hand - 1) < 0.05 for count in found.values() if count)
sys.exit(not same)
PYTHON
