#!/usr/bin/env bash
# `jax.random.gamma` rejects and draws again in a loop for each number, one number after the other on a
# CPU: 100,000 of them take 60 to 120 times as long as normal ones with jax 0.10, and 300 to 1,200
# times with jax 0.12, which takes six times as long as 0.10. So do `beta`, `dirichlet`, `t` and `chisquare`,
# which are made of gamma numbers.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, AMD EPYC,
# 2026-11-30:
#   jax 0.10.2: normal 1.01 ms, gamma 120.49 ms, beta 297.23 ms
#   jax 0.12.0: normal 0.82 ms, gamma 1019.10 ms, beta 1622.31 ms
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


functions = {
    "normal": lambda key: jax.random.normal(key, (100_000,)),
    "gamma": lambda key: jax.random.gamma(key, 2.0, (100_000,)),
    "beta": lambda key: jax.random.beta(key, 2.0, 3.0, (100_000,)),
}
found = shortest(functions, jax.random.key(0), calls=6)
print(f"jax {jax.__version__}:", ", ".join(f"{name} {s * 1e3:.2f} ms" for name, s in found.items()))
times = 100 if jax.__version__.startswith("0.12") else 15
sys.exit(not found["gamma"] > times * found["normal"])
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
