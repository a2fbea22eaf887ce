#!/usr/bin/env bash
# `nnx.tabulate` of a model that has an `nnx.RNN` ends with a TypeError, although the model runs.
# What it had put around the methods of layers stays there: in the same process every layer that
# is called or made after that fails with an AttributeError, in models that have nothing to do
# with the first.
#
# Seen with flax 0.12.8, jax 0.10.2, Python 3.11, Linux x86-64, 2026-11-30:
#   flax 0.12.8: an RNN: works
#   flax 0.12.8: nnx.tabulate of a dense layer: works
#   flax 0.12.8: nnx.tabulate of the RNN: TypeError
#   flax 0.12.8: a dense layer made before, called after that: AttributeError
#   flax 0.12.8: a dense layer made after that: AttributeError
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'jax==0.10.2' 'jaxlib==0.10.2' 'flax==0.12.8' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import sys

import flax
import jax.numpy as jnp
from flax import nnx


def outcome(work):
    try:
        work()
    except (AttributeError, KeyError, TypeError) as error:
        return type(error).__name__
    return "works"


x = jnp.zeros((2, 16, 64))
dense = nnx.Linear(64, 64, rngs=nnx.Rngs(0))
rnn = nnx.RNN(nnx.GRUCell(64, 64, rngs=nnx.Rngs(0)))
found = {
    "an RNN": outcome(lambda: rnn(x)),
    "nnx.tabulate of a dense layer": outcome(lambda: nnx.tabulate(dense, x)),
    "nnx.tabulate of the RNN": outcome(lambda: nnx.tabulate(rnn, x)),
    "a dense layer made before, called after that": outcome(lambda: dense(x)),
    "a dense layer made after that": outcome(lambda: nnx.Linear(64, 64, rngs=nnx.Rngs(0))),
}
for what, how in found.items():
    print(f"flax {flax.__version__}: {what}: {how}")
sys.exit([how == "works" for how in found.values()] != [True, True, False, False, False])
PYTHON
