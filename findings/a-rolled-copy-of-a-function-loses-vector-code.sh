#!/usr/bin/env bash
# `y + jnp.roll(y, 1)`, with `y = jnp.tanh(x)`, needs a function's values at each place and beside
# it: at most twice the time of the function, one would say. XLA's CPU backend fuses the function
# into both halves of the rolled copy, and LLVM makes no vector code of that: it takes over ten
# times as long as the function. The same numbers come out where the input is wrapped around by one
# value first, and the function's values are taken as two slices, which is how to write it. Finite
# differences on periodic grids, limiters and lattice models are written with `jnp.roll`.
# `jax.lax.optimization_barrier` between the two, as one would part them, has no effect with jax
# 0.10.2, and has with 0.12.0.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, Intel Xeon
# (Sapphire Rapids), 2026-11-30:
#   jax 0.10.2: with a rolled copy 15.5 times as long as the function, with a barrier 13.6, by slices 2.1
#   jax 0.12.0: with a rolled copy 17.3 times as long as the function, with a barrier 1.8, by slices 2.1
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/rolled.py" <<'PYTHON'
import sys
import time

import jax
import jax.numpy as jnp


def rolled(x):
    y = jnp.tanh(x)
    return y + jnp.roll(y, 1)


def parted(x):
    y = jax.lax.optimization_barrier(jnp.tanh(x))
    return y + jnp.roll(y, 1)


def sliced(x):
    y = jnp.tanh(jnp.concatenate([x[-1:], x]))
    return y[1:] + y[:-1]


x = jax.random.normal(jax.random.key(0), (2**20,))
forms = [jax.jit(jnp.tanh), jax.jit(rolled), jax.jit(parted), jax.jit(sliced)]
assert jnp.allclose(forms[1](x), forms[3](x), rtol=1e-5, atol=1e-6)
quickest = [float("inf")] * len(forms)
for _ in range(25):
    for number, form in enumerate(forms):
        start = time.perf_counter()
        form(x).block_until_ready()
        quickest[number] = min(quickest[number], time.perf_counter() - start)
function, whole, barrier, slices = (each / quickest[0] for each in quickest)
print(
    f"jax {jax.__version__}: with a rolled copy {whole:.1f} times as long as the function, with a"
    f" barrier {barrier:.1f}, by slices {slices:.1f}"
)
sys.exit(not (whole > 2.5 * slices and (barrier > 2 * slices) == (sys.argv[1] == "no")))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION EFFECT_OF_THE_BARRIER
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" rolled.py "$3"
}
try "${PYTHON:-python3.11}" 0.10.2 no
try "${NEWER_PYTHON:-python3.13}" 0.12.0 yes
