#!/usr/bin/env bash
# XLA's GPU compiler pads the channels of convolutions for tensor cores in float16, to multiples of
# 8, and in int8, to 32, but not in bfloat16 or float32: 35 to 67 channels stay as they are. An int8
# convolution so has 2.6 times the MACs (64 and 96 channels), and each padded one has a copy of
# its input before it, of its kernel, and of its result after it.
#
# Seen with jax, jaxlib and jax-cuda12-plugin 0.10.2, Python 3.11, Linux x86-64, 2026-11-30, compiled
# for an H100 ahead of time without a GPU:
#   jax 0.10.2, 3 x 3, 35 to 67 channels on an H100: bfloat16 35 to 67, float16 40 to 72,
#     int8 64 to 96, float32 35 to 67
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'jax==0.10.2' 'jaxlib==0.10.2' 'jax-cuda12-plugin==0.10.2' 'jax-cuda12-pjrt==0.10.2' \
  'nvidia-cuda-nvcc-cu12==12.9.86' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=2 "$folder/venv/bin/python" - <<'PYTHON' 2>errors || { cat errors >&2; exit 1; }
import re
import sys

import jax
import jax.numpy as jnp
from jax.experimental import topologies

# What the compiler must know of an H100 SXM: CUDA C++ Programming Guide, H100 whitepaper.
H100 = """gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  registers_per_core_limit: 65536 registers_per_block_limit: 65536 clock_rate_ghz: 1.98
  memory_bandwidth: 3350000000000 device_memory_size: 80000000000 l2_cache_size: 52428800
  cuda_compute_capability { major: 9 minor: 0 } name: "H100"
  driver_version: "13.0.0" runtime_version: "12.8.0"
  compile_time_toolkit_version: "12.8.0" dnn_version: "9.10.0"
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 12 minor: 8 } device_description_str: "H100"
"""
described = topologies.get_topology_desc("h100", "cuda", target_config=H100, topology="1x1x1")
on_it = jax.sharding.SingleDeviceSharding(described.devices[0])

def convolve(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


seen = {}
for dtype in ("bfloat16", "float16", "int8", "float32"):
    shapes = (8, 28, 28, 35), (3, 3, 35, 67)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.dtype(dtype), sharding=on_it) for shape in shapes]
    text = jax.jit(convolve).trace(*arrays).lower().compile().as_text()
    # The call returns its result, in the layout that it has on this GPU, and some workspace.
    (call,) = [line for line in text.splitlines() if "__cudnn$conv" in line]
    result, operands = call.split(" custom-call(")
    known = dict(re.findall(r"(%\S+) = \w+\[([\d,]+)\]", text))
    first, second = (known[name].split(",") for name in re.findall(r"%[\w.-]+", operands)[:2])
    inputs = next(int(size) for size in first[::-1] if size not in ("8", "28"))
    outputs = next(int(size) for size in re.findall(r"\d+", result.split("= ")[1])[1:]
                   if size not in ("8", "28", "16", "32"))
    seen[dtype] = inputs, outputs
print(
    f"jax {jax.__version__}, 3 x 3, 35 to 67 channels on an H100:",
    ", ".join(f"{dtype} {inputs} to {outputs}" for dtype, (inputs, outputs) in seen.items()),
)
expected = {"bfloat16": (35, 67), "float16": (40, 72), "int8": (64, 96), "float32": (35, 67)}
sys.exit(seen != expected)
PYTHON
