"""Pieces beside their parts, in 80 columns."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console

from edgegraph.base.units import seconds, si
from edgegraph.reporting.tables import layer_table, shown_ops, together_table
from edgegraph.reporting.views import in_view
from edgegraph.results.analysis import Analysis
from edgegraph.results.timing import LayerLatency
from tests import analyses


def cut_twice(whole_s: float) -> Analysis:
    """Return SmallCNN timed as one piece and in five parts of 1 ms."""
    base = analyses.measured(analyses.small_cnn(32))
    piece = LayerLatency(
        layer="SmallCNN", phase="forward", latency=analyses.latency(whole_s), depth=0,
        covers=("SmallCNN/conv1",),
    )  # fmt: skip
    return replace(base, layer_latencies=(piece, *base.layer_latencies))


def shown(analysis: Analysis) -> str:
    out = StringIO()
    Console(file=out, width=80).print(together_table(analysis))
    return out.getvalue()


def test_a_piece_and_its_parts() -> None:
    lines = shown(cut_twice(2.505e-3)).splitlines()
    whole_as_one, whole, piece = (line.split() for line in lines if "ms" in line)
    assert " ".join(piece) == "SmallCNN 5 2.5 ms 5 ms ± 168 µs 50 % gained"
    assert whole_as_one[:5] == ["the", "whole,", "by", "depth", "0"]
    assert whole[:5] == ["the", "whole,", "by", "every", "scope"]
    assert max(map(len, lines)) <= 80


def test_one_cut_has_nothing_to_compare() -> None:
    assert together_table(analyses.measured(analyses.small_cnn(32))) is None
    assert together_table(analyses.small_cnn(32)) is None


@pytest.mark.parametrize(("width", "wide"), [(103, False), (104, True)])
def test_parameters_and_flops_need_104_columns(width: int, wide: bool) -> None:
    out = StringIO()
    Console(file=out, width=width).print(layer_table(analyses.small_cnn(1)))
    assert ("params" in out.getvalue()) == wide


@pytest.mark.parametrize("width", [132, 140, 160])
def test_where_there_is_no_room_lines_of_code_are_cut_and_no_numbers(width: int) -> None:
    analysis = replace(analyses.physics(), shown_by="line")
    out = StringIO()
    Console(file=out, width=width).print(layer_table(analysis))
    lines = [line.split("…")[0] for line in out.getvalue().splitlines()]
    for row in in_view(analysis, everything=False).layer_records:
        name = row.layer.rpartition("/")[2]
        figures = f"{si(row.flops or 0)}", seconds(row.time_s)
        assert any(line.split()[:1] == [name] and all(f in line for f in figures) for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_what_there_is_to_win_stays_where_the_terminal_is_narrow(width: int) -> None:
    out = StringIO()
    Console(file=out, width=width).print(layer_table(analyses.measured(analyses.small_cnn(32))))
    (heading,) = (line for line in out.getvalue().splitlines() if " layer " in line)
    assert heading.split()[-1] == "gain"
    assert all(len(line) <= width for line in out.getvalue().splitlines())


def test_columns_of_nothing_are_left_out_and_one_function_is_one() -> None:
    out = StringIO()
    Console(file=out, width=120).print(layer_table(analyses.physics()))
    assert "MACs" not in out.getvalue()
    assert "1 functions" not in out.getvalue()


def test_totals_and_ops_that_were_not_measured_are_marked() -> None:
    out = StringIO()
    analysis = analyses.small_cnn(32)
    Console(file=out, width=120).print(layer_table(analysis))
    (total,) = (line for line in out.getvalue().splitlines() if line.startswith(" total"))
    # 279 MFLOP at 100 GFLOP/s.
    assert "~2.79 ms" in total
    split = [structs.replace(op, time_source="split by layers") for op in analysis.op_records]
    out = StringIO()
    Console(file=out, width=120).print(shown_ops(replace(analysis, op_records=tuple(split))))
    assert "~" in out.getvalue()
