"""The way of a module through EdgeGraph, without XLA.

XLA ends the process on many a damaged module, which is why files from outside reach it only
after `edgegraph.xla.admit` has tried them in a process of their own. So here a stand-in answers
in its place, and everything else runs as it does for a user.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from tempfile import TemporaryDirectory
from unittest.mock import patch
from zlib import crc32

from rich.console import Console

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.analyze import analyze
from edgegraph.compiler.program import Program
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.hlo.graph import build_graph
from edgegraph.measure.environment import environment
from edgegraph.reporting.tables import findings_panel, layer_table

DEVICE = Device(
    name="made up",
    peak_flops_per_s={"f32": 100e9, "bf16": 400e9},
    memory=(
        MemoryLevel(name="cache", size_bytes=1 << 20, bandwidth_bytes_per_s=100e9),
        MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=20e9),
    ),
    origin="catalogue",
    source="made up for tests",
    dispatch_s=5e-6,
)


def follow(serialized: bytes) -> None:
    """Decode a module, price it, follow its memory, find something to say, build its graph.

    One in sixteen is shown in the terminal and written to a file too, which takes longer than
    all the rest.

    Raises:
        EdgeGraphError: It was refused.
    """
    program = Program(
        name="fuzzed", batch=None, target="unknown", stage="optimized", serialized=serialized
    )
    analysis = analyze(program, device=DEVICE)
    build_graph(program.module)
    if crc32(serialized) % 16 == 0:
        console = Console(file=io.StringIO(), width=80)
        console.print(layer_table(analysis), findings_panel(analysis))
        with TemporaryDirectory() as folder:
            assert eg.load(analysis.save(f"{folder}/saved")) == analysis


def survives(data: bytes, read: Callable[[bytes], object] = follow) -> bool:
    """Read an input and tell whether it was accepted; every other error is a bug."""
    try:
        read(data)
    except eg.EdgeGraphError as error:
        message = str(error)
        assert message, "an error without a message"
        assert "\n" not in message, f"not one line: {message!r}"
        return False
    return True


@contextmanager
def without_xla() -> Iterator[None]:
    """Replace XLA's prices by a stand-in, and look at the machine only once."""
    with (
        patch.object(xla, "cost_analysis", _made_up),
        patch("edgegraph.analysis.passes.environment", cache(environment)),
    ):
        yield


def _made_up(serialized: bytes) -> Mapping[str, float]:
    size = float(len(serialized))
    return {"flops": size, "bytes accessed": 3 * size, "bytes accessedout{}": size}
