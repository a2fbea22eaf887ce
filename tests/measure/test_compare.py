"""Verdicts on samples made by hand, and on programs in fresh processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.compiler import compile as compile_workload
from edgegraph.errors import InputError
from edgegraph.measure import compare
from edgegraph.measure.compare import compare_timings, conclude, process_times
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.files import load
from edgegraph.results.timing import ProcessTimes, TimingComparison
from tests.measure.apart import compiled, train_step

FEW = MeasurementSettings(
    warm_up_calls=1, warm_up_s=0.0, minimum_samples=10, minimum_s=0.0, limit_s=2.0
)


def seen(
    ratios: Sequence[float],
    control: Sequence[float] | None = None,
    others_share: float | None = 0.0,
) -> list[ProcessTimes]:
    """Return processes with these ratios; their control is steady where None."""
    return [
        ProcessTimes(
            first_s=0.001,
            second_s=0.001 * ratio,
            control_s=0.001 * same,
            ratio=ratio,
            control_ratio=same,
            pairs=100,
            others_share=others_share,
        )
        for ratio, same in zip(ratios, control or [1.0] * len(ratios), strict=True)
    ]


def verdict(*arguments: object, **options: object) -> TimingComparison:
    return conclude(("a", "b"), seen(*arguments, **options), cores=2)  # type: ignore[arg-type]  # handed on as they come


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ((1.0, 1.0, 1.0, 1.0, 1.0), "no difference"),
        ((0.99, 1.0, 1.01, 1.0, 1.0), "no difference"),
        ((1.009, 1.009, 1.009, 1.009, 1.009), "no difference"),  # sure, but below 1 %
        ((0.98, 1.05, 1.0, 1.03, 0.99), "no difference"),  # mean 1.01, give or take 0.03
        ((1.10, 1.10, 1.11, 1.09, 1.10), "slower"),
        ((1.02, 1.021, 1.019, 1.02, 1.02), "slower"),
        ((0.90, 0.91, 0.90, 0.89, 0.90), "faster"),
        ((1.3, 0.8, 1.1, 1.5, 0.7), "NOISY"),
        ((1.3, 1.4, 1.2, 2.0, 1.6), "NOISY"),  # slower for sure, but nobody knows how much
    ],
)
def test_verdicts(ratios: tuple[float, ...], expected: str) -> None:
    found = verdict(ratios)
    assert found.verdict == expected
    assert bool(found.reasons) == (expected == "NOISY")
    assert found.interval[0] <= found.ratio <= found.interval[1]


def test_ratio_and_interval_are_those_of_the_logarithms() -> None:
    ratios = (1.02, 0.97, 1.05, 1.01)
    found = verdict(ratios)
    logs = np.log(ratios)
    expected = scipy.stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert found.ratio == pytest.approx(scipy.stats.gmean(ratios))
    assert found.interval == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.largest_difference == pytest.approx(
        max(found.interval[1] - 1, 1 - found.interval[0])
    )


def test_a_busy_second_process_makes_every_verdict_noisy() -> None:
    """Calls that take turns suffer alike from it, so only the system's count tells of it."""
    for ratios in ((1.0, 1.0, 1.0), (1.10, 1.10, 1.10), (0.5, 0.5, 0.5)):
        found = verdict(ratios, others_share=0.4)
        assert found.verdict == "NOISY"
        assert found.reasons == ("other processes took 40% of the cores' time, more than 10%",)
        assert verdict(ratios, others_share=0.05).verdict != "NOISY"
        assert verdict(ratios, others_share=None).verdict != "NOISY"


def test_no_verdict_goes_below_what_the_control_shows() -> None:
    ratios = (1.020, 1.021, 1.019, 1.020, 1.020)
    assert verdict(ratios).verdict == "slower"
    wavering = (0.98, 1.03, 1.01, 1.02, 1.00)  # its interval reaches from 0.98 to 1.03
    found = verdict(ratios, wavering)
    assert found.verdict == "NOISY"
    assert "differs from itself as far" in found.reasons[0]
    assert verdict((1.10, 1.10, 1.10, 1.10, 1.10), wavering).verdict == "slower"


def test_a_control_that_strays_makes_it_noisy() -> None:
    found = verdict((1.0, 1.0, 1.0), (1.05, 1.05, 1.051))
    assert found.verdict == "NOISY"
    assert "times as slow as itself" in found.reasons[0]


