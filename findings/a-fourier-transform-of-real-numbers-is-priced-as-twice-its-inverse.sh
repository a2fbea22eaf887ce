#!/usr/bin/env bash
# XLA's cost analysis prices a Fourier transform by the elements of its operand. One of n real numbers
# (`jnp.fft.rfft`) has n of them, its inverse (`irfft`) n / 2 + 1: the same work costs 81,920 FLOP
# there and 41,040 back, and as much as a transform of n complex numbers (81,920), which is twice the
# work. Spectrograms and convolutions by FFT are told too expensive on the way in.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, 2026-11-30:
#   jax 0.10.2: fft 81920 FLOP, rfft 81920, irfft 41040
#   jax 0.12.0: fft 81920 FLOP, rfft 81920, irfft 41040
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp


def flops(function, extent, dtype):
    x = jax.ShapeDtypeStruct((extent,), dtype)
    return jax.jit(function).lower(x).compile().cost_analysis()["flops"]


complex_ = flops(jnp.fft.fft, 1024, jnp.complex64)
there = flops(jnp.fft.rfft, 1024, jnp.float32)
back = flops(lambda x: jnp.fft.irfft(x, 1024), 513, jnp.complex64)
print(f"jax {jax.__version__}: fft {complex_:.0f} FLOP, rfft {there:.0f}, irfft {back:.0f}")
sys.exit(not (there == complex_ and there > 1.9 * back))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
