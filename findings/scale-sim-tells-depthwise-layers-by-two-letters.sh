#!/usr/bin/env bash
# SCALE-Sim takes every layer whose name has the letters `DP` in it for a depthwise convolution,
# whatever its columns say, and simulates it channel by channel. A plain convolution that is
# called `UDPNet_conv1` becomes as many layers as it has input channels, each of which is mapped
# to a few of the array's rows; a depthwise one under any other name is a dense one.
#
# Seen with scalesim 3.0.0, Python 3.11, Linux x86-64, 2026-11-30:
#   a convolution of 16 channels called conv1: layers simulated: 1
#   a convolution of 16 channels called UDPNet_conv1: layers simulated: 16
#   a convolution of 16 channels called depthwise1: layers simulated: 1
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'scalesim==3.0.0' 'numpy==1.26.4' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

from scalesim.topology_utils import topologies


def layers(name):
    row = f"{name},34,34,3,3,16,32,1,1:1,"
    Path("layers.csv").write_text(f"Layer,H,W,R,S,C,M,Strides,Sparsity,\n{row}\n")
    topology = topologies()
    topology.load_arrays("layers.csv")
    return topology.get_num_layers()


found = {name: layers(name) for name in ("conv1", "UDPNet_conv1", "depthwise1")}
for name, count in found.items():
    print(f"a convolution of 16 channels called {name}: layers simulated: {count}")
sys.exit(found != {"conv1": 1, "UDPNet_conv1": 16, "depthwise1": 1})
PYTHON
