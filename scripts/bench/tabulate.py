"""Time the counting of ResNet-50: EdgeGraph's lowered analysis beside Flax's own table.

Run in the checkout: ``python scripts/bench/tabulate.py``. Flax lowers every row of its table
separately; EdgeGraph lowers the network once. Flax needs a network with weights, which are made
before its time is taken. The exit code is 1 if EdgeGraph takes more than a third of Flax's time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import edgegraph as eg
from models.resnet import RESNET50, resnet50

ROUNDS = 3
LARGEST_SHARE = 1 / 3


def count_with_edgegraph() -> None:
    """Analyse ResNet-50 before optimisation, layer by layer."""
    eg.analyze(resnet50(), batch=1, stage="lowered")


def count_with_flax(network: nnx.Module, image: jax.Array) -> None:
    """Make Flax's table of a network, with FLOPs."""
    nnx.tabulate(network, image, compute_flops=True)


def seconds(work: Callable[[], None]) -> float:
    """Time one round; what JAX has traced before is forgotten."""
    jax.clear_caches()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Print both times; return the exit code."""
    network = RESNET50.module("nnx", "float32")(nnx.Rngs(0))
    network.eval()
    image = jnp.zeros((1, *RESNET50.input_shape))
    count_with_edgegraph()  # the first round would pay for imports
    rounds = [
        (seconds(count_with_edgegraph), seconds(lambda: count_with_flax(network, image)))
        for _ in range(ROUNDS)
    ]
    ours, flax = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"eg.analyze(resnet50, stage='lowered')          {ours:6.2f} s")
    print(f"nnx.tabulate(resnet50, compute_flops=True)     {flax:6.2f} s")
    print(f"share                                          {ours / flax:6.1%}")
    return 0 if ours <= LARGEST_SHARE * flax else 1


if __name__ == "__main__":
    sys.exit(main())
