"""Calibrates this machine: what is measured, in which order, and what comes out of it.

A calibration gives the roofs of the roofline, so every figure is the best sustained rate that was
found, not a typical one: STREAM and the Empirical Roofline Toolkit report the best repetition for
the same reason. The rates come from kernels that XLA runs for its users, not from data sheets, so
that a roof is one a compiled program can come close to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from edgegraph import xla
from edgegraph.base.timing import (
    Clock,
    Progress,
    collector_paused,
    monotonic_clock,
    no_progress,
)
from edgegraph.device import host
from edgegraph.device.calibration import launches, peak_kernels, peaks, rate_kernels
from edgegraph.device.calibration.peak_kernels import CoreThreads
from edgegraph.device.calibration.saved import machine_identity, save_calibration
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.device.host import NOISY_OTHERS, Cache, OtherProcesses
from edgegraph.errors import EdgeGraphError

REFERENCE_DTYPE = "f32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        product_sizes: Sizes of the matrix products by XLA dtype, ascending; the reference dtype
            first.
        convolution: Whether to try a convolution in the reference dtype too.
        every_size: Whether to sweep the working sets of every memory level, or to take the one that
            fits its best.
        kernels: Whether to measure the table of single kernels, from which times are expected.
        slow_s: Sizes beyond the first that takes this long are left out.
        caches: Of the cores in use, fastest first; empty where unknown.
        memory_bytes: That may be used; None where unknown.
    """

    product_sizes: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            REFERENCE_DTYPE: (384, 512, 768, 1024, 1536),
            "bf16": (512, 768, 1024, 1536),
            "f16": (512, 1024),
            "f64": (384, 512, 1024),
            "s8": (512, 1024, 1536),
        }
    )
    convolution: bool = True
    every_size: bool = True
    kernels: bool = True
    slow_s: float = 0.25
    caches: tuple[Cache, ...]
    cores: int
    memory_bytes: int | None

    @classmethod
    def for_this_host(cls) -> Plan:
        """Return the plan for the cores that this process may run on."""
        cores = host.usable_cores()
        return cls(caches=host.caches(cores), cores=len(cores), memory_bytes=host.memory_bytes())

    def for_first_roofs(self) -> Plan:
        """Return this plan cut down to the kernels that mostly are the best of their roof."""
        return replace(
            self,
            product_sizes=FIRST_SIZES,
            convolution=False,
            every_size=False,
            kernels=False,
        )


FIRST_SIZES = {
    REFERENCE_DTYPE: (512, 1024), "bf16": (1024,), "f16": (512,), "f64": (512,), "s8": (1024,),
}  # fmt: skip

FIRST_EFFORT = peaks.Effort(
    window_s=0.03, minimum_runs=2, full_rounds=2, minimum_rounds=5, limit_s=5.0
)
"""How long to try for first roofs: with compiling, some ten seconds."""


def calibrate(*, full: bool = True, store: bool = True, progress: Progress | None = None) -> Device:
    """Measure this machine's peak arithmetic, memory bandwidth and dispatch floor.

    Takes 45 to 90 seconds, or some ten for first roofs. Peak rates by dtype are the best of a sweep
    of matrix products and a convolution; bandwidths the best of kernels over working sets that fit
    each memory level. A table of single kernels at their typical rates tells what time to expect of
    others. `Device.source` says how far the rounds agreed, and NOISY where other work disturbed
    them; `Device.intervals` between which rates others would find them. Best called before JAX is
    used in the process: later, calls stay asynchronous, and every one takes the wake-up of a thread
    longer.

    Args:
        full: Measure all of that. Else first roofs alone: fewer kernels, fewer rounds, and no
            table, so that no time is expected from it.
        store: Keep the result in the user's cache folder, for `load_calibration`; a warning says
            where that cannot be written.
        progress: Told what is being done and how far it is.

    Returns:
        The calibrated device; rates in FLOP/s and bytes/s.
    """
    with suppress(EdgeGraphError):
        xla.set_synchronous_dispatch()
    plan, effort = Plan.for_this_host(), peaks.Effort()
    if not full:
        plan, effort = plan.for_first_roofs(), FIRST_EFFORT
    device = measure_host(plan, effort=effort, progress=progress or no_progress)
    if store:
        save_calibration(device)
    return device


