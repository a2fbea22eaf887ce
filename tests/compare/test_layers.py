"""Times are compared with their noise, and not at all where they cannot be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import hypot

import pytest

import edgegraph as eg
from edgegraph.compare.result import LayerChange
from edgegraph.results.analysis import Analysis
from tests import analyses, programs
from tests.compare.networks import analysis


@cache
def measured(seconds: float, verdict: str = "OK") -> Analysis:
    found = analyses.measured(analyses.small_cnn(4), seconds)
    assert found.latency is not None
    return replace(found, latency=replace(found.latency, verdict=verdict))


def layer(diff: eg.Diff, name: str) -> LayerChange:
    (row,) = [row for row in diff.layer_changes if row.layer == name]
    return row


# The middle half of every measurement spreads over 3 % of its median: together 4.3 %.
@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "no difference"), (1.04, "no difference"), (1.05, "slower"), (0.9, "faster")],
)
def test_a_difference_within_the_noise_is_none(factor: float, verdict: str) -> None:
    found = eg.diff(measured(1e-3), measured(factor * 1e-3))
    assert found.totals.loc["latency_s", "verdict"] == verdict
    row = layer(found, "SmallCNN/conv1")
    assert row.time_verdict == verdict
    # One launch more (5 us) is part of what was measured of a layer.
    spreads = [0.03 * (each * 1e-3 + 5e-6) for each in (1.0, factor)]
    assert row.noise_s == pytest.approx(hypot(*spreads))
    assert found.empty


def test_a_noisy_measurement_says_nothing() -> None:
    found = eg.diff(measured(1e-3), measured(2e-3, verdict="NOISY"))
    assert found.totals.loc["latency_s", "verdict"] == "NOISY"


def test_estimates_are_compared_on_one_device_only() -> None:
    one = analyses.small_cnn(4)
    assert layer(eg.diff(one, one), "SmallCNN/conv1").time_verdict == "estimated"
    faster = replace(analyses.DEVICE, name="another")
    elsewhere = replace(one, device=faster)
    assert layer(eg.diff(one, elsewhere), "SmallCNN/conv1").time_verdict is None


def test_measured_and_estimated_times_are_not_compared() -> None:
    found = eg.diff(analyses.small_cnn(4), measured(1e-3))
    assert layer(found, "SmallCNN/conv1").time_verdict is None
    assert found.figures[-1].before is None
    assert found.figures[-1].after is not None


def test_another_machine_is_told() -> None:
    one = measured(1e-3)
    there = replace(one, environment=replace(one.environment, processor="another"))
    (note,) = eg.diff(one, there).notes
    assert note.startswith("the times are of two machines: ")


def test_renamed_layers_are_recognised_and_nothing_differs() -> None:
    found = eg.diff(analysis(), analysis(names=("stem", "body", "head")))
    assert found.empty
    assert {row.layer: row.aligned_by for row in found.layer_changes} == {
        "Net": "path",
        "Net/stem": "signature",
        "Net/body": "signature",
        "Net/head": "signature",
        "Net/(own)": "path",
    }
    renamed = {row.before.layer: row.layer for row in found.layer_changes if row.before}
    assert renamed["Net/conv2"] == "Net/body"


def test_two_models_are_aligned_by_order_and_name() -> None:
    function, arguments = programs.small_cnn(4)
    other = eg.analyze(eg.compile(function, *arguments, name="small_cnn"))
    rows = {row.layer: row for row in eg.diff(analysis(), other).layer_changes}
    assert rows["SmallCNN"].aligned_by == "order"
    assert rows["SmallCNN/conv1"].aligned_by == "name"
    added = [layer for layer, row in rows.items() if row.kind == "added"]
    assert added == ["SmallCNN/dense1"]
    dense = rows["SmallCNN/dense2"]
    assert dense.before is not None
    assert dense.before.layer == "Net/dense"
