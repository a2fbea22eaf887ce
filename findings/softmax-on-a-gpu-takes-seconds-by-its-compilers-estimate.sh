#!/usr/bin/env bash
# With `xla_gpu_collect_cost_model_stats`, XLA's GPU compiler writes what its cost models expect of
# each kernel into the kernel's backend_config (`reification_cost`, `exec_time_us`), for whoever
# reads the compiled HLO. Of a softmax or norm, which it tiles for Triton, the first estimate, which
# has no name and is the one of all other kernels, is wrong by up to 200,000 times: 2.1 seconds for
# a softmax of 4096 x 1024 on an H100. The second, `indexing-cost-model`, is near what reading and
# writing the array takes (33.6 MB at 3.35 TB/s: 10 us). Nothing runs: it is compiled ahead of time,
# without a GPU.
#
# Seen with jax, jaxlib and jax-cuda12-plugin 0.10.2, Python 3.11, Linux x86-64, 2026-11-29:
#   jax 0.10.2: softmax of 4096 x 1024 on an H100: unnamed 2114830.9 us, indexing-cost-model 10.4 us
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
x = jax.ShapeDtypeStruct((4096, 1024), jnp.float32, sharding=on_it)
options = {"xla_gpu_collect_cost_model_stats": True}
text = jax.jit(jax.nn.softmax).trace(x).lower().compile(compiler_options=options).as_text()
(said,) = re.findall(r'"reification_cost":\[(.*?)\]', text)
times = {
    name or "unnamed": float(time)
    for time, name in re.findall(r'"exec_time_us":([\d.eE+-]+).*?"name":"([^"]*)"', said)
}
first, tiled = times["unnamed"], times["indexing-cost-model"]
print(
    f"jax {jax.__version__}: softmax of 4096 x 1024 on an H100: unnamed {first:.1f} us,"
    f" indexing-cost-model {tiled:.1f} us"
)
sys.exit(not (first > 100_000 and 1 < tiled < 100))
PYTHON
