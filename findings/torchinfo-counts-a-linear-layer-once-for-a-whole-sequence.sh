#!/usr/bin/env bash
# torchinfo takes the mult-adds of a linear layer from its weights and the batch alone: of a
# sequence of 16 vectors it counts one. Transformers written with `torch.nn.Linear` have their
# feed-forward layers too low by the length of their sequences, and grow by nothing when these do.
# A step of an LSTM (`LSTMCell`) it multiplies by the width of its state once too often.
#
# Seen with torch 2.13.0 (CPU), torchinfo 1.8.0, Python 3.11, Linux x86-64, 2026-11-30:
#   torchinfo 1.8.0: linear, 1 vectors: 16384 MACs by hand, 16384 mult-adds, 1.0000 times as many
#   torchinfo 1.8.0: linear, 16 vectors: 262144 MACs by hand, 16384 mult-adds, 0.0625 times as many
#   torchinfo 1.8.0: linear, 256 vectors: 4194304 MACs by hand, 16384 mult-adds, 0.0039 times as many
#   torchinfo 1.8.0: LSTMCell: 196608 MACs by hand, 25165824 mult-adds, 128.0000 times as many
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.13.0' 'torchinfo==1.8.0' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import torchinfo

batch, width, made = 2, 64, 128


def told(what, layer, x, by_hand):
    count = torchinfo.summary(layer, input_data=x, verbose=0).total_mult_adds
    print(
        f"torchinfo {torchinfo.__version__}: {what}: {by_hand} MACs by hand, {count} mult-adds,"
        f" {count / by_hand:.4f} times as many"
    )
    return count / by_hand


same = True
linear = torch.nn.Linear(width, made, bias=False)
for length in (1, 16, 256):
    ratio = told(f"linear, {length} vectors", linear, torch.zeros(batch, length, width), batch * length * width * made)
    same &= abs(ratio * length - 1) < 0.01
cell = torch.nn.LSTMCell(width, made, bias=False)
ratio = told("LSTMCell", cell, torch.zeros(batch, width), batch * 4 * made * (width + made))
same &= abs(ratio / made - 1) < 0.05
sys.exit(not same)
PYTHON
