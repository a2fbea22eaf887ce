#!/usr/bin/env bash
# `jax.lax.ragged_dot` multiplies each row by the matrix of its group, as a mixture of experts does:
# 2 m k n FLOP, whatever the number of groups g. Compiled for a CPU it multiplies every row by every
# group's matrix, with the rows of other groups set to zero: g times the FLOPs, 1.5 g times the rows
# as temporary memory, and a time that grows faster than g. The same products with groups of equal
# size, as one batched dot, take neither.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29 (512 rows, 256 x 256):
#   jax 0.10.2: 4 groups: 4.0 times the FLOPs, 6.0 times the rows in memory, 4.4 times a batched dot's time
#   jax 0.10.2: 64 groups: 64.5 times the FLOPs, 96.0 times the rows in memory, 107.7 times a batched dot's time
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

m, k, n = 512, 256, 256
x = jnp.ones((m, k))


def quickest(function, *arguments):
    function(*arguments).block_until_ready()
    times = []
    for _ in range(30):
        start = time.perf_counter()
        function(*arguments).block_until_ready()
        times.append(time.perf_counter() - start)
    return min(times)


same = True
for groups in (4, 64):
    weights = jnp.ones((groups, k, n))
    sizes = jnp.full((groups,), m // groups, jnp.int32)
    ragged = jax.jit(jax.lax.ragged_dot)
    batched = jax.jit(lambda x, w: jnp.einsum("gmk,gkn->gmn", x.reshape(len(w), -1, k), w))
    compiled = ragged.lower(x, weights, sizes).compile()
    flops = compiled.cost_analysis()["flops"] / (2 * m * k * n)
    memory = compiled.memory_analysis().temp_size_in_bytes / x.nbytes
    slower = quickest(ragged, x, weights, sizes) / quickest(batched, x, weights)
    print(
        f"jax {jax.__version__}: {groups} groups: {flops:.1f} times the FLOPs, {memory:.1f} times the"
        f" rows in memory, {slower:.1f} times a batched dot's time"
    )
    same &= abs(flops / groups - 1) < 0.1 and memory > groups and slower > groups / 4
sys.exit(not same)
PYTHON
