from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
from msgspec import Struct

from edgegraph.errors import InputError
from edgegraph.results.analysis import Totals
from edgegraph.results.columns import (
    SHARE,
    TEXT,
    TIME,
    Column,
    add_up,
    columns_of,
    frame,
    notebook_table,
    rows,
    sum_of_times,
)
from edgegraph.results.records import LAYER_COLUMNS, OP_COLUMNS
from tests import analyses

# The published names, in the published order; more may follow them.
OPS = (
    "name opcode layer phase parent executions macs flops transcendentals bytes_read"
    " bytes_written intensity_flops_per_byte compute_time_s memory_time_s bound time_s"
    " time_source source"
)
LAYERS = (
    "layer phase ops params param_bytes macs flops transcendentals bytes_read bytes_written"
    " intensity_flops_per_byte compute_time_s memory_time_s bound time_s time_source share"
    " efficiency"
)


def test_columns_are_the_published_ones() -> None:
    analysis = analyses.small_cnn()
    assert list(analysis.ops.columns) == list(OP_COLUMNS)
    assert list(analysis.layers.columns) == list(LAYER_COLUMNS)
    assert " ".join(OP_COLUMNS).startswith(OPS)
    assert " ".join(LAYER_COLUMNS).startswith(LAYERS)


def test_small_cnn_by_layer() -> None:
    layers = analyses.small_cnn(32).layers.set_index("layer")
    assert layers.macs.to_dict() == {
        "SmallCNN": 148_602_880,
        "SmallCNN/conv1": 7_225_344,
        "SmallCNN/conv2": 115_605_504,
        "SmallCNN/dense1": 25_690_112,
        "SmallCNN/dense2": 81_920,
        "SmallCNN/(own)": 0,
    }
    assert layers.params.to_dict() == {
        "SmallCNN": 824_458,
        "SmallCNN/conv1": 3 * 3 * 1 * 32 + 32,
        "SmallCNN/conv2": 3 * 3 * 32 * 64 + 64,
        "SmallCNN/dense1": 3136 * 256 + 256,
        "SmallCNN/dense2": 256 * 10 + 10,
        "SmallCNN/(own)": 0,
    }


def test_unknown_is_missing_and_counts_are_exact_integers() -> None:
    analysis = analyses.without_device()
    assert analysis.layers.time_s.isna().all()
    assert str(analysis.layers.flops.dtype) == "Int64"
    assert str(analysis.ops.flops.dtype) == "Int64"


def test_totals_read_like_a_mapping() -> None:
    totals = analyses.small_cnn(32).totals
    assert totals["flops"] == 278_659_392
    assert dict(totals)["macs"] == 148_602_880
    assert totals["flops"] == totals.xla_flops


def test_the_graph_carries_the_frame() -> None:
    analysis = analyses.small_cnn(32)
    graph, frame = analysis.graph, analysis.ops.set_index("name")
    assert set(graph) == set(frame.index)
    assert {n: graph.nodes[n]["flops"] for n in graph} == frame.flops.to_dict()


def test_an_analysis_says_what_it_is_in_one_line_and_in_a_notebook() -> None:
    analysis = analyses.small_cnn(32)
    assert repr(analysis).startswith("<Analysis small_cnn, batch 32, cpu: ")
    assert ">  conv1<" in analysis._repr_html_()
    assert analyses.MARKUP not in analyses.hostile()._repr_html_()


def test_an_analysis_draws_its_plots() -> None:
    analysis = analyses.small_cnn(32)
    assert analysis.plot().get_xlabel().startswith("arithmetic intensity (FLOP/byte)")
    with pytest.raises(InputError, match="'pie' shows another kind of result than this analysis"):
        analysis.plot("pie")


@dataclass(frozen=True, kw_only=True)
class Trip:
    """A made-up record.

    Attributes:
        name: What it is called,
            on two lines.
        read_bytes, passengers: Counted.
        tags: Not one value.
    """

    name: str
    read_bytes: Annotated[int | None, Column(adds="sum")]
    passengers: Annotated[int | None, Column(adds="largest", heading="people", zero=False)]
    time_s: Annotated[float | None, Column(adds="sum")]
    late: bool | None = None
    tags: tuple[str, ...] = ()

    @property
    def bytes_per_s(self) -> float | None:
        """How fast."""
        return None if not self.time_s or self.read_bytes is None else self.read_bytes / self.time_s


TRIPS = (
    Trip(name="a", read_bytes=10, passengers=None, time_s=2.0, late=True, tags=("x", "y")),
    Trip(name="b", read_bytes=None, passengers=3, time_s=None),
)


