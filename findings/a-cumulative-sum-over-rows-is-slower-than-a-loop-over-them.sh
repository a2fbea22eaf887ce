#!/usr/bin/env bash
# `jnp.cumsum(x, axis=0)` of a matrix adds each row to the sum of those before: 1,024 sums of 1,024
# numbers side by side, in the order in which they lie in memory. XLA's CPU backend makes a tree of
# windows of it that takes tens of times as long as the loop that the definition says
# (`jax.lax.scan`, one row a step), which is otherwise the slow way to write anything. Routers of
# experts, integral images and returns of reinforcement learning sum like that.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, AMD EPYC,
# 2026-11-29 (other runs: up to 100 times):
#   jax 0.10.2: the cumulative sum of 1024 rows of 1024 takes 18.3 times as long as a scan over the rows
#   jax 0.12.0: the cumulative sum of 1024 rows of 1024 takes 20.0 times as long as a scan over the rows
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/sums.py" <<'PYTHON'
import sys
import time

import jax
import jax.numpy as jnp


def loop(x):
    def step(total, row):
        return total + row, total + row

    return jax.lax.scan(step, jnp.zeros(x.shape[1]), x)[1]


x = jax.random.uniform(jax.random.key(0), (1024, 1024))
forms = [jax.jit(lambda x: jnp.cumsum(x, axis=0)), jax.jit(loop)]
assert jnp.allclose(forms[0](x), forms[1](x), rtol=1e-4)
quickest = [float("inf")] * 2
for _ in range(15):
    for number, form in enumerate(forms):
        start = time.perf_counter()
        form(x).block_until_ready()
        quickest[number] = min(quickest[number], time.perf_counter() - start)
slower = quickest[0] / quickest[1]
print(
    f"jax {jax.__version__}: the cumulative sum of 1024 rows of 1024 takes {slower:.1f} times as long"
    " as a scan over the rows"
)
sys.exit(not slower > 3)
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" sums.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
