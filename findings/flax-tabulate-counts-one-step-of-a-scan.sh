#!/usr/bin/env bash
# `tabulate(compute_flops=True)` of flax.linen asks XLA for the FLOPs, and XLA counts the body of
# a loop once: of layers under `nn.scan`, and of an `nn.RNN`, the table has one step, whatever
# their number. The same layers written as a Python loop have them all. Parameters are counted in
# full, so that FLOPs by parameter look wrong by the number of steps.
#
# Seen with flax 0.12.8, jax 0.10.2, Python 3.11, Linux x86-64, 2026-11-30:
#   flax 0.12.8: 10 dense layers: 2641920 FLOP in a Python loop, 264194 under nn.scan
#   flax 0.12.8: nn.RNN of an LSTM: 398594 FLOP over 2 steps, 398594 over 16
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
import re
import sys

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp

steps, width = 10, 64


class Step(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.tanh(nn.Dense(width)(x)), None


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x):
        options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "length": steps}
        return nn.scan(Step, **options)()(x, None)[0]


class Unrolled(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(steps):
            x, _ = Step()(x, None)
        return x


def flops(model, x):
    table = model.tabulate(
        jax.random.key(0), x, depth=0, compute_flops=True, console_kwargs={"width": 200}
    )
    return int(re.search(r"\]\s*│\s*(\d+)\s*│", table).group(1))


x = jnp.zeros((2, 16, width))
scanned, unrolled = flops(Scanned(), x), flops(Unrolled(), x)
print(f"flax {flax.__version__}: {steps} dense layers: {unrolled} FLOP in a Python loop, {scanned} under nn.scan")
short, long = (flops(nn.RNN(nn.LSTMCell(128)), x[:, :length]) for length in (2, 16))
print(f"flax {flax.__version__}: nn.RNN of an LSTM: {short} FLOP over 2 steps, {long} over 16")
sys.exit(not (abs(unrolled / scanned - steps) < 0.1 and short == long))
PYTHON
