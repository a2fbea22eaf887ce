#!/usr/bin/env bash
# `x % 0.3`, `x // 0.3`, `jnp.mod` and `jnp.fmod` of floats call the C library's fmod for each number
# on a CPU, and that takes longer the larger the quotient: 40 to 300 times as long as
# `x - 0.3 * jnp.floor(x / 0.3)`, and hundreds of times where quotients are in the thousands.
# `x % 1.0` is quick. Angles, periodic boxes of simulations and hashed positions are wrapped like that.
# (The formula is not the same: it is off by rounding where the quotient is large.)
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, AMD EPYC,
# 2026-11-30:
#   jax 0.10.2: x % 0.3 24.25 ms, x % 1.0 0.37 ms, its formula 0.11 ms, (1000 x) % 0.3 100.82 ms
#   jax 0.12.0: x % 0.3 72.21 ms, x % 1.0 0.41 ms, its formula 0.24 ms, (1000 x) % 0.3 195.47 ms
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


x = jnp.asarray(np.random.default_rng(0).standard_normal(1 << 19), jnp.float32)
found = shortest(
    {
        "x % 0.3": lambda x: x % 0.3,
        "x % 1.0": lambda x: x % 1.0,
        "its formula": lambda x: x - 0.3 * jnp.floor(x / 0.3),
        "(1000 x) % 0.3": lambda x: (1000 * x) % 0.3,
    },
    x,
)
print(f"jax {jax.__version__}:", ", ".join(f"{name} {s * 1e3:.2f} ms" for name, s in found.items()))
sys.exit(not found["x % 0.3"] > 10 * max(found["its formula"], found["x % 1.0"]))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
