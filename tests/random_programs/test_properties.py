"""Every total is the sum of its parts, and products are counted as by hand, on random programs.

The examples are the same in every run, so that a failure belongs to the change that made it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import edgegraph as eg
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.opcodes import LOOKUPS
from edgegraph.results.analysis import Analysis
from tests import analyses
from tests.conformance import harness
from tests.programs import SAME_MODULE_SOONER
from tests.random_programs.strategies import RandomProgram, programs

COUNTS = ("macs", "flops", "transcendentals", "bytes_read", "bytes_written")
TIMES = ("compute_time_s", "memory_time_s")


def examples(number: int) -> settings:
    """Draw so many programs, always the same."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )


def analysed(program: RandomProgram, stage: str) -> Analysis:
    return eg.analyze(
        program.function,
        args=program.arguments,
        stage=stage,
        options=SAME_MODULE_SOONER if stage == "optimized" else None,
        device=analyses.DEVICE,
        name="random",
    )


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-18)


def assert_ops_add_up(analysis: Analysis) -> None:
    """Totals are the sums of the ops at the top, containers of what runs in them."""
    ops, totals = analysis.ops, analysis.totals
    top = ops[ops.parent.isna()]
    for column in (*COUNTS, "wire_bytes"):
        assert totals[column] == top[column].sum(), column
    for column in TIMES:
        assert totals[column] == near(top[column].sum()), column
    by_name = ops.set_index("name")
    assert by_name.index.is_unique
    for name, inside in ops.groupby("parent"):
        container = by_name.loc[name]
        for column in (*COUNTS, "wire_bytes"):
            assert container[column] == inside[column].sum(), (name, column)
        for column in TIMES:
            assert container[column] == near(inside[column].sum()), (name, column)
    assert set(ops.parent.dropna()) <= set(ops.name)


def assert_layers_add_up(analysis: Analysis) -> None:
    """The layers at the top, and the leaves, add up to the totals; parents to their children."""
    layers, totals = analysis.layers, analysis.totals
    columns = ("ops", "params", "param_bytes", *COUNTS)
    for rows in (layers[layers.depth == 0], layers[layers.leaf]):
        for column in columns:
            assert totals[column] == rows[column].sum(), column
        for column in TIMES:
            assert totals[column] == near(rows[column].sum()), column
    for parent, children in families(layers):
        for column in columns:
            assert parent[column] == children[column].sum(), (parent.layer, column)
        for column in (*TIMES, "time_s"):
            assert parent[column] == near(children[column].sum()), (parent.layer, column)
        assert set(children.phase) == {parent.phase}
        assert all(child.startswith(parent.layer + "/") for child in children.layer)
    known = layers[layers.leaf].share.dropna()
    assert known.empty or known.sum() == near(1)
    unplaced = layers[(layers.layer == UNATTRIBUTED) & layers.leaf].flops.sum()
    if totals.flops:
        assert totals.flops_coverage == near(1 - unplaced / totals.flops)


