#!/usr/bin/env bash
# A 3 x 3 convolution of 256 channels in 32 groups of 8, as in ResNeXt, has a 32nd of the arithmetic of
# the dense one, and takes about five times as long on a TPU v5e by the compiler's own estimate of
# cycles, copies included. In 2 groups it takes less than the dense one, as depthwise (256 groups) too;
# between them, 8 and 32 groups are the slowest way to write it.
#
# Seen with jax and jaxlib 0.10.2, libtpu 0.0.52, Python 3.11, Linux x86-64, 2026-11-30, compiled ahead
# of time without a TPU:
#   jax 0.10.2, 8 x 28 x 28 x 256, 3 x 3 on a v5e, estimated cycles: 1 groups 65743, 2 groups
#     38944, 8 groups 211780, 32 groups 350476, 256 groups 37569
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


def convolution(groups):
    def form(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    return compiled(form, (8, 28, 28, 256), (3, 3, 256 // groups, 256))[1]


cycles = {groups: convolution(groups) for groups in (1, 2, 8, 32, 256)}
print(
    f"jax {jax.__version__}, 8 x 28 x 28 x 256, 3 x 3 on a v5e, estimated cycles:",
    ", ".join(f"{groups} groups {found}" for groups, found in cycles.items()),
)
sys.exit(not (cycles[32] > 2 * cycles[1] and cycles[8] > 2 * cycles[2]))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" 'libtpu==0.0.52' || exit 2
  TPU_SKIP_MDS_QUERY=1 TPU_ACCELERATOR_TYPE=v5litepod-4 TPU_WORKER_HOSTNAMES=localhost \
    TMPDIR="$folder" TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
