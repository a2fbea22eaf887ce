#!/usr/bin/env bash
# A product of one row with a matrix, as in decoding one sequence, is compiled for a TPU v5e into a
# multiplication and a sum of vectors: 1 x 4096 by 4096 x 32768 in bf16 takes 1,252 us by the
# compiler's own cycles at 1.5 GHz, where reading the matrix takes 328 us at 819 GB/s (int8 weights
# 1,067 us, half the bytes). With a second row, of zeros say, the product is one on the matrix unit
# and takes 446 us; with eight rows no more. On a v6e it is 3.4 times.
#
# Seen with jax and jaxlib 0.10.2, libtpu 0.0.52, Python 3.11, Linux x86-64, 2026-11-30, compiled
# ahead of time without a TPU:
#   jax 0.10.2, 4096 x 32768 on a v5e, estimated cycles: 1 rows 1877729 (multiply and reduce), 2
#     rows 668462 (convolution), 8 rows 669262 (convolution)
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import re
import sys

import jax
import jax.numpy as jnp
from jax.experimental import topologies

described = topologies.get_topology_desc(platform="tpu", topology_name="v5e:1x1")
on_it = jax.sharding.SingleDeviceSharding(described.devices[0])


def compiled(function, *shapes):
    """Return the compiled text, and the compiler's cycles of all its kernels."""
    arrays = [jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=on_it) for shape in shapes]
    text = jax.jit(function).lower(*arrays).compile().as_text()
    return text, sum(map(int, re.findall(r'"estimated_cycles":"(\d+)"', text)))


cycles, kinds = {}, {}
for rows in (1, 2, 8):
    text, cycles[rows] = compiled(jnp.matmul, (rows, 4096), (4096, 32768))
    kinds[rows] = "convolution" if " convolution(" in text else "multiply and reduce"
print(
    f"jax {jax.__version__}, 4096 x 32768 on a v5e, estimated cycles:",
    ", ".join(f"{rows} rows {cycles[rows]} ({kinds[rows]})" for rows in cycles),
)
sys.exit(not (cycles[1] > 1.8 * cycles[2] and kinds[1] != kinds[2]))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" 'libtpu==0.0.52' || exit 2
  TPU_SKIP_MDS_QUERY=1 TPU_ACCELERATOR_TYPE=v5litepod-4 TPU_WORKER_HOSTNAMES=localhost \
    TMPDIR="$folder" TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
