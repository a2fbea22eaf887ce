"""Time eg.diff on large modules: train steps of a decoder transformer.

    python -m scripts.bench.diff --layers 48

compares the step with itself, with that at another batch size (every op differs), and with one in
which a tenth of the adds are subtractions.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from random import Random

from rich.console import Console
from rich.table import Table

import edgegraph as eg
from edgegraph.hlo import schema
from scripts.bench.large_module import train_step


def subtracting(program: eg.Program, share: float = 0.1) -> eg.Program:
    """Turn some of the adds into subtractions."""
    module = schema.HloModuleProto.FromString(program.serialized)
    random = Random(1)
    for computation in module.computations:
        for instruction in computation.instructions:
            if instruction.opcode == "add" and random.random() < share:
                instruction.opcode = "subtract"
    return replace(program, serialized=module.SerializeToString())


def main() -> None:
    """Print one row per comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=48)
    layers = parser.parse_args().layers
    program = eg.compile(train_step(layers), batch=2)
    before = eg.analyze(program)
    others = {
        "itself": program,
        "another batch size": eg.compile(train_step(layers), batch=3),
        "a tenth of the adds changed": subtracting(program),
    }
    table = Table(title=f"eg.diff of {len(before.op_records):,} instructions")
    table.add_column("with")
    for heading in ("s", "ops the same", "changes"):
        table.add_column(heading, justify="right")
    for name, other in others.items():
        after = eg.analyze(other)
        # Analyses that have been read from a file: nothing is decoded yet.
        left, right = replace(before), replace(after)
        start = time.perf_counter()
        diff = eg.diff(left, right)
        took = time.perf_counter() - start
        table.add_row(name, f"{took:.2f}", f"{diff.same_ops:,}", f"{len(diff.op_changes):,}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
