"""The knee and the batch for a budget, by hand."""

from __future__ import annotations

import pytest

from edgegraph.studies.sweep.choice import find_knee, within_budget
from edgegraph.studies.sweep.result import SweepPoint
from tests.studies.sweeps import failed, point

RATES = {1: 100.0, 2: 190.0, 4: 300.0, 8: 390.0, 16: 400.0, 32: 405.0}


def curve(rates: dict[int, float], **noisy: str) -> list[SweepPoint]:
    return [
        point(batch, rate, verdict=noisy.get(f"b{batch}", "OK")) for batch, rate in rates.items()
    ]


def test_the_knee_is_the_smallest_batch_within_five_percent_of_the_best() -> None:
    knee = find_knee(curve(RATES))
    # 390 / 405 = 0.963; 300 / 405 = 0.741
    assert knee.batch == 8
    assert knee.throughput_per_s == 390.0
    assert (
        knee.reason
        == "batch 8 is the smallest within 5 % of the best throughput, 405/s at batch 32"
    )


def test_noise_beyond_five_percent_widens_the_margin() -> None:
    points = [
        *curve({1: 100.0, 2: 190.0, 4: 370.0, 8: 390.0, 16: 400.0}),
        point(32, 405, noise=0.09),
    ]
    # 370 / 405 = 0.914, within 9 % of the best
    assert find_knee(points).batch == 4


def test_there_is_no_knee_while_throughput_grows() -> None:
    knee = find_knee(curve({1: 100.0, 2: 190.0, 4: 370.0}))
    assert knee.batch is None
    assert knee.reason == "throughput still grows at batch 4, the largest; sweep further"


def test_throughput_that_falls_again_has_its_knee_at_the_best() -> None:
    knee = find_knee(curve({1: 100.0, 2: 200.0, 4: 150.0, 8: 120.0}))
    assert (knee.batch, knee.reason) == (2, "batch 2 has the best throughput, 200/s")


@pytest.mark.parametrize(
    ("noisy", "said"), [("b32", False), ("b8", False), ("b4", False), ("b1", True), ("b16", True)]
)
def test_noise_withholds_the_knee_only_where_it_decides(noisy: str, said: bool) -> None:
    knee = find_knee(curve(RATES, **{noisy: "NOISY"}))
    assert knee.batch == (8 if said else None)
    if not said:
        assert knee.reason == f"not said, since the throughput at batch {noisy[1:]} is NOISY"


def test_a_knee_needs_three_batches() -> None:
    knee = find_knee([*curve({1: 100.0, 2: 100.0}), failed(4)])
    assert knee.batch is None
    assert knee.reason.startswith("2 batch sizes were measured")
    alone = find_knee(curve({1: 100.0}))
    assert alone.reason.startswith("1 batch size was measured")


def test_points_may_come_in_any_order() -> None:
    assert find_knee(curve(RATES)[::-1]).batch == 8


def test_a_budget_is_held_by_the_p90() -> None:
    points = [point(8, 400.0, latency_s=0.010), point(16, 420.0, latency_s=0.0135)]
    # The p90 lies 10 % above the median: 11 ms and 14.85 ms.
    assert within_budget(points, 0.014).batch == 8
    assert within_budget(points, 0.015).batch == 16
    assert within_budget(points, 0.014).reason == "batch 8 keeps 14 ms with a p90 of 11 ms, 400/s"


def test_the_budget_goes_to_the_highest_throughput() -> None:
    points = [point(8, 400.0, 0.01), point(16, 380.0, 0.02), failed(32)]
    assert within_budget(points, 1.0).batch == 8


def test_no_batch_may_keep_the_budget() -> None:
    choice = within_budget([point(1, 100.0, 0.01), point(2, 150.0, 0.02)], 0.005)
    assert choice.batch is None
    assert choice.reason == ("no batch size keeps 5 ms; batch 1 comes closest with a p90 of 11 ms")


def test_a_noisy_latency_keeps_no_budget() -> None:
    choice = within_budget([point(1, 100.0, 0.01), point(2, 150.0, 0.01, verdict="NOISY")], 1.0)
    assert choice.batch is None
    assert choice.reason == "not said, since the latency at batch 2 is NOISY"


def test_noise_that_may_hide_a_better_batch_withholds_the_choice() -> None:
    """The noisy one's p90 is 13.2 ms, but its fastest call takes 10.8 ms."""
    quiet, noisy = point(1, 100.0, 0.01), point(2, 150.0, 0.012, verdict="NOISY")
    said = "not said, since the latency at batch 2 is NOISY"
    assert within_budget([quiet, noisy], 0.0115).reason == said
    assert within_budget([noisy], 0.0115).reason == said
    # Worse than what was found, or out of reach, it does not matter.
    assert within_budget([quiet, point(2, 90.0, 0.012, verdict="NOISY")], 0.0115).batch == 1
    assert within_budget([quiet, point(2, 150.0, 0.02, verdict="NOISY")], 0.0115).batch == 1


def test_nothing_measured_is_nothing_chosen() -> None:
    assert within_budget([failed(1)], 1.0).batch is None


def test_of_equal_throughputs_the_smaller_batch_keeps_the_budget() -> None:
    assert within_budget([point(16, 400.0, 0.01), point(8, 400.0, 0.01)], 1.0).batch == 8
