"""Time decoding, graphing and annotating a large module, beside XLA's own compile time.

Builds train steps of decoder transformers (forward, backward, adamw) that differ only in their
number of layers, compiles each for this host, and prints what EdgeGraph adds. The promise: less
than a quarter of the compile time, linear in the number of instructions, under 500 MB. The
column `analyze` is all of `eg.analyze`, from the bytes to the findings; `all` adds the graph.

    python scripts/bench/large_module.py --layers 4 --layers 12 --layers 48
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optax
from flax import linen as nn
from rich.console import Console
from rich.table import Table

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.attribution import attribute
from edgegraph.cost.price import price_nodes
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import build_graph, flatten


class Block(nn.Module):
    """A pre-norm transformer block."""

    width: int
    heads: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Attend, then mix channels."""
        y = nn.LayerNorm(name="norm1")(x)
        x = x + nn.MultiHeadDotProductAttention(self.heads, name="attention")(y)
        y = nn.LayerNorm(name="norm2")(x)
        y = nn.gelu(nn.Dense(4 * self.width, name="up")(y))
        return x + nn.Dense(self.width, name="down")(y)


class Transformer(nn.Module):
    """Tokens in, logits out."""

    layers: int
    width: int = 128
    heads: int = 4
    vocabulary: int = 512

    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        """Embed, run the blocks, project the last position to the vocabulary."""
        x = nn.Embed(self.vocabulary, self.width, name="embed")(tokens)
        for i in range(self.layers):
            x = Block(self.width, self.heads, name=f"block_{i}")(x)
        x = nn.LayerNorm(name="norm")(x)
        return nn.Dense(self.vocabulary, name="head")(x[:, -1])


def train_step(layers: int) -> eg.Workload:
    """Make the train step of a transformer with `layers` blocks."""
    return eg.Workload.train_step(
        Transformer(layers),
        optax.adamw(1e-3),
        input_shape=(32,),
        dtype="int32",
        integers_below=512,
        loss="cross_entropy",
        name=f"transformer_{layers}",
    )


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Run `function` once and return its result and its seconds."""
    gc.collect()
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def peak_mb() -> float:
    """Return the peak resident memory of this process so far, in MB (Linux)."""
    # getrusage would count what the parent held before it started this process.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def measure(serialized: bytes) -> tuple[int, dict[str, float], float]:
    """Take a module the whole way; run in a subprocess, so that its memory is seen.

    Returns:
        The number of instructions, the seconds of each stage, and the peak memory added, in MB.
    """
    # XLA is loaded already where it compiled.
    xla.cost_analysis(xla.parse_text("HloModule m\nENTRY e { ROOT x = f32[] parameter(0) }"))
    before = peak_mb()
    took: dict[str, float] = {}
    module, took["decode"] = timed(lambda: decode(serialized))
    nodes, took["flatten"] = timed(lambda: flatten(module))
    _costs, took["price"] = timed(lambda: price_nodes(module, nodes))
    _places, took["attribute"] = timed(lambda: attribute(nodes))
    _graph, took["networkx"] = timed(lambda: build_graph(module))
    return len(nodes), took, peak_mb() - before


def main() -> None:
    """Print one row per depth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, action="append")
    depths = parser.parse_args().layers or [4, 12, 48]
    table = Table(title="EdgeGraph's time beside XLA's compile time")
    stages = ("decode", "flatten", "price", "attribute", "networkx", "analyze")
    for heading in ("layers", "instructions", "XLA compile s", *(f"{s} s" for s in stages),
                    "all s", "all / compile", "µs / instruction", "extra MB"):  # fmt: skip
        table.add_column(heading, justify="right")
    board = eg.devices()["rpi5"]
    spawn = multiprocessing.get_context("spawn")
    for layers in depths:
        program = eg.compile(train_step(layers), batch=2)
        with spawn.Pool(1) as pool:
            instructions, took, extra = pool.apply(measure, (program.serialized,))
        _analysis, took["analyze"] = timed(partial(eg.analyze, program, device=board))
        whole = took["analyze"] + took["networkx"]
        compile_s = program.compile_s or float("nan")
        table.add_row(
            str(layers),
            f"{instructions:,}",
            f"{compile_s:.2f}",
            *(f"{took[stage]:.2f}" for stage in stages),
            f"{whole:.2f}",
            f"{whole / compile_s:.3f}",
            f"{1e6 * whole / instructions:.1f}",
            f"{extra:.0f}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