def test_a_column_is_what_its_field_says() -> None:
    columns = columns_of(Trip)
    assert list(columns) == ["name", "read_bytes", "passengers", "time_s", "late"]
    assert [column.dtype for column in columns.values()] == [
        "string", "Int64", "Int64", "float64", "boolean",
    ]  # fmt: skip
    assert [column.unit for column in columns.values()] == ["", "B", "", "s", ""]
    assert columns["passengers"].heading == "people"
    assert columns["time_s"].heading == "time_s"
    assert columns["name"].about == "What it is called, on two lines."
    assert columns["passengers"].about == "Counted."


def test_properties_stand_where_they_are_named_and_fields_that_hold_several_values_too() -> None:
    columns = columns_of(Trip, "tags", "bytes_per_s", rest=True)
    assert list(columns)[:3] == ["tags", "bytes_per_s", "name"]
    assert list(columns).count("tags") == 1
    assert (columns["bytes_per_s"].dtype, columns["bytes_per_s"].unit) == ("float64", "")
    assert columns["bytes_per_s"].about == "How fast."
    with pytest.raises(AttributeError):
        columns_of(Trip, "no_such")


def test_a_struct_has_columns_too() -> None:
    class Point(Struct, array_like=True):
        x: int

    assert columns_of(Point)["x"].dtype == "Int64"


def test_the_whole_follows_from_the_parts_as_each_column_says() -> None:
    whole = add_up(iter(TRIPS), columns_of(Trip).values())
    assert whole == {"read_bytes": 10, "passengers": 3, "time_s": 2.0}
    nothing = add_up((), columns_of(Trip).values())
    assert nothing == {"read_bytes": 0, "passengers": None, "time_s": None}
    assert sum_of_times([1.0, None, 0.5]) == 1.5
    assert sum_of_times([None]) is None


def test_a_frame_has_the_columns_in_order_and_unknown_is_missing() -> None:
    columns = {**columns_of(Trip, "name", "tags"), "share": SHARE, "who": TEXT}
    table = frame(TRIPS, columns | columns_of(Trip), share=[0.5, None], who=["x", None])
    assert list(table) == [
        "name", "tags", "share", "who", "read_bytes", "passengers", "time_s", "late",
    ]  # fmt: skip
    assert table["tags"].tolist() == [("x", "y"), ()]
    assert table.isna().sum().to_dict() == {
        "name": 0, "tags": 0, "share": 1, "who": 1, "read_bytes": 1, "passengers": 1, "time_s": 1,
        "late": 1,
    }  # fmt: skip
    assert notebook_table(table).count(">?<") == 6
    renamed = frame(TRIPS, {"duration_s": columns_of(Trip)["time_s"]})
    assert renamed["duration_s"].tolist()[0] == 2.0
    assert rows(TRIPS, ("name", "bytes_per_s")) == [
        {"name": "a", "bytes_per_s": 5.0}, {"name": "b", "bytes_per_s": None},
    ]  # fmt: skip


def test_a_cell_shows_units_and_marks_unknown_counts_only() -> None:
    columns = columns_of(Trip)
    assert columns["read_bytes"].cell(3_402_024) == "3.4 MB"
    assert (columns["read_bytes"].cell(None), columns["read_bytes"].cell(0)) == ("?", "0 B")
    assert (columns["passengers"].cell(None), columns["passengers"].cell(0)) == ("?", "")
    assert (columns["passengers"].text(None), columns["passengers"].text(0)) == ("?", "0")
    assert (TIME.cell(0.0031), TIME.cell(0.0), TIME.cell(None)) == ("3.1 ms", "0 s", "")
    assert (SHARE.cell(0.25), SHARE.cell(None), TEXT.cell(None)) == ("25 %", "", "")
    assert columns_of(Trip, "bytes_per_s")["bytes_per_s"].cell(81.93) == "81.9"


def test_what_adds_up_over_ops_adds_up_over_layers_and_the_program() -> None:
    adding = {name for name, column in OP_COLUMNS.items() if column.adds}
    assert {"macs", "flops", "bytes_read", "wire_bytes", "compute_time_s"} <= adding
    for name in adding & set(LAYER_COLUMNS):
        assert LAYER_COLUMNS[name].adds == OP_COLUMNS[name].adds, name
    analysis = analyses.small_cnn(32)
    top = [record for record in analysis.op_records if record.parent is None]
    summed = {"macs", "flops", "transcendentals", "bytes_read", "bytes_written", "wire_bytes"}
    for name in summed & set(Totals.__dataclass_fields__):
        assert analysis.totals[name] == sum(getattr(record, name) for record in top), name


def test_every_column_of_ops_and_layers_says_what_it_is() -> None:
    silent = [
        name
        for columns in (OP_COLUMNS, LAYER_COLUMNS)
        for name, column in columns.items()
        if not column.about
    ]
    assert not silent
