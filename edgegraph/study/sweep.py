"""One workload at many batch sizes: latency against throughput, predicted and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from edgegraph import __version__
from edgegraph.analyzer import Progress, analyze
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.fingerprint import program_fingerprint
from edgegraph.compiler.program import Program
from edgegraph.compiler.targets import parse_target
from edgegraph.device import host
from edgegraph.device.calibrate import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device
from edgegraph.device.store import fingerprint as machine_fingerprint
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.hlo.fingerprint import fingerprint
from edgegraph.measure.environment import environment
from edgegraph.measure.process import measure_apart
from edgegraph.measure.sampling import Settings
from edgegraph.measure.throughput import measure_throughput
from edgegraph.results.latency import Latency
from edgegraph.results.sweep import PLAIN_OPTIONS, Sweep, SweepPoint
from edgegraph.results.throughput import Throughput
from edgegraph.store import Store
from edgegraph.store.runs import one_point
from edgegraph.study.partial import PartialSweep, StoredSweep
from edgegraph.study.turns import having_machine, sharing_machine
from edgegraph.units import si
from edgegraph.workload import Workload

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

QUEUE_DEPTHS = (1, 4, 16)
"""Fewer than a measurement of throughput alone takes, since a sweep has many points."""

Options = Mapping[str, str | int | float | bool]
Measure = Callable[[Program, "Plan", Progress], tuple[Latency, tuple[Throughput, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to sweep over, and how.

    Attributes:
        workloads: By label of the dtype; None where it is not varied.
        batches: Ascending, each once.
        options: XLA compiler options that all points share.
        option_sets: Further options by label; the first, ``default``, has none.
        queue_depths: Most calls in flight while throughput is measured.
        settings: How long and how carefully each point is measured.
        device: Whose roofs to use, or None.
        max_latency_s: The latency budget, or None.
        target: What to compile for.
        measure: Whether to time the points, and not only to predict them.
    """

    workloads: Mapping[str | None, Workload]
    batches: tuple[int, ...]
    options: Options
    option_sets: Mapping[str, Options]
    queue_depths: tuple[int, ...]
    settings: Settings
    device: Device | None
    max_latency_s: float | None
    target: str = "cpu"
    measure: bool = True

    @property
    def cells(self) -> list[tuple[int, str | None, str]]:
        """Batch, dtype and options of every point, in the order they are taken."""
        return [
            (batch, dtype, options)
            for dtype in self.workloads
            for options in self.option_sets
            for batch in self.batches
        ]

    def result(self, points: Sequence[SweepPoint]) -> Sweep:
        """Give the sweep with the points so far."""
        return Sweep(
            workload=next(iter(self.workloads.values())).name,
            target=self.target,
            device=self.device,
            environment=environment(),
            batches=self.batches,
            options=self.options,
            option_sets=self.option_sets,
            max_latency_s=self.max_latency_s,
            points=tuple(points),
        )


def sweep(
    subject: Workload | Callable[..., Workload],
    *,
    batches: Sequence[int] = BATCHES,
    dtypes: Sequence[str] | None = None,
    options: Options | None = None,
    option_sets: Mapping[str, Options] | None = None,
    max_latency_s: float | None = None,
    queue_depths: Sequence[int] = QUEUE_DEPTHS,
    settings: Settings | None = None,
    device: Device | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    target: str = "cpu",
    measure: bool | None = None,
    store: Store | None = None,
    executor: Executor | None = None,
) -> Sweep:
    """Measure and predict a workload at many batch sizes.

    Every point is compiled here and measured in processes of its own: latency with blocking
    calls, throughput with calls in flight together. A point that fails, or does not fit into
    the memory, becomes a row with its error, and the sweep goes on. After an interruption the
    same call continues with the points that were not finished.

    Args:
        subject: A Workload; or, with `dtypes`, a function that takes ``dtype=`` and gives one.
        batches: Batch sizes.
        dtypes: What to hand to `subject`, one curve each.
        options: XLA compiler options for all points.
        option_sets: Further compiler options by a label of your choice, one curve each beside
            the one without any, ``default``.
        max_latency_s: A latency budget, for which the sweep says the best batch.
        queue_depths: Most calls in flight while throughput is measured.
        settings: How long and how carefully each point is measured.
        device: Whose roofs to use; this machine's calibration where None.
        fresh: Start over where an earlier run was interrupted.
        progress: Called with a message and a fraction.
        target: What to compile for, as `edgegraph.compile` takes it.
        measure: Time the points; where None, if they can run here.
        store: A run database that keeps every point as soon as it is there.
        executor: Takes the points, at the same time where it can; see `edgegraph.sweep_all`.

    Raises:
        InputError: An argument cannot be used.
        KeyboardInterrupt: Passed through; finished points are kept for the next run.
    """
    if executor is not None:
        from edgegraph.study.grid import sweep_all

        (made,) = sweep_all(
            [subject],
            targets=[target],
            batches=batches,
            dtypes=dtypes,
            options=options,
            option_sets=option_sets,
            max_latency_s=max_latency_s,
            queue_depths=queue_depths,
            settings=settings,
            device=device,
            measure=measure,
            fresh=fresh,
            store=store,
            executor=executor,
            progress=progress,
        )
        return made
    plan = make_plan(
        subject,
        batches=batches,
        dtypes=dtypes,
        options=options,
        option_sets=option_sets,
        max_latency_s=max_latency_s,
        queue_depths=queue_depths,
        settings=settings,
        device=device,
        target=target,
        measure=measure,
    )
    return plan.result(list(take_points(plan, fresh=fresh, store=store, progress=progress)))


