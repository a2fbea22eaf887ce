from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from edgegraph.base.timing import no_progress
from edgegraph.device.calibration import calibrate as calibration
from edgegraph.device.calibration import rate_kernels
from edgegraph.device.calibration.calibrate import (
    Plan,
    calibrate,
    intervals_from_samples,
    levels_from_samples,
    measure_host,
    peaks_from_samples,
    source_of,
)
from edgegraph.device.calibration.peaks import Effort, Probe, Sampled
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.device import Device
from edgegraph.device.host import Cache

KIB = 1024
TINY_EFFORT = Effort(window_s=0.0, minimum_runs=1, minimum_rounds=2, agreement=1.0, limit_s=5.0)


def tiny_plan(caches: tuple[Cache, ...], *, kernels: bool = False) -> Plan:
    return Plan(
        kernels=kernels,
        product_sizes={"f32": (64, 128), "bf16": (64,)},
        convolution=False,
        caches=caches,
        cores=2,
        memory_bytes=2 * 1024 * KIB,
    )


CACHES = (
    Cache(name="L1", size_bytes=64 * KIB, instances=2),
    Cache(name="L2", size_bytes=256 * KIB, instances=1),
)


def sampled(group: str, *rates: float, working_set: int | None = None) -> Sampled:
    probe = Probe(group=group, label="", work=1.0, run=lambda _: 1.0, working_set_bytes=working_set)
    return Sampled(probe=probe, rates=rates)


SAMPLES = [
    sampled("f32", 90.0, 100.0),
    sampled("f32", 120.0),
    sampled("s8", 300.0, 310.0),
    sampled("L1", 40.0, 41.0, working_set=16 * KIB),
    sampled("L1", 45.0, 44.0, working_set=32 * KIB),
    sampled("DRAM", 8.0, 7.9, working_set=6 * 64 * KIB),
    sampled("dispatch", 2e5),
]


def test_a_peak_is_the_best_sustained_round_of_the_best_kernel() -> None:
    # f32 by round: 120 and 100, which do not confirm each other; s8: 300 confirms 310.
    assert peaks_from_samples(SAMPLES, 0.05) == {"f32": 120.0, "s8": 310.0}
    once = [*SAMPLES, sampled("f32", 60.0, 60.0, 99.0)]
    assert peaks_from_samples(once, 0.05) == {"f32": 100.0, "s8": 310.0}


def test_the_interval_of_a_level_is_no_lower_than_that_of_a_larger_one() -> None:
    samples = [
        sampled("f32", 90.0, 90.0),
        sampled("L2", 29.0, 29.0, working_set=32 * KIB),
        sampled("DRAM", 31.0, 31.0, working_set=64 * KIB),
    ]
    found = intervals_from_samples(samples, 0.05)
    assert found == {"f32": (90.0, 90.0), "L2": (31.0, 31.0), "DRAM": (31.0, 31.0)}


def test_levels_come_from_the_best_rate_at_every_working_set() -> None:
    levels = levels_from_samples(SAMPLES, CACHES[:1], 0.05)
    assert [(level.name, level.bandwidth_bytes_per_s) for level in levels] == [
        ("L1", 45.0),
        ("DRAM", 8.0),
    ]


def test_levels_are_found_where_the_caches_are_unknown() -> None:
    samples = [
        sampled(f"{kib}", rate, working_set=kib * KIB)
        for kib, rate in {16: 100.0, 32: 101.0, 64: 99.0, 128: 30.0, 256: 20.0, 512: 20.0}.items()
    ]
    levels = levels_from_samples(samples, (), 0.05)
    assert [(level.name, level.size_bytes, level.bandwidth_bytes_per_s) for level in levels] == [
        ("L1", 64 * KIB, 101.0),
        ("DRAM", None, 20.0),
    ]


