#!/usr/bin/env bash
# XLA's cost analysis prices a Fourier transform over several axes by the product of the
# logarithms of their lengths, where a transform takes their sum: n log2(a b c) = n (log2 a + log2
# b + log2 c). The FLOPs of a 64 x 64 x 64 transform come out 12 times too high, those of one axis
# are right up to a constant. A roofline from them lies above what the machine is seen to do.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29:
#   jax 0.10.2: one axis 12582912 FLOP, three axes 452984832 FLOP
#   three axes over one: 36; a transform takes 3 times one axis
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import math
import sys

import jax
import jax.numpy as jnp

def flops(shape, axes):
    x = jax.ShapeDtypeStruct(shape, jnp.complex64)
    return jax.jit(lambda x: jnp.fft.fftn(x, axes=axes)).lower(x).cost_analysis()["flops"]

n = 64**3
one, three = flops((64, 64, 64), (2,)), flops((64, 64, 64), (0, 1, 2))
print(f"jax {jax.__version__}: one axis {one:.0f} FLOP, three axes {three:.0f} FLOP")
print(f"three axes over one: {three / one:.0f}; a transform takes 3 times one axis")
sys.exit(not (math.isclose(one, 8 * n * 6) and math.isclose(three, 8 * n * 6**3)))
PYTHON