def make_plan(
    subject: Workload | Callable[..., Workload],
    *,
    batches: Sequence[int] = BATCHES,
    dtypes: Sequence[str] | None = None,
    options: Options | None = None,
    option_sets: Mapping[str, Options] | None = None,
    max_latency_s: float | None = None,
    queue_depths: Sequence[int] = QUEUE_DEPTHS,
    settings: Settings | None = None,
    device: Device | None = None,
    target: str = "cpu",
    measure: bool | None = None,
) -> Plan:
    """Check the arguments of `sweep` and put them together.

    Raises:
        InputError: An argument cannot be used.
    """
    for batch in batches:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise InputError(f"batch {batch!r} is not a batch size; give whole numbers from 1 up")
    if not batches:
        raise InputError("no batch size was given; give a list such as [1, 2, 4, 8]")
    if max_latency_s is not None and not max_latency_s > 0:
        raise InputError(f"a latency budget of {max_latency_s!r} s is none; give seconds above 0")
    if PLAIN_OPTIONS in (option_sets or {}):
        raise InputError(
            f"the options called {PLAIN_OPTIONS!r} are those without any, which are always swept;"
            " choose another label"
        )
    chosen = parse_target(target)
    runs_here = chosen.name == "cpu"
    if measure and not runs_here:
        raise InputError(f"what is compiled for {target!r} does not run here; leave measure out")
    if device is None:
        device = find_device(chosen.device) if chosen.device else load_calibration()
    return Plan(
        workloads=_workloads(subject, dtypes),
        batches=tuple(sorted(set(batches))),
        options=dict(options or {}),
        option_sets={PLAIN_OPTIONS: {}} | {k: dict(v) for k, v in (option_sets or {}).items()},
        queue_depths=tuple(queue_depths),
        settings=settings or Settings(),
        device=device,
        max_latency_s=max_latency_s,
        target=chosen.name,
        measure=runs_here if measure is None else measure,
    )


def _workloads(
    subject: Workload | Callable[..., Workload], dtypes: Sequence[str] | None
) -> dict[str | None, Workload]:
    if dtypes is None:
        if isinstance(subject, Workload):
            return {None: subject}
        raise InputError(f"cannot sweep {subject!r}; give a Workload, or a function and dtypes=")
    if isinstance(subject, Workload):
        raise InputError(
            f"the workload {subject.name!r} has its dtype already; to sweep over dtypes, give a"
            " function that takes dtype= and gives a Workload"
        )
    if not dtypes:
        raise InputError("no dtype was given; give a list such as ['float32', 'bfloat16']")
    made: dict[str | None, Workload] = {}
    for dtype in dtypes:
        try:
            made[dtype] = subject(dtype=dtype)
        except TypeError as error:
            raise InputError(f"cannot make a workload with dtype={dtype!r}: {error}") from error
    return made