@given(st.lists(st.floats(0.2, 5.0), min_size=3, max_size=8))
def test_the_other_way_round_is_the_opposite(ratios: list[float]) -> None:
    opposite = {"faster": "slower", "slower": "faster"}
    there, back = verdict(ratios), verdict([1 / ratio for ratio in ratios])
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.interval == pytest.approx((1 / there.interval[1], 1 / there.interval[0]))
    on_the_edge = any(
        math.isclose(bound, limit) for bound in there.interval for limit in (1 / 1.01, 1.0, 1.01)
    )
    assert on_the_edge or there.verdict == opposite.get(back.verdict, back.verdict)


def test_the_same_program_is_called_different_in_few_of_many_runs() -> None:
    """Ratios that scatter by 1 % from process to process, as they do on a shared machine."""
    random = np.random.default_rng(0)
    runs = [
        verdict(random.lognormal(0.0, 0.01, 5), random.lognormal(0.0, 0.01, 5).tolist())
        for _ in range(1000)
    ]
    assert sum(run.verdict in ("faster", "slower") for run in runs) < 0.02 * len(runs)
    assert sum(run.verdict == "no difference" for run in runs) > 0.95 * len(runs)


def test_ten_percent_are_found_in_most_of_many_runs() -> None:
    random = np.random.default_rng(0)
    runs = [
        verdict(1.1 * random.lognormal(0.0, 0.02, 5), random.lognormal(0.0, 0.02, 5).tolist())
        for _ in range(1000)
    ]
    assert sum(run.verdict == "slower" for run in runs) > 0.9 * len(runs)


def test_a_process_compares_calls_of_the_same_round() -> None:
    """The machine gets slower and slower; within a round the second takes 5 % longer."""
    drift = np.linspace(1.0, 3.0, 101)
    times = process_times(
        first_s=drift.tolist(),
        control_s=drift.tolist(),
        second_s=(1.05 * drift[:100]).tolist(),  # time was up before its last turn
        others_share=None,
    )
    assert times.ratio == pytest.approx(1.05)
    assert times.control_ratio == 1.0
    assert times.pairs == 100
    assert times.second_s == pytest.approx(1.05 * times.first_s)


def test_one_call_that_was_disturbed_does_not_count() -> None:
    steady = [0.001] * 20
    times = process_times(
        first_s=steady, control_s=steady, second_s=[1.0, *steady[1:]], others_share=None
    )
    assert times.ratio == 1.0


def test_programs_in_fresh_processes(tmp_path: Path) -> None:
    messages: list[tuple[str, float | None]] = []
    first = compiled(lambda x: x @ x, jnp.ones((8, 8)), name="one")
    second = compiled(lambda x: x @ x @ x, jnp.ones((8, 8)), name="two")
    found = compare_timings(
        first, second, processes=3, settings=FEW, progress=lambda *said: messages.append(said)
    )
    assert (found.first, found.second) == ("one", "two")
    assert found.verdict in ("faster", "slower", "no difference", "NOISY")
    assert len(found.processes) == 3
    assert all(one.pairs >= 10 for one in found.processes)
    assert list(found.frame["ratio"]) == [one.ratio for one in found.processes]
    assert str(found).count("\n") == 0
    assert messages[0][0].startswith("one against two, process 1 of 3: timing")
    fractions = [fraction for _, fraction in messages if fraction is not None]
    assert fractions == sorted(fractions)
    assert load(found.save(tmp_path / "found.edgegraph")) == found


def test_train_steps_and_names() -> None:
    found = compare_timings(train_step(), train_step(), processes=3, settings=FEW)
    assert (found.first, found.second) == ("test (first)", "test (second)")


@pytest.mark.parametrize("processes", [0, 2, 3.0, True])
def test_too_few_processes(processes: int) -> None:
    with pytest.raises(InputError, match="of at least 3"):
        compare_timings(train_step(), train_step(), processes=processes)


def test_functions_need_arguments() -> None:
    with pytest.raises(InputError, match="pass them as args"):
        compare_timings(jnp.sin, jnp.cos)
    program = compile_workload(jnp.sin, jnp.ones(3), name="sine")
    assert compare._program(program, None, None, None) is program
