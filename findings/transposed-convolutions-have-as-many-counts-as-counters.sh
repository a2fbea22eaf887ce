#!/usr/bin/env bash
# In a transposed convolution each element of the input meets the whole kernel: batch x input
# positions x input channels x output channels of a group x kernel. Counters multiply by the
# positions of the output instead (4 times too many at stride 2), forget the groups too (16 times,
# at 4 groups), or lose a grouped one altogether.
#
# Seen with torch 2.13.0, torchinfo 1.8.0, thop 0.1.1, torchprofile 0.1.0, calflops 0.3.2, fvcore
# 0.1.5, onnx-tool 1.0.1, Python 3.11, Linux x86-64, 2026-11-30:
#   1 groups: 1048576 MACs by hand; times as many: fvcore 1, calflops 1, onnx-tool 2, torchinfo 4, thop 4, torchprofile 4
#   4 groups: 262144 MACs by hand; times as many: fvcore 1, calflops 0, onnx-tool 2, torchinfo 4, thop 4, torchprofile 16
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.13.0' 'torchinfo==1.8.0' 'thop==0.1.1.post2209072238' 'torchprofile==0.1.0' \
  'calflops==0.3.2' 'transformers==5.24.0' 'fvcore==0.1.5.post20221221' 'onnx-tool==1.0.1' \
  'onnx==1.23.2' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import logging
import sys
import warnings

import fvcore.nn
import numpy
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx_tool
import thop
import torch
import torchinfo
import torchprofile
from calflops import calculate_flops

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
batch, taken, made, kernel, extent = 2, 16, 8, 4, 16


def by_onnx_tool(groups):
    shapes = (batch, taken, extent, extent), (batch, made, 2 * extent, 2 * extent)
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in zip("xy", shapes, strict=True)
    )
    weights = numpy.ones((taken, made // groups, kernel, kernel), "float32")
    node = onnx.helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], kernel_shape=[kernel] * 2, pads=[1] * 4,
        strides=[2] * 2, group=groups,
    )
    graph = onnx.helper.make_graph([node], "graph", [x], [y], [onnx.numpy_helper.from_array(weights, "w")])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx_tool.Model(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9))
    model.graph.shape_infer({"x": numpy.zeros(shapes[0], "float32")})
    model.graph.profile()
    return model.graph.macs[0]


def counts(groups):
    layer = torch.nn.ConvTranspose2d(taken, made, kernel, stride=2, padding=1, groups=groups, bias=False)
    x = torch.zeros(batch, taken, extent, extent)
    flops, macs, _ = calculate_flops(
        torch.nn.Sequential(layer), args=[x], print_results=False, output_as_string=False
    )
    return {
        "fvcore": fvcore.nn.FlopCountAnalysis(layer, x).total(),
        "calflops": macs,
        "onnx-tool": by_onnx_tool(groups),
        "torchinfo": torchinfo.summary(layer, input_data=x, verbose=0).total_mult_adds,
        "thop": thop.profile(layer, inputs=(x,), verbose=False)[0],
        "torchprofile": torchprofile.profile_macs(layer, x),
    }


seen = {
    1: {"fvcore": 1, "calflops": 1, "onnx-tool": 2, "torchinfo": 4, "thop": 4, "torchprofile": 4},
    4: {"fvcore": 1, "calflops": 0, "onnx-tool": 2, "torchinfo": 4, "thop": 4, "torchprofile": 16},
}
same = True
for groups, expected in seen.items():
    by_hand = batch * extent**2 * taken * (made // groups) * kernel**2
    with contextlib.redirect_stdout(io.StringIO()):
        found = {name: count / by_hand for name, count in counts(groups).items()}
    told = ", ".join(f"{name} {ratio:g}" for name, ratio in found.items())
    print(f"{groups} groups: {by_hand} MACs by hand; times as many: {told}")
    same &= all(abs(found[name] - ratio) < 0.1 for name, ratio in expected.items())
sys.exit(not same)
PYTHON
