"""What every presenter of a diff says alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph.compare.result import Facet, Figure, LayerChange, LayerFigures
from edgegraph.compare.words import aligned, bound_change, facet, relative, time_change, value


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(1, 1, "="), (0, 3, "new"), (4, 6, "+50 %"), (100, 120, "+20 %"),
     (1000, 1099, "+9.9 %"), (1000, 999, "-0.1 %"), (1e9, 1e9 + 1, "+<0.1 %"),
     (2, 30, "x 15"), (10, 0, "-100 %"), (None, 3, "")],
)  # fmt: skip
def test_changes_are_written_short(before: float | None, after: float, said: str) -> None:
    assert relative(before, after) == said


LAYER = LayerFigures(
    layer="Net/dense", ops=1, params=0, param_bytes=0, macs=1, flops=2, transcendentals=0,
    bytes_read=3, bytes_written=4, peak_bytes=None, compute_time_s=1e-6, memory_time_s=2e-6,
    bound="memory", time_s=2e-3, time_source="measured",
)  # fmt: skip


def layer(
    before: LayerFigures | None, after: LayerFigures | None, verdict: str | None = None
) -> LayerChange:
    return LayerChange(
        phase="forward", depth=1, leaf=True, aligned_by="order", before=before, after=after,
        time_verdict=verdict,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("slower", "+50 %"),
        ("estimated", "~+50 %"),
        ("no difference", "="),
        ("NOISY", "NOISY"),
        (None, "not comparable"),
    ],
)
def test_a_layers_time_is_held_against_its_noise(verdict: str | None, said: str) -> None:
    assert time_change(layer(LAYER, replace(LAYER, time_s=3e-3), verdict)) == said
    assert time_change(layer(LAYER, None, verdict)) == ""


def test_what_binds_and_what_a_layer_was_called_are_told_where_they_differ() -> None:
    other = replace(LAYER, layer="Net/head", bound="compute")
    assert bound_change(layer(LAYER, LAYER)) == "memory"
    assert bound_change(layer(LAYER, other)) == "memory → compute"
    assert bound_change(layer(LAYER, replace(LAYER, bound=None))) == "memory → nothing"
    assert bound_change(layer(None, other)) == "compute"
    assert aligned(layer(LAYER, other)) == "was Net/dense, by order"
    assert aligned(layer(LAYER, LAYER)) == aligned(layer(LAYER, None)) == ""


@pytest.mark.parametrize(
    ("unit", "number", "said"),
    [("", 1234, "1,234"), ("FLOP", 2_500_000, "2.5 MFLOP"), ("s", 0.0031, "3.1 ms"),
     ("/s", 250.0, "250 /s"), ("FLOP/B", None, "?")],
)  # fmt: skip
def test_a_figure_is_written_with_its_unit(unit: str, number: float | None, said: str) -> None:
    figure = Figure(name="any", unit=unit, before=number, after=number)
    assert value(figure, "before") == said


def test_what_went_out_of_a_kernel_and_came_in_is_said_in_words() -> None:
    assert facet(Facet(name="fused ops", before="2 add", after="")) == "fused ops: without 2 add"
    both = Facet(name="fused ops", before="add", after="dot")
    assert facet(both) == "fused ops: without add, with dot"
    assert facet(Facet(name="shape", before="f32[2]", after="f32[3]")) == "shape f32[2] → f32[3]"
