#!/usr/bin/env bash
# `jax.random.choice(key, n, (k,), replace=False)` shuffles all n and takes the first k, and shuffling
# (`jax.random.permutation`) sorts all n twice with new random keys: for k = 100 of n = 100,000 tens of
# times as long as `jax.lax.top_k` of n uniform numbers, which draws from the same distribution.
# Minibatches, replay buffers and subsampled points are drawn like that.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, AMD EPYC,
# 2026-11-30:
#   jax 0.10.2: choice 100.00 ms, top_k of uniform numbers 1.04 ms, permutation 83.99 ms
#   jax 0.12.0: choice 22.97 ms, top_k of uniform numbers 0.81 ms, permutation 24.10 ms
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import sys
import time

import jax


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


n, k = 100_000, 100
functions = {
    "choice": lambda key: jax.random.choice(key, n, (k,), replace=False),
    "top_k of uniform numbers": lambda key: jax.lax.top_k(jax.random.uniform(key, (n,)), k)[1],
    "permutation": lambda key: jax.random.permutation(key, n),
}
found = shortest(functions, jax.random.key(0), calls=8)
print(f"jax {jax.__version__}:", ", ".join(f"{name} {s * 1e3:.2f} ms" for name, s in found.items()))
sys.exit(not found["choice"] > 5 * found["top_k of uniform numbers"])
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