def measure_host(
    plan: Plan,
    *,
    effort: peaks.Effort | None = None,
    clock: Clock = monotonic_clock,
    progress: Progress = no_progress,
) -> Device:
    """Measure this machine by a plan; see `calibrate`."""
    effort = peaks.Effort() if effort is None else effort
    with CoreThreads(plan.cores) as threads, collector_paused(), OtherProcesses() as others:
        probes = list(_arithmetic_probes(plan, clock, progress))
        progress("compiling memory kernels", 0.0)
        probes += _memory_probes(plan, threads)
        probes.append(peak_kernels.null_calls())
        sampled = peaks.sample(probes, effort=effort, clock=clock, progress=progress)
    dispatch_s = 1 / peaks.sustained(peaks.group_rounds(sampled)[peaks.DISPATCH], effort.agreement)
    device = Device(
        name=host.processor(),
        peak_flops_per_s=peaks_from_samples(sampled, effort.agreement),
        memory=levels_from_samples(sampled, plan.caches, effort.agreement),
        intervals=intervals_from_samples(sampled, effort.agreement),
        origin="calibrated",
        source=source_of(sampled, effort, others.share),
        dispatch_s=dispatch_s,
        fingerprint=machine_identity(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        capacity_bytes=host.machine_memory_bytes(),
    )
    return _with_kernels(device, progress) if plan.kernels else device


def _with_kernels(device: Device, progress: Progress) -> Device:
    """Return the device with all from which times are expected."""
    loop_op_launch_s, loop_step_s = launches.measure_loop()
    argument_s, result_s = launches.measure_leaves()
    return replace(
        device,
        kernel_rates=rate_kernels.measure_kernels(launches.measure_call(), progress=progress),
        op_launch_s=launches.measure_op_launch(),
        loop_op_launch_s=loop_op_launch_s,
        loop_step_s=loop_step_s,
        argument_s=argument_s,
        result_s=result_s,
    )


def peaks_from_samples(sampled: Sequence[peaks.Sampled], agreement: float) -> dict[str, float]:
    """Return the best sustained arithmetic rate by dtype, in FLOP/s, in the order first seen."""
    arithmetic = (one for one in sampled if one.probe.working_set_bytes is None)
    return {
        group: peaks.sustained(rates, agreement)
        for group, rates in peaks.group_rounds(arithmetic).items()
        if group != peaks.DISPATCH
    }


def levels_from_samples(
    sampled: Sequence[peaks.Sampled], caches: Sequence[Cache], agreement: float
) -> tuple[MemoryLevel, ...]:
    """Return the memory levels; the caches are found on the curve where they are not known."""
    points = [
        peaks.Point(
            working_set_bytes=one.probe.working_set_bytes,
            bytes_per_s=peaks.sustained(one.rates, agreement),
        )
        for one in sampled
        if one.probe.working_set_bytes is not None
    ]
    return peaks.levels_from_curve(points, caches or peaks.caches_from_curve(points))


def intervals_from_samples(
    sampled: Sequence[peaks.Sampled], agreement: float
) -> dict[str, tuple[float, float]]:
    """Return between which rates other rounds would find each dtype's, or each level's.

    As its rate, a level's interval is no lower than that of a larger one.
    """
    found = {
        group: peaks.sustained_interval(rates, agreement)
        for group, rates in peaks.group_rounds(sampled).items()
        if group != peaks.DISPATCH
    }
    levels = {one.probe.group for one in sampled if one.probe.working_set_bytes is not None}
    larger = (0.0, 0.0)
    for group in reversed([group for group in found if group in levels]):
        low, high = found[group]
        found[group] = larger = max(low, larger[0]), max(high, larger[1])
    return found


def source_of(
    sampled: Sequence[peaks.Sampled], effort: peaks.Effort, others_share: float | None
) -> str:
    """Describe where the figures come from and how far they can be trusted.

    NOISY means that no two rounds agreed on the rate of the reference dtype or of main memory,
    or that other processes took over a tenth of the cores' time.
    """
    rounds = {
        name: rates
        for name, rates in peaks.group_rounds(sampled).items()
        if name in (REFERENCE_DTYPE, peaks.MAIN_MEMORY)
    }
    typical = ", ".join(
        f"{name} {peaks.typical_shortfall(rates):.0%}" for name, rates in rounds.items()
    )
    parts = [
        "measured by edgegraph calibrate: best sustained rate of products, convolutions,"
        " updates in place and matrix-vector products compiled by XLA, in"
        f" {max(len(one.rates) for one in sampled)} rounds",
        f"typical rounds below the best: {typical}",
    ]
    noisy = not all(peaks.is_confirmed(rates, effort.agreement) for rates in rounds.values())
    if others_share is not None:
        parts.append(f"other processes took {others_share:.0%} of the cores")
        noisy = noisy or others_share > NOISY_OTHERS
    if noisy:
        parts.append("NOISY: calibrate again on a quiet machine")
    return "; ".join(parts)


def _arithmetic_probes(plan: Plan, clock: Clock, progress: Progress) -> Iterator[peaks.Probe]:
    for dtype, sizes in plan.product_sizes.items():
        progress(f"compiling {dtype} kernels", 0.0)
        for size in sizes:
            probe = peak_kernels.matrix_product(dtype, size)
            yield probe
            probe.run(clock)
            if probe.run(clock) > plan.slow_s:
                break
    if plan.convolution:
        yield peak_kernels.convolution()


def _memory_probes(plan: Plan, threads: CoreThreads) -> Iterator[peaks.Probe]:
    if plan.caches:
        sets = peaks.working_sets(plan.caches, plan.memory_bytes)
        private = {cache.name for cache in plan.caches if cache.instances > 1}
    else:
        sizes = peaks.unguided_working_sets(plan.memory_bytes)
        sets = {f"working set of {size} bytes": (size,) for size in sizes}
        private = set(sets) if threads.size > 1 else set()
    for group, group_sizes in sets.items():
        for size in group_sizes if plan.every_size else group_sizes[-1:]:
            yield peak_kernels.updates(group, size)
            yield peak_kernels.matrix_vector_products(group, size)
            if group in private:
                yield peak_kernels.updates_by_core(group, size, threads)
