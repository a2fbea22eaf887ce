#!/usr/bin/env bash
# XLA's cost analysis prices a sort at n ceil(log2 n) comparisons with n the number of ALL elements,
# whichever axis is sorted: sorting 16,384 rows of 4 numbers costs the same 1,048,576 FLOP as sorting
# 65,536 numbers in one row, though rows of 4 take 2 comparisons a number and not 16. So do medians,
# ranks and nearest neighbours along a short axis, and batches of rows: 8 rows cost more than 8 times
# one row.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29:
#   jax 0.10.2: 16384 rows of 4: 1048576 FLOP, one row of 65536: 1048576, 8 rows of 1000 are 10.4 times one
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import sys

import jax
import jax.numpy as jnp


def flops(*shape):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.jit(lambda x: jnp.sort(x, axis=-1)).lower(x).compile().cost_analysis()["flops"]


short, whole, batch = flops(16_384, 4), flops(65_536), flops(8, 1_000) / flops(1, 1_000)
print(
    f"jax {jax.__version__}: 16384 rows of 4: {short:.0f} FLOP, one row of 65536: {whole:.0f},"
    f" 8 rows of 1000 are {batch:.1f} times one"
)
sys.exit(not (short == whole == 65_536 * 16 and batch > 10))
PYTHON
