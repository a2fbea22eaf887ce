#!/usr/bin/env bash
# `optax.MultiSteps(optimizer, k)` accumulates gradients over k steps and then updates once. It computes
# the optimiser's update in every step and selects: for Adam each of the k steps has the FLOPs of
# Adam and of the accumulation, and reads and writes the moments too, besides a second set of
# gradients. Where the update is a large part of a step (large models, small batches), each step
# takes longer than with Adam alone, not shorter.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), optax 0.2.8, Linux x86-64, 2026-11-30:
#   jax 0.10.2: for each weight Adam 12.0 FLOP and 36 bytes, in each step of MultiSteps 34.0 FLOP
#     and 64 bytes, 0 conditionals
#   jax 0.12.0: for each weight Adam 12.0 FLOP and 36 bytes, in each step of MultiSteps 35.0 FLOP
#     and 64 bytes, 0 conditionals
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
import optax

weights = jax.ShapeDtypeStruct((256, 256), jnp.float32)


def cost(optimizer):
    state = jax.eval_shape(optimizer.init, weights)
    compiled = jax.jit(optimizer.update).lower(weights, state, weights).compile()
    found = compiled.cost_analysis()
    return found["flops"], found["bytes accessed"], compiled.as_text().count(" conditional(")


plain, accumulated = cost(optax.adam(0.1)), cost(optax.MultiSteps(optax.adam(0.1), 4))
size = 256 * 256
print(
    f"jax {jax.__version__}: for each weight Adam {plain[0] / size:.1f} FLOP and"
    f" {plain[1] / size:.0f} bytes, in each step of MultiSteps {accumulated[0] / size:.1f} FLOP and"
    f" {accumulated[1] / size:.0f} bytes, {accumulated[2]} conditionals"
)
more = accumulated[0] > plain[0] and accumulated[1] > plain[1]
sys.exit(not (more and accumulated[2] == 0))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" 'optax==0.2.8' || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