@pytest.mark.parametrize(
    ("f32", "others_share", "noisy"),
    [
        ((100.0, 99.0, 60.0, 98.0), 0.02, False),
        ((100.0, 99.0, 60.0, 98.0), None, False),
        ((100.0, 99.0, 60.0, 98.0), 0.3, True),
        ((100.0, 60.0, 62.0, 61.0), 0.02, False),
        ((100.0, 80.0, 60.0, 90.0), 0.02, True),
    ],
)
def test_noise_is_named(f32: tuple[float, ...], others_share: float | None, noisy: bool) -> None:
    samples = [sampled("f32", *f32), sampled("DRAM", 8.0, 8.0, working_set=1)]
    source = source_of(samples, Effort(), others_share)
    assert source.startswith("measured by edgegraph calibrate: ")
    assert ("NOISY" in source) == noisy
    assert ("other processes" in source) == (others_share is not None)


def test_the_typical_round_is_told() -> None:
    samples = [sampled("f32", 100.0, 90.0, 80.0), sampled("DRAM", 8.0, 8.0, working_set=1)]
    assert "typical rounds below the best: f32 10%, DRAM 0%" in source_of(samples, Effort(), None)


def check(device: Device) -> None:
    assert list(device.peak_flops_per_s) == ["f32", "bf16"]
    assert all(rate > 0 for rate in device.peak_flops_per_s.values())
    assert device.memory[-1].name == "DRAM"
    assert device.memory[-1].size_bytes is None
    for smaller, larger in pairwise(device.memory):
        assert smaller.bandwidth_bytes_per_s >= larger.bandwidth_bytes_per_s > 0
    assert device.origin == "calibrated"
    assert device.dispatch_s is not None
    assert device.dispatch_s > 0
    assert device.fingerprint
    assert device.measured_at


def test_a_tiny_calibration_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one kernel of each kind, the smallest."""
    every = list(rate_kernels.cases())
    kinds = {each.kind: each for each in sorted(every, key=lambda each: each.work, reverse=True)}
    monkeypatch.setattr(rate_kernels, "cases", lambda: iter(kinds.values()))
    messages: list[str] = []
    device = measure_host(
        tiny_plan(CACHES, kernels=True),
        effort=TINY_EFFORT,
        progress=lambda message, _: messages.append(message),
    )
    check(device)
    assert [level.name for level in device.memory] == ["L1", "L2", "DRAM"]
    assert "compiling f32 kernels" in messages
    assert {rate.kind for rate in device.kernel_rates} == set(kinds)


def test_larger_products_are_left_out_on_a_slow_machine() -> None:
    plan = Plan(
        product_sizes={"f32": (16, 32, 48)}, slow_s=-1.0, caches=(), cores=1, memory_bytes=None
    )
    labels = [probe.label for probe in calibration._arithmetic_probes(plan, lambda: 0, no_progress)]
    assert [label for label in labels if "product" in label] == ["f32 matrix product of 16"]


def test_calibrate_stores_what_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    made = measure_host(tiny_plan(()), effort=TINY_EFFORT)
    check(made)
    monkeypatch.setattr(calibration, "measure_host", lambda plan, effort, progress: made)
    device = calibrate(store=False)
    assert load_calibration() is None
    device = calibrate()
    assert load_calibration() == device


def test_first_roofs_have_every_dtype_and_level_and_an_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With fewer kernels: one product a dtype, f32 apart, and one working set a level."""
    first = tiny_plan(CACHES).for_first_roofs()
    assert list(first.product_sizes) == list(Plan.for_this_host().product_sizes)
    assert first.caches == CACHES
    monkeypatch.setattr(calibration, "FIRST_SIZES", {"f32": (64,), "bf16": (64,)})
    device = measure_host(tiny_plan(CACHES).for_first_roofs(), effort=TINY_EFFORT)
    check(device)
    assert not device.kernel_rates
    assert set(device.intervals) == {"f32", "bf16", "L1", "L2", "DRAM"}
    for dtype, peak in device.peak_flops_per_s.items():
        low, high = device.intervals[dtype]
        assert low <= high == pytest.approx(peak)


def test_the_plan_of_this_host_starts_with_the_reference_dtype() -> None:
    plan = Plan.for_this_host()
    assert next(iter(plan.product_sizes)) == "f32"
    assert plan.cores >= 1
