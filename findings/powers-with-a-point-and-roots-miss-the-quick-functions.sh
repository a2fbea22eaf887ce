#!/usr/bin/env bash
# XLA's CPU backend has vectorised code for exp, log, tanh, erf and the like, and none for tan,
# cbrt and powers by a floating-point number: `x ** 7.0` takes about 8 times as long as `x ** 7`,
# `jnp.cbrt(x)` about 10 times as long as `jnp.exp(x)`, and `jnp.tan(x)` twice as long as
# `jnp.sin(x) / jnp.cos(x)`. A point in an exponent is enough to make an elementwise kernel the
# slowest of a model.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29 (AMD EPYC, two cores):
#   jax 0.10.2, 262,144 numbers:
#   exp(x)                217 us
#   x ** 7                170 us
#   x ** 7.0             1425 us
#   cbrt(x)              2204 us
#   tan(x)               3378 us
#   sin(x) / cos(x)      1545 us
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


found = shortest({
    "exp(x)": jnp.exp, "x ** 7": lambda x: x**7, "x ** 7.0": lambda x: x**7.0, "cbrt(x)": jnp.cbrt,
    "tan(x)": jnp.tan, "sin(x) / cos(x)": lambda x: jnp.sin(x) / jnp.cos(x),
}, jnp.linspace(0.1, 2.0, 1 << 18))
print(f"jax {jax.__version__}, 262,144 numbers:")
for name, seconds in found.items():
    print(f"{name:16} {seconds * 1e6:8.0f} us")
slow = found["x ** 7.0"] > 3 * found["x ** 7"] and found["cbrt(x)"] > 4 * found["exp(x)"]
sys.exit(not (slow and found["tan(x)"] > 1.4 * found["sin(x) / cos(x)"]))
PYTHON
