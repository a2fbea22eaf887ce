#!/usr/bin/env bash
# `jnp.max(x, axis=-1, keepdims=True) - x` is never negative, one would say, so that its root has no
# NaN. Under `jax.jit` with jax 0.12 on a CPU it has, where `x` is the real part of a product of
# complex numbers, or a squared distance, in rows of eight: XLA fuses the two products and their sum
# into the maximum and, once more, into the difference, and in one of the two places LLVM rounds one
# product where it rounds the other in the other (a fused multiply-add takes one of them whole). A
# number then differs from itself by its last bit, and may exceed the maximum of its row. With jax
# 0.10.2 it does not happen; nor without jit; nor with `jax.lax.optimization_barrier(x)` in between.
# Gaps to the best, distances to the nearest, and logarithms of them are written like this; clamp
# them at 0.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, Intel Xeon
# (Sapphire Rapids), 2026-11-30:
#   jax 0.10.2: NaN in 0 of 40 draws of real parts, in 0 of distances; with a barrier in 0, without jit in 0
#   jax 0.12.0: NaN in 26 of 40 draws of real parts, in 21 of distances; with a barrier in 0, without jit in 0
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried
# (a processor without fused multiply-add, for one).
set -euo pipefail

grep -qw fma /proc/cpuinfo || exit 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/gaps.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp


def real_part(a, b, c, d):
    return ((a + 1j * b) * (c + 1j * d)).real


def distance(a, b, c, d):
    return (a - b) ** 2 + (c - d) ** 2


def gap(values, parted=False):
    def root(*numbers):
        x = values(*numbers)
        x = jax.lax.optimization_barrier(x) if parted else x
        return jnp.sqrt(jnp.max(x, axis=-1, keepdims=True) - x)

    return root


DRAWS = 40
draws = [jax.random.normal(jax.random.key(seed), (4, 1, 8, 8)) for seed in range(DRAWS)]
forms = [
    jax.jit(gap(real_part)),
    jax.jit(gap(distance)),
    jax.jit(gap(real_part, parted=True)),
    gap(real_part),
]
seen = [sum(bool(jnp.isnan(form(*draw)).any()) for draw in draws) for form in forms]
print(
    f"jax {jax.__version__}: NaN in {seen[0]} of {DRAWS} draws of real parts, in {seen[1]} of"
    f" distances; with a barrier in {seen[2]}, without jit in {seen[3]}"
)
happens = min(seen[:2]) > 2 if sys.argv[1] == "yes" else max(seen[:2]) == 0
sys.exit(not (happens and max(seen[2:]) == 0))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION HAPPENS
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" gaps.py "$3"
}
try "${PYTHON:-python3.11}" 0.10.2 no
try "${NEWER_PYTHON:-python3.13}" 0.12.0 yes
