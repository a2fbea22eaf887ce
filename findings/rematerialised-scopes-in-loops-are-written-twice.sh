#!/usr/bin/env bash
# In the op_name of the backward pass, what `jax.checkpoint` runs inside a `jax.lax.scan` (or a loop
# over layers of Flax) has its path in the loop's body twice: `block/mlp` in the forward pass is
# `block/mlp/block/mlp/checkpoint` in the backward pass, and has nothing in its name that says so.
# Profilers and cost tables that add up by scope show layers that do not exist, and forward and
# backward of one layer apart. Outside of loops the second one begins with `jvp(...)`, so that it can
# be told.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, 2026-11-30:
#   jax 0.10.2: jit(loss)/jvp()/while/body/closed_call/block/mlp/dot_general
#     jit(loss)/transpose(jvp())/while/body/closed_call/block/mlp/block/mlp/checkpoint/dot_general
#   jax 0.12.0: jit(loss)/jvp()/while/body/eval_jaxpr/block/mlp/dot_general
#     jit(loss)/transpose(jvp())/while/body/eval_jaxpr/block/mlp/block/mlp/checkpoint/dot_general
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import re
import sys

import jax
import jax.numpy as jnp


@jax.checkpoint
def layer(x, weights):
    return jnp.tanh(jnp.tanh(x @ weights) @ weights)


def step(x, weights):
    with jax.named_scope("block"), jax.named_scope("mlp"):
        return layer(x, weights), None


def loss(weights, x):
    return (jax.lax.scan(step, x, weights)[0] ** 2).sum()


shapes = [jax.ShapeDtypeStruct(each, jnp.float32) for each in ((4, 64, 64), (8, 64))]
text = jax.jit(jax.grad(loss)).lower(*shapes).compile().as_text()
names = {name for name in re.findall(r'op_name="([^"]*)"', text) if name.endswith("/dot_general")}
forward = [name for name in names if "transpose(" not in name]
backward = [name for name in names if "transpose(" in name]
print(f"jax {jax.__version__}:", *sorted(forward)[:1], *sorted(backward)[:1])
once = all(name.count("block/mlp") == 1 for name in forward)
sys.exit(not (once and forward and any("block/mlp/block/mlp" in name for name in backward)))
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
