#!/usr/bin/env bash
# On a CPU, a product of int8 matrices is quick only where it asks for int32 sums: `jax.lax.dot(a,
# b, preferred_element_type=jnp.int32)`. As `a @ b`, whose result is int8, XLA writes plain loops,
# and it takes 57 times as long (f32 takes about as long as int8 with wide sums). So does uint8.
# Quantising a model makes it slower unless every product asks.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29 (AMD EPYC, two cores):
#   jax 0.10.2, 256 x 256 x 256:
#   int8 -> int32        617 us
#   int8 -> int8       35055 us
#   uint8 -> uint8     35137 us
#   float32              725 us
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
import time

import jax
import jax.numpy as jnp


def shortest(functions, *arguments, calls=12):
    """Return the shortest call of each in seconds, called in turns."""
    compiled = {name: jax.jit(function) for name, function in functions.items()}
    times = {name: [] for name in functions}
    for call in range(calls + 1):
        for name, function in compiled.items():
            begun = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            times[name] += [time.perf_counter() - begun] if call else []
    return {name: min(found) for name, found in times.items()}


a = jnp.ones((256, 256), jnp.int8)
found = shortest({
    "int8 -> int32": lambda a, b: jax.lax.dot(a, b, preferred_element_type=jnp.int32),
    "int8 -> int8": lambda a, b: a @ b,
    "uint8 -> uint8": lambda a, b: a.astype(jnp.uint8) @ b.astype(jnp.uint8),
    "float32": lambda a, b: a.astype(jnp.float32) @ b.astype(jnp.float32),
}, a, a)
print(f"jax {jax.__version__}, 256 x 256 x 256:")
for name, seconds in found.items():
    print(f"{name:15} {seconds * 1e6:8.0f} us")
sys.exit(not found["int8 -> int8"] > 10 * found["int8 -> int32"])
PYTHON
