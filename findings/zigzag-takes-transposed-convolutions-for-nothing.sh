#!/usr/bin/env bash
# ZigZag estimates energy and latency of the ops of an ONNX model that it knows, and gives those
# that it does not know none, without an error: a transposed convolution of half a million MACs
# takes 0 cycles and 0 pJ, and a network's total is too low by all of them.
#
# Seen with zigzag-dse 3.9.1, Python 3.11, Linux x86-64, 2026-11-30:
#   Conv 3x3 of 1179648 MACs: 1832995 pJ, 2864 cycles
#   ConvTranspose 4x4 of 524288 MACs: 0 pJ, 0 cycles
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'zigzag-dse==3.9.1' 'six==1.17.0' 'onnx==1.23.2' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import logging
import sys
from pathlib import Path

import numpy
import onnx
import onnx.helper
import onnx.numpy_helper
import zigzag
from zigzag.api import get_hardware_performance_zigzag

logging.disable(logging.CRITICAL)
inputs = Path(zigzag.__file__).parent / "inputs"


def estimated(kind, made, weights, **attributes):
    value, single = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    node = onnx.helper.make_node(kind, ["x", "w"], ["y"], name="layer", pads=[1] * 4, **attributes)
    graph = onnx.helper.make_graph(
        [node], "graph", [value("x", single, (1, 16, 16, 16))], [value("y", single, made)],
        [onnx.numpy_helper.from_array(numpy.ones(weights, "float32"), "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    return get_hardware_performance_zigzag(
        model, str(inputs / "hardware" / "tpu_like.yaml"), str(inputs / "mapping" / "tpu_like.yaml"),
        opt="latency", dump_folder="out", pickle_filename="out/estimates.pickle", lpf_limit=5,
        nb_spatial_mappings_generated=1, loma_show_progress_bar=False,
    )[:2]


common = {"dilations": [1, 1], "group": 1}
found = {
    "Conv 3x3 of 1179648 MACs": estimated(
        "Conv", (1, 32, 16, 16), (32, 16, 3, 3), kernel_shape=[3, 3], strides=[1, 1], **common
    ),
    "ConvTranspose 4x4 of 524288 MACs": estimated(
        "ConvTranspose", (1, 8, 32, 32), (16, 8, 4, 4), kernel_shape=[4, 4], strides=[2, 2], **common
    ),
}
for what, (energy, cycles) in found.items():
    print(f"{what}: {energy:.0f} pJ, {cycles:.0f} cycles")
known, unknown = found.values()
sys.exit(not (min(known) > 0 and max(unknown) == 0))
PYTHON
