#!/usr/bin/env bash
# A batch of 4,096 products of 5 x 5 matrices (`a @ a`) takes 6 to 13 times as long on a CPU as one
# of 8 x 8 matrices, which has four times the arithmetic; 4 x 4 and 6 x 6 are as slow, 3 x 3 are not.
# Rotations with translations (4 x 4) and covariances of Kalman filters are of that size. As
# `(a[..., :, :, None] * b[..., None, :, :]).sum(-2)` they take a fifth of the time or less.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, AMD EPYC,
# 2026-11-30:
#   jax 0.10.2: 4096 products of 3 x 3 50 us, 5 x 5 2109 us, 8 x 8 322 us; of 5 x 5 as sums of
#     products 240 us
#   jax 0.12.0: 4096 products of 3 x 3 56 us, 5 x 5 1864 us, 8 x 8 219 us; of 5 x 5 as sums of
#     products 370 us
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np


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


found = {}
for n in (3, 5, 8):
    a = jnp.asarray(np.random.default_rng(0).standard_normal((4096, n, n)), jnp.float32)
    functions = {"product": lambda a: a @ a, "sums": lambda a: (a[..., None] * a[:, None]).sum(2)}
    found[n] = shortest(functions, a)
print(
    f"jax {jax.__version__}: 4096 products of",
    ", ".join(f"{n} x {n} {found[n]['product'] * 1e6:.0f} us" for n in found)
    + f"; of 5 x 5 as sums of products {found[5]['sums'] * 1e6:.0f} us",
)
slow = found[5]["product"]
sys.exit(not (slow > 3 * found[8]["product"] and slow > 3 * found[5]["sums"]))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
