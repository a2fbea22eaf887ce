#!/usr/bin/env bash
# XLA's cost analysis gives a product of complex matrices the FLOPs of real ones of the same
# sizes, 2 m n k, although each multiply-add of complex numbers takes 4 real ones. Efficiency
# against a peak in real FLOP/s is told four times too low.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29:
#   jax 0.10.2: 64 x 64 x 64 product: f32 524288 FLOP, c64 524288 FLOP
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

def flops(dtype):
    x = jax.ShapeDtypeStruct((64, 64), dtype)
    return jax.jit(jnp.matmul).lower(x, x).compile().cost_analysis()["flops"]

real, complex_ = flops(jnp.float32), flops(jnp.complex64)
print(f"jax {jax.__version__}: 64 x 64 x 64 product: f32 {real:.0f} FLOP, c64 {complex_:.0f} FLOP")
sys.exit(not (real == complex_ == 2 * 64**3))
PYTHON
