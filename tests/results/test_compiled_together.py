"""One piece against its parts; expected values by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph.results.columns import frame as table
from edgegraph.results.compiled_together import TOGETHER_COLUMNS, compare_together
from edgegraph.results.timing import Latency, LayerLatency
from tests import analyses


def timed(net_s: float, spread: float = 0.0, verdict: str = "OK") -> Latency:
    """Return a latency of `net_s` above a floor of 5 µs, known to such a share of itself."""
    latency = analyses.latency(net_s + 5e-6, dispatch_s=5e-6, verdict=verdict)
    return replace(latency, relative_iqr=spread, interval_s=None)


def layer(name: str, latency: Latency, executions: int = 1) -> LayerLatency:
    return LayerLatency(layer=name, phase="forward", latency=latency, executions=executions)


def test_the_whole_against_the_sum_of_its_layers() -> None:
    parts = [layer("Net/a", timed(30e-6)), layer("Net/b", timed(10e-6), executions=5)]
    (whole,) = compare_together(timed(60e-6), parts)
    assert (whole.layer, whole.depth, whole.parts) == (None, None, 2)
    assert whole.together_s == pytest.approx(60e-6)
    assert whole.alone_s == pytest.approx(80e-6)
    assert whole.difference_s == pytest.approx(-20e-6)
    assert whole.change == pytest.approx(-0.25)
    assert whole.verdict == "gained"


@pytest.mark.parametrize(
    ("together_s", "verdict"),
    [(79e-6, "gained"), (99.5e-6, "no difference"), (100.5e-6, "no difference"), (121e-6, "cost")],
)
def test_differences_below_a_percent_are_none(together_s: float, verdict: str) -> None:
    (whole,) = compare_together(timed(together_s), [layer("Net", timed(100e-6))])
    assert whole.verdict == verdict


def test_the_noise_of_different_layers_adds_in_squares_that_of_one_layer_linearly() -> None:
    # The whole: 0.03 x 100 µs = 3 µs; a runs 4 times: 4 x 0.05 x 20 µs = 4 µs; 3, 4: 5.
    whole = timed(95e-6, spread=0.03)
    a = timed(15e-6, spread=0.05)
    parts = [layer("Net/a1", a, executions=3), layer("Net/a2", a)]
    (compared,) = compare_together(whole, parts)
    assert compared.noise_s == pytest.approx(5e-6)
    assert compared.verdict == "cost"
    (hidden,) = compare_together(replace(whole, median_s=69e-6), parts)
    assert hidden.verdict == "no difference"


def test_no_verdict_where_a_measurement_is_noisy() -> None:
    clean, noisy = timed(60e-6), timed(60e-6, verdict="NOISY")
    assert compare_together(noisy, [layer("Net", clean)])[0].verdict == "NOISY"
    assert compare_together(timed(90e-6), [layer("Net", noisy)])[0].verdict == "NOISY"
    # A layer that hardly counts may be timed badly.
    small = layer("Net/b", timed(1e-6, verdict="INVALID"))
    assert compare_together(timed(30e-6), [layer("Net/a", clean), small])[0].verdict == "gained"


def test_a_block_against_its_layers() -> None:
    block = LayerLatency(
        layer="Net/block", phase="forward", latency=timed(50e-6), depth=1,
        covers=("Net/block/a", "Net/block/b"), executions=2,
    )  # fmt: skip
    alike = LayerLatency(layer="Net/head", phase="forward", latency=timed(10e-6), depth=1)
    parts = [
        layer("Net/block/a", timed(20e-6), executions=2),
        layer("Net/block/b", timed(20e-6), executions=2),
        layer("Net/block", timed(5e-6), executions=2),
        layer("Net/blocks", timed(70e-6)),
        layer("Net/head", timed(10e-6)),
    ]
    at_1, alone, compared = compare_together(timed(110e-6), [block, alike, *parts])
    assert (at_1.depth, at_1.parts, alone.depth, alone.parts) == (1, 2, None, 5)
    assert [at_1.alone_s, alone.alone_s] == pytest.approx([110e-6, 170e-6])
    assert (compared.layer, compared.phase, compared.depth) == ("Net/block", "forward", None)
    assert (compared.parts, compared.verdict) == (3, "cost")
    assert [compared.together_s, compared.alone_s] == pytest.approx([100e-6, 90e-6])


def test_without_a_floor_nothing_is_compared() -> None:
    blind = replace(timed(60e-6), dispatch_s=None)
    assert compare_together(None, []) == ()
    assert compare_together(blind, [layer("Net", timed(60e-6))]) == ()
    assert compare_together(timed(60e-6), [layer("Net", blind)]) == ()


def test_the_frame() -> None:
    frame = table(compare_together(timed(60e-6), [layer("Net", timed(80e-6))]), TOGETHER_COLUMNS)
    assert list(frame.columns) == [
        "layer", "phase", "depth", "parts", "together_s", "alone_s", "difference_s", "change",
        "noise_s", "verdict",
    ]  # fmt: skip
    (row,) = frame.to_dict("records")
    assert row["change"] == pytest.approx(-0.25)
    assert frame["layer"].isna().all()
    assert table((), TOGETHER_COLUMNS).empty


def test_an_analysis_gives_the_frame() -> None:
    # Five layers of 1 ms; the whole takes 4 ms, 5 µs of which are the launch.
    (row,) = analyses.measured(analyses.small_cnn(32)).compiled_together.to_dict("records")
    assert row["alone_s"] == pytest.approx(5e-3)
    assert row["together_s"] == pytest.approx(4e-3 - 5e-6)
    assert row["verdict"] == "gained"
    assert analyses.small_cnn(32).compiled_together.empty
