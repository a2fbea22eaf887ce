"""A construct of JAX with what it must cost, and how that is held against the analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.results.analysis import Analysis, OpRecord

STAGES = ("lowered", "optimized")


def array(*dimensions: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, jnp.dtype(dtype))


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a program costs, by hand; None where XLA's total stands instead.

    Attributes:
        macs, flops, transcendentals: As in the totals.
        read, written: Bytes.
        xla_flops: What XLA counts in their place, where that is stated to differ.
        untouched: Bytes that XLA counts besides, of elements that nothing looks up or changes.
    """

    macs: int = 0
    flops: int | None = 0
    transcendentals: int | None = 0
    read: int | None = None
    written: int | None = None
    xla_flops: int | None = None
    untouched: int = 0


@dataclass(frozen=True, kw_only=True)
class Construct:
    """A function and what it costs.

    Attributes:
        function: To be jitted.
        arguments: Its arguments, as shapes.
        lowered: Before optimisation.
        optimized: After; the same where None.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    lowered: Figures
    optimized: Figures | None = None

    def figures(self, stage: str) -> Figures:
        """Return what it costs at a stage."""
        return self.lowered if stage == "lowered" else self.optimized or self.lowered


def every(constructs: dict[str, Construct]) -> pytest.MarkDecorator:
    """Make a test run over all constructs of a table, at both stages."""
    return pytest.mark.parametrize(
        ("construct", "stage"),
        [
            pytest.param(construct, stage, id=f"{name}, {stage}")
            for name, construct in constructs.items()
            for stage in STAGES
        ],
    )


def analysed(function: Callable[..., Any], *arguments: Any, stage: str = "lowered") -> Analysis:
    return eg.analyze(function, args=arguments, stage=stage, name="construct")


def check(construct: Construct, stage: str) -> Analysis:
    """Assert that a construct costs what it should, and that nothing of it is unknown.

    Where XLA knows all of it (no loop, no custom call), the totals must be XLA's, too.
    """
    analysis = analysed(construct.function, *construct.arguments, stage=stage)
    totals, expected = analysis.totals, construct.figures(stage)
    by_hand = {
        "macs": expected.macs,
        "flops": expected.flops,
        "transcendentals": expected.transcendentals,
        "bytes_read": expected.read,
        "bytes_written": expected.written,
    }
    known = {figure: value for figure, value in by_hand.items() if value is not None}
    found = {figure: totals[figure] for figure in known}
    assert found == known, f"found {found}, expected {known}"
    assert (totals.lower_bound, analysis.unpriced) == (False, {})
    if not ops(analysis, "while", "custom-call"):
        theirs = totals.flops if expected.xla_flops is None else expected.xla_flops
        assert (totals.xla_flops or 0) == theirs
        assert totals.transcendentals == (totals.xla_transcendentals or 0)
        assert totals.bytes_read + totals.bytes_written + expected.untouched == totals.xla_bytes
    else:
        assert None not in (expected.flops, expected.transcendentals)
    return analysis


def ops(analysis: Analysis, *opcodes: str) -> list[OpRecord]:
    """Return the ops of some opcodes."""
    return [op for op in analysis.op_records if op.opcode in opcodes]
