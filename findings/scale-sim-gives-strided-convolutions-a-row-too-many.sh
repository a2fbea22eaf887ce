#!/usr/bin/env bash
# A convolution has floor((input - kernel) / stride) + 1 positions. SCALE-Sim rounds up: where the
# stride does not divide what is left, as in a 3x3 convolution with stride 2 on an even map padded
# by one, it simulates a row and a column that the layer does not have: 64 outputs in place of 49
# for the last such layer of MobileNet, 1.3 times the work.
#
# Seen with scalesim 3.0.0, Python 3.11, Linux x86-64, 2026-11-30:
#   map 226 x 226, 3x3 by 2: 12544 outputs by hand, SCALE-Sim 12769
#   map 114 x 114, 3x3 by 2: 3136 outputs by hand, SCALE-Sim 3249
#   map 58 x 58, 3x3 by 2: 784 outputs by hand, SCALE-Sim 841
#   map 30 x 30, 3x3 by 2: 196 outputs by hand, SCALE-Sim 225
#   map 16 x 16, 3x3 by 2: 49 outputs by hand, SCALE-Sim 64
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

# The strided 3x3 convolutions of MobileNet: the map with its padding, and its outputs.
layers = {226: 112, 114: 56, 58: 28, 30: 14, 16: 7}
rows = [f"map{extent},{extent},{extent},3,3,1,1,2,1:1," for extent in layers]
Path("layers.csv").write_text("\n".join(["Layer,H,W,R,S,C,M,Strides,Sparsity,", *rows]) + "\n")
topology = topologies()
topology.load_arrays("layers.csv")
same = True
for number, (extent, outputs) in enumerate(layers.items()):
    found = topology.get_layer_num_ofmap_px(number)
    print(f"map {extent} x {extent}, 3x3 by 2: {outputs**2} outputs by hand, SCALE-Sim {found}")
    same &= found == (outputs + 1) ** 2
sys.exit(not same)
PYTHON
