"""A diff as frames, as a file, and its layers and ops before and after."""

from __future__ import annotations

from pathlib import Path

import edgegraph as eg
from edgegraph.compare.result import Figure
from tests.compare.networks import analysis


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    found = eg.diff(analysis(), analysis(kernel=5))
    assert eg.load(found.save(tmp_path / "diff.edgegraph")) == found
    path = analysis().save(tmp_path / "one.edgegraph")
    assert eg.diff(path, str(path)).empty


def test_frames_have_a_row_for_every_layer_and_change() -> None:
    found = eg.diff(analysis(), analysis(kernel=5))
    frame = found.frame.set_index("layer")
    assert frame["macs_before"]["Net/conv2"] == 294_912
    assert frame["macs_after"]["Net/conv2"] == 819_200
    assert frame.loc["Net/conv1", "change"] == "same"
    assert found.ops["differs_in"].to_list() == ["shape", "macs, flops, bytes, window"]
    assert len(eg.diff(analysis(), analysis()).ops) == 0


def test_a_figure_changes_by_what_it_was_before() -> None:
    figure = Figure(name="flops", unit="FLOP", before=200, after=250)
    assert (figure.difference, figure.change) == (50, 0.25)
    new = Figure(name="flops", unit="FLOP", before=0, after=5)
    assert (new.difference, new.change) == (5, None)
    unknown = Figure(name="flops", unit="FLOP", before=None, after=5)
    assert (unknown.difference, unknown.change) == (None, None)


def test_figures_have_the_types_of_their_declaration_in_frames() -> None:
    found = eg.diff(analysis(), analysis(kernel=5))
    dtypes = found.frame.dtypes.astype(str)
    assert dtypes["macs_before"] == "Int64"
    assert dtypes["time_s_after"].lower() == "float64"
    assert dtypes["bound_after"] == "string"
    assert found.ops.dtypes.astype(str)["bytes_after"] == "Int64"


def test_a_title_says_what_was_analysed() -> None:
    assert eg.diff(analysis(), analysis()).before.title == "net, cpu"
    assert eg.diff(analysis(stage="lowered"), analysis()).before.title == "net, cpu, lowered"
