#!/usr/bin/env bash
# `jax.jit(jnp.cumsum).lower(x).cost_analysis()` prices a cumulative sum of n numbers at n (n - 1)
# FLOP: it is lowered to a reduce-window as wide as the array. XLA's CPU backend turns that into a
# tree, so the compiled program has 17 FLOP a number. Whoever counts models before compiling,
# which is quick, finds routers, samplers and `jnp.nonzero` a thousand times too expensive.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-29:
#   jax 0.10.2: cumsum of 65536 numbers: 4294901760 FLOP lowered, 1118463 compiled
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

import jax
import jax.numpy as jnp

n = 65_536
lowered = jax.jit(jnp.cumsum).lower(jax.ShapeDtypeStruct((n,), jnp.float32))
before, after = lowered.cost_analysis()["flops"], lowered.compile().cost_analysis()["flops"]
print(f"jax {jax.__version__}: cumsum of {n} numbers: {before:.0f} FLOP lowered, {after:.0f} compiled")
sys.exit(not (before == n * (n - 1) and n < after < 40 * n))
PYTHON