def take_points(
    plan: Plan,
    *,
    fresh: bool = False,
    store: Store | None = None,
    measure: Measure | None = None,
    on_continue: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[SweepPoint]:
    """Take the points of a plan, one after the other.

    Args:
        plan: What to sweep over.
        fresh: Leave what an interrupted run has finished.
        store: A run database that keeps the points.
        measure: Times a program; in processes of its own where None.
        on_continue: Called with the number of points that an interrupted run has finished, if
            it did any.
        progress: Called with a message and a fraction.

    Yields:
        Each point as soon as it is there.
    """
    kept = finished_points(plan, store, fresh=fresh)
    cells = plan.cells
    finished = sum(cell in kept.points for cell in cells)
    if finished and on_continue is not None:
        on_continue(finished)
    for number, (batch, dtype, options) in enumerate(cells):
        point = kept.points.get((batch, dtype, options))
        if point is None:
            label = ", ".join([f"batch {batch}", *_said(dtype, options)])
            report = _within(progress, f"{label} ({number + 1} of {len(cells)})")
            point = take_point(plan, batch, dtype, options, measure or measure_point, report)
            kept.add(one_point(plan.result([point]), point))
        yield point
    kept.remove()


def finished_points(plan: Plan, store: Store | None, *, fresh: bool) -> PartialSweep | StoredSweep:
    """Give what an interrupted run of the same plan has finished, and keep there what is to come.

    Raises:
        InputError: It cannot be kept.
    """
    if store is None:
        return PartialSweep(_identity(plan), fresh=fresh)
    return StoredSweep(store, _identity(plan), fresh=fresh)


def _said(dtype: str | None, options: str) -> list[str]:
    return [*([dtype] if dtype else []), *([options] if options != PLAIN_OPTIONS else [])]


def _within(progress: Progress | None, label: str) -> Progress:
    def report(message: str, fraction: float | None) -> None:
        if progress is not None:
            progress(f"{label}: {message}", fraction)

    return report


def _identity(plan: Plan) -> dict[str, Any]:
    """Say what must be the same for finished points to be used again.

    The workload counts by what it lowers to at the smallest batch size.
    """
    lowered = {}
    for dtype, workload in plan.workloads.items():
        try:
            program = compile_workload(
                workload, batch=plan.batches[0], target=plan.target, stage="lowered"
            )
            lowered[dtype or ""] = fingerprint(program.module)
        except Exception as error:  # the point itself will say so
            lowered[dtype or ""] = f"{type(error).__name__}: {error}"
    return {
        "edgegraph": __version__,
        "machine": machine_fingerprint(),
        "workload": [workload.name for workload in plan.workloads.values()],
        "lowered": lowered,
        "smallest batch": plan.batches[0],
        "options": plan.options,
        "option sets": plan.option_sets,
        "queue depths": plan.queue_depths,
        "settings": plan.settings,
        "device": msgspec.to_builtins(plan.device),
        "target": plan.target,
        "measure": plan.measure,
    }


def take_point(
    plan: Plan, batch: int, dtype: str | None, options: str, measure: Measure, report: Progress
) -> SweepPoint:
    """Take one point; whatever goes wrong becomes its error."""
    point = SweepPoint(batch=batch, dtype=dtype, options=options)
    try:
        with sharing_machine(report):
            report("compiling", None)
            program = compile_workload(
                plan.workloads[dtype],
                batch=batch,
                target=plan.target,
                options={**plan.options, **plan.option_sets[options]},
            )
            point = _predicted(point, program, plan.device)
        if not plan.measure:
            return point
        _check_memory(point.peak_memory_bytes)
        with having_machine(report):
            latency, throughputs = measure(program, plan, report)
    except EdgeGraphError as error:
        return replace(point, error=str(error))
    except Exception as error:  # making its arguments may raise anything, such as a MemoryError
        text = (str(error).strip().splitlines() or ["no message"])[0]
        return replace(point, error=f"{type(error).__name__}: {text}")
    return replace(point, latency=latency, throughputs=throughputs)


def _predicted(point: SweepPoint, program: Program, device: Device | None) -> SweepPoint:
    analysis = analyze(program, device=device)
    totals, live = analysis.totals, analysis.live_memory
    return replace(
        point,
        flops=totals.flops,
        bytes=totals.bytes_read + totals.bytes_written,
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        bound=totals.bound,
        peak_memory_bytes=None if program.memory is None else program.memory.peak_bytes,
        live_memory_bytes=None if live is None else live.alive_bytes[live.peak_position],
        compile_s=program.compile_s,
        fingerprint=program_fingerprint(program),
    )


def _check_memory(needed_bytes: int | None) -> None:
    """Refuse what cannot fit, before the system ends a process for it."""
    usable = host.memory_bytes()
    if needed_bytes is not None and usable is not None and needed_bytes > usable:
        raise InputError(
            f"out of memory: it needs {si(needed_bytes, 'B')}, and this process may use"
            f" {si(usable, 'B')}; take a smaller batch"
        )


def measure_point(
    program: Program, plan: Plan, report: Progress
) -> tuple[Latency, tuple[Throughput, ...]]:
    """Time a program in processes of its own: blocking calls, then calls in flight together."""
    latency = measure_apart(program, settings=plan.settings, progress=report)
    throughputs = measure_throughput(
        program, queue_depths=plan.queue_depths, settings=plan.settings, progress=report
    )
    return latency, throughputs
