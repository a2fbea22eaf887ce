#!/usr/bin/env bash
# Whoever adds up the compiler's `estimated_cycles` of a TPU program misses what its kernels wait for.
# 8 rows by a 4096 x 12288 matrix in bf16, compiled for a v5e, are 30,506 cycles, 20 us; the matrix
# alone takes 123 us to read at 819 GB/s. A third wider, the same product has 335,367 cycles. The
# narrower matrix fits into the 128 MB on the chip: a copy-start fetches it there before the one
# kernel begins, a copy-done waits for it, and neither has cycles. XLA's own `optimal_seconds` goes the
# other way, 683 us for the narrow and 183 us for the wide one.
#
# Seen with jax and jaxlib 0.10.2, libtpu 0.0.52, Python 3.11, Linux x86-64, 2026-11-30, compiled
# ahead of time without a TPU:
#   jax 0.10.2, 8 x 4096 by 4096 x 12288: 30506 estimated cycles, 184365 by its bytes; copies:
#     the matrix
#   jax 0.10.2, 8 x 4096 by 4096 x 16384: 335367 estimated cycles, 245820 by its bytes; copies:
#     not the matrix
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
CLOCK_HZ, BYTES_PER_S = 1.5e9, 819e9


def compiled(columns):
    """Return the compiler's cycles of all kernels, and whether the matrix is fetched ahead."""
    shapes = (8, 4096), (4096, columns)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=on_it) for shape in shapes]
    text = jax.jit(jnp.matmul).lower(*arrays).compile().as_text()
    fetched = re.search(rf"= \(bf16\[4096,{columns}\].* copy-start\(", text) is not None
    return sum(map(int, re.findall(r'"estimated_cycles":"(\d+)"', text))), fetched


seen = {}
for columns in (12288, 16384):
    cycles, fetched = compiled(columns)
    by_bytes = 2 * 4096 * columns / BYTES_PER_S * CLOCK_HZ
    seen[columns] = cycles / by_bytes, fetched
    print(
        f"jax {jax.__version__}, 8 x 4096 by 4096 x {columns}: {cycles} estimated cycles,",
        f"{by_bytes:.0f} by its bytes; copies: {'' if fetched else 'not '}the matrix",
    )
sys.exit(not (seen[12288][0] < 0.3 and seen[12288][1] and seen[16384][0] > 1 and not seen[16384][1]))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" 'libtpu==0.0.52' || exit 2
  TPU_SKIP_MDS_QUERY=1 TPU_ACCELERATOR_TYPE=v5litepod-4 TPU_WORKER_HOSTNAMES=localhost \
    TMPDIR="$folder" TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
