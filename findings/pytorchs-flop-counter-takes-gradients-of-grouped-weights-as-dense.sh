#!/usr/bin/env bash
# The gradient of a convolution's weights takes as many FLOPs as the convolution, whatever its
# groups: each output channel meets the input channels of its own group. PyTorch's
# `FlopCounterMode` counts it as if there were no groups, so that the backward pass of a depthwise
# convolution of 32 channels has 33 times the FLOPs of the forward one, and not twice.
#
# Seen with torch 2.13.0 (CPU), Python 3.11, Linux x86-64, 2026-11-30:
#   torch 2.13.0+cpu: 1 groups: 9437184 FLOP forward, 18874368 backward, 2 times as many
#   torch 2.13.0+cpu: 4 groups: 2359296 FLOP forward, 11796480 backward, 5 times as many
#   torch 2.13.0+cpu: 32 groups: 294912 FLOP forward, 9732096 backward, 33 times as many
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

import torch
from torch.utils.flop_counter import FlopCounterMode

channels, extent = 32, 16
same = True
for groups in (1, 4, channels):
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, groups=groups)
    x = torch.zeros(2, channels, extent, extent, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        y = layer(x).sum()
    with FlopCounterMode(display=False) as backward:
        y.backward()
    ratio = backward.get_total_flops() / forward.get_total_flops()
    print(
        f"torch {torch.__version__}: {groups} groups: {forward.get_total_flops()} FLOP forward,"
        f" {backward.get_total_flops()} backward, {ratio:.0f} times as many"
    )
    same &= ratio == 1 + groups
sys.exit(not same)
PYTHON