def families(layers: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield every row that is no leaf with the rows right below it."""
    depths = list(layers.depth)
    for at, depth in enumerate(depths):
        if not layers.leaf.iloc[at]:
            later = range(at + 1, len(depths))
            end = next((row for row in later if depths[row] <= depth), len(depths))
            below = layers.iloc[at + 1 : end]
            yield layers.iloc[at], below[below.depth == depth + 1]


def assert_executions_multiply(analysis: Analysis) -> None:
    """What a container holds runs as often as it does, or as its loop says."""
    by_name = {record.name: record for record in analysis.op_records}
    for record in analysis.op_records:
        outer = by_name[record.parent].executions if record.parent is not None else 1
        if outer is None:
            assert record.executions in (None, 0)
        elif record.executions is not None and outer:
            assert record.executions % outer == 0 or record.executions > outer
        elif record.executions is None:
            assert by_name[record.parent or ""].opcode in ("while", "conditional")


def assert_spread_and_unknown_are_told(analysis: Analysis) -> None:
    """Totals are lower bounds where something is unknown, and have a spread by conditionals."""
    totals, opcodes = analysis.totals, {record.opcode for record in analysis.op_records}
    moved = totals.bytes_read + totals.bytes_written
    assert totals.flops_lowest <= totals.flops
    assert totals.bytes_lowest <= moved
    if "conditional" not in opcodes:
        assert (totals.flops_lowest, totals.bytes_lowest) == (totals.flops, moved)
    assert totals.lower_bound == bool(analysis.unpriced)
    assert set(analysis.unpriced) <= {record.name for record in analysis.op_records}


def assert_kept_by_saving(analysis: Analysis, folder: Path) -> None:
    """A saved and loaded analysis shows the same."""
    loaded = eg.load(analysis.save(folder / "random.edgegraph"))
    pd.testing.assert_frame_equal(loaded.ops, analysis.ops)
    pd.testing.assert_frame_equal(loaded.layers, analysis.layers)
    assert loaded == analysis


def assert_graph_shows_the_ops(analysis: Analysis) -> None:
    """Nodes are the rows of the frame, and carry its figures."""
    assert list(analysis.graph) == list(analysis.ops.name)
    for record in analysis.op_records:
        node = analysis.graph.nodes[record.name]
        assert all(node[column] == getattr(record, column) for column in COUNTS)


def assert_memory_is_what_is_alive(analysis: Analysis) -> None:
    """The peak is the most that is alive, and the buffers that make it add up to it."""
    memory = analysis.live_memory
    if memory is None:
        assert analysis.stage == "lowered"
        return
    peak = memory.alive_bytes[memory.peak_position]
    assert peak == max(memory.alive_bytes) == sum(buffer.bytes for buffer in memory.peak_buffers)
    parents = {record.name: record.parent for record in analysis.op_records}
    assert set(memory.ops) <= set(parents)
    around: str | None = memory.peak_op
    while around != memory.ops[memory.peak_position]:
        assert around is not None, f"{memory.peak_op} is not in the step of the peak"
        around = parents[around]


def check(program: RandomProgram, folder: Path) -> None:
    """Check all that must hold of a program at both stages."""
    for stage in ("lowered", "optimized"):
        analysis = analysed(program, stage)
        assert_ops_add_up(analysis)
        assert_layers_add_up(analysis)
        assert_executions_multiply(analysis)
        assert_spread_and_unknown_are_told(analysis)
        assert_kept_by_saving(analysis, folder)
        assert_graph_shows_the_ops(analysis)
        assert_memory_is_what_is_alive(analysis)
        assert analysis.totals.params == program.parameters
        if stage == "lowered":
            assert_products_are_those_by_hand(analysis, program)


def assert_products_are_those_by_hand(analysis: Analysis, program: RandomProgram) -> None:
    """MACs, and how often every product runs, are what the blocks say they need."""
    work = program.work
    assert analysis.totals.macs == work.macs
    products = [op for op in analysis.op_records if op.opcode in ("dot", "convolution")]
    assert Counter(op.executions for op in products if op.executions != 0) == work.runs


def check_against_xla(program: RandomProgram) -> None:
    """Without loops and custom calls, the totals are XLA's, or less where a fusion looks things up.

    What it then takes of all that XLA counts is tested in `tests.cost.test_needed`.
    """
    for stage in ("lowered", "optimized"):
        analysis = analysed(program, stage)
        totals = analysis.totals
        assert not totals.lower_bound
        priced = harness.price(analysis.serialized_module)
        assert totals.flops == pytest.approx(priced.total.flops, rel=1e-4)
        assert totals.bytes_read + totals.bytes_written == priced.total.bytes
        expected = harness.expected(priced)
        if any(op.opcode in LOOKUPS and op.parent is not None for op in analysis.op_records):
            assert totals.transcendentals <= 1.0001 * (totals.xla_transcendentals or 0)
            assert priced.total.flops <= 1.0001 * expected.flops
            assert priced.total.bytes <= 1.0001 * expected.bytes
            continue
        assert totals.transcendentals == pytest.approx(totals.xla_transcendentals or 0, rel=1e-4)
        assert priced.total.is_near(expected)


@examples(12)
@given(program=programs())
def test_totals_are_the_sums_of_their_parts(
    program: RandomProgram, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(program, tmp_path_factory.mktemp("saved"))


@examples(8)
@given(program=programs(loops=False, library=False))
def test_totals_without_loops_and_custom_calls_are_xla_s(program: RandomProgram) -> None:
    check_against_xla(program)


@pytest.mark.slow
@examples(15)
@given(program=programs(depth=4))
def test_totals_of_deeply_nested_programs_are_the_sums_of_their_parts(
    program: RandomProgram, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(program, tmp_path_factory.mktemp("saved"))


@pytest.mark.slow
@examples(8)
@given(program=programs(depth=4, loops=False, library=False))
def test_totals_of_deeply_nested_programs_without_loops_are_xla_s(program: RandomProgram) -> None:
    check_against_xla(program)
