#!/usr/bin/env bash
# The times that `get_profiling_info` of an OpenVINO request gives are averages over all calls
# since the model was compiled, of every request, and not those of the last call: the first, which
# packs weights and makes kernels, stays in them. After two calls the ops add up to several times
# what the second call took.
#
# Seen with openvino 2026.4.1, onnx 1.23.2, Python 3.11, Linux x86-64, 2026-11-30:
#   openvino 2026.4.1: call 1: ops add up to 12256 us, the quickest call takes 466 us
#   openvino 2026.4.1: call 2: ops add up to 6557 us, the quickest call takes 466 us
#   openvino 2026.4.1: call 20: ops add up to 2069 us, the quickest call takes 466 us
#   openvino 2026.4.1: call 200: ops add up to 1392 us, the quickest call takes 466 us
#   a request that was never called: ops add up to 1392 us
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'openvino==2026.4.1' 'onnx==1.23.2' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import numpy
import onnx
import onnx.helper
import onnx.numpy_helper
import openvino

width, layers = 1024, 4
value = onnx.helper.make_tensor_value_info
nodes, weights = [], []
for layer in range(layers):
    weights.append(onnx.numpy_helper.from_array(numpy.full((width, width), 1e-3, "float32"), f"w{layer}"))
    nodes.append(onnx.helper.make_node("MatMul", [f"x{layer}", f"w{layer}"], [f"x{layer + 1}"], name=f"dense{layer}"))
graph = onnx.helper.make_graph(
    nodes, "graph", [value("x0", onnx.TensorProto.FLOAT, (1, width))],
    [value(f"x{layers}", onnx.TensorProto.FLOAT, (1, width))], weights,
)
opset = onnx.helper.make_opsetid("", 17)
model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
options = {"PERF_COUNT": True, "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
compiled = openvino.Core().compile_model(openvino.Core().read_model(model.SerializeToString(), b""), "CPU", options)
x = numpy.ones((1, width), "float32")


def called(request):
    """Call once and return its wall time and the sum over the ops, in microseconds."""
    start = time.perf_counter()
    request.infer({0: x})
    wall = time.perf_counter() - start
    ops = sum(op.real_time.total_seconds() for op in request.get_profiling_info())
    return wall * 1e6, ops * 1e6


request = compiled.create_infer_request()
walls, sums = zip(*(called(request) for _ in range(200)), strict=True)
quickest = min(walls)
for number in (1, 2, 20, 200):
    print(
        f"openvino {openvino.__version__.split('-')[0]}: call {number}: ops add up to"
        f" {sums[number - 1]:.0f} us, the quickest call takes {quickest:.0f} us"
    )
other = compiled.create_infer_request()
fresh = sum(op.real_time.total_seconds() for op in other.get_profiling_info()) * 1e6
print(f"a request that was never called: ops add up to {fresh:.0f} us")
falls = all(later <= earlier for earlier, later in zip(sums[:3], sums[1:4], strict=False))
sys.exit(not (sums[1] > 2 * quickest and sums[0] > 1.5 * sums[1] and falls))
PYTHON
