"""Latency under conditions that only a fresh process has, or that have to be made."""

from __future__ import annotations

import pytest

from edgegraph.analysis.analyze import analyze
from edgegraph.compiler import compile as compile_workload
from edgegraph.device import host
from edgegraph.errors import InputError
from edgegraph.measure import latency
from edgegraph.measure import latency as cold
from edgegraph.measure.interleaved import sample_in_rounds
from edgegraph.measure.latency import measure_latency, measure_program
from edgegraph.measure.process import measure_apart
from edgegraph.measure.sampling import MeasurementSettings, Series, summarise
from tests import programs
from tests.measure.apart import FEW, eigenvalues, ticking, train_step
from tests.measure.fake_clock import FakeClock

MANY = len(host.usable_cores()) > 1


def test_in_a_process_of_its_own() -> None:
    found = measure_apart(eigenvalues(), settings=FEW)
    assert found.synchronous
    assert (found.cache, found.cores) == ("warm", len(host.usable_cores()))
    assert found.samples >= 6
    assert found.dispatch_s is not None


@pytest.mark.skipif(not MANY, reason="there is only one core")
def test_on_one_core_and_with_cold_caches() -> None:
    function, arguments = programs.small_cnn(1)
    program = compile_workload(function, *arguments, name="cnn")
    found = measure_apart(program, cores=1, cache="cold", settings=FEW)
    assert (found.cache, found.cores, found.calls_per_sample) == ("cold", 1, 1)


@pytest.mark.slow
def test_an_analysis_takes_what_it_is_asked_for() -> None:
    function, arguments = programs.small_cnn(1)
    found = analyze(
        function, args=arguments, throughput=True, cold=True, cores=1, settings=FEW, name="cnn"
    )
    assert found.latency is None
    conditions = [(one.cache, one.cores) for one in found.other_latencies]
    assert conditions == [("cold", len(host.usable_cores())), ("warm", 1)]
    assert [one.queue_depth for one in found.throughputs] == sorted(
        {one.queue_depth for one in found.throughputs}
    )
    assert found.throughputs
    with pytest.raises(InputError, match="no executable that could be measured"):
        analyze(function, args=arguments, stage="lowered", throughput=True)


def test_no_more_cores_than_there_are() -> None:
    for cores in (0, 100_000, True):
        with pytest.raises(InputError, match="this process may use"):
            measure_apart(train_step(), cores=cores)


def test_cold_caches_are_emptied_before_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[int] = []

    def emptier() -> object:
        return lambda: emptied.append(1)

    monkeypatch.setattr(latency, "cache_emptier", emptier)
    found = measure_program(train_step(), cache="cold", settings=FEW, clock=ticking())
    assert found.cache == "cold"
    assert found.median_s == found.dispatch_s == 0.001  # nothing of it is in the times
    # Program and null executable: first call, warm-up, samples.
    assert len(emptied) == 2 * (1 + 1 + found.samples)
    with pytest.raises(InputError, match="'tepid'"):
        measure_program(train_step(), cache="tepid")


def test_four_times_the_last_cache_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = (
        host.Cache(name="L1", size_bytes=1024, instances=1),
        host.Cache(name="L2", size_bytes=4096, instances=1),
    )
    monkeypatch.setattr(host, "caches", lambda cores: caches)
    assert cold.cold_bytes() == 4 * 4096
    cold.cache_emptier()()
    monkeypatch.setattr(host, "caches", lambda cores: ())
    with pytest.raises(InputError, match="how large its caches are"):
        cold.cache_emptier()


def test_what_comes_before_a_call_counts_for_the_plan_and_not_for_the_time() -> None:
    clock = FakeClock()

    def before() -> None:
        clock.now += 50_000_000

    series = Series(call=clock.call(4e-6), before=before, clock=clock)
    settings = MeasurementSettings(limit_s=3.0)
    sample_in_rounds([series], settings, clock, rewarm=False)
    assert clock.now <= 3.5e9
    found = summarise(series, stopped_by="", settings=settings)
    assert found.median_s == pytest.approx(4e-6)
    assert found.calls_per_sample == 1  # a block would time what comes between


def test_a_clock_of_the_tests_sees_no_other_processes() -> None:
    clock = FakeClock()
    assert measure_latency(clock.call(0.01), clock=clock).others_share is None
