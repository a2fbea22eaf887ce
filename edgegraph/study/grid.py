"""Sweeps over models, targets, dtypes, batches and options, by many processes or machines."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from edgegraph.analyzer import Progress
from edgegraph.device import host
from edgegraph.device.device import Device
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.sampling import Settings
from edgegraph.results.sweep import PLAIN_OPTIONS, Sweep, SweepPoint
from edgegraph.store import Store
from edgegraph.store.runs import one_point
from edgegraph.study.pool import run_in_processes, run_on
from edgegraph.study.sweep import (
    BATCHES,
    QUEUE_DEPTHS,
    Options,
    Plan,
    finished_points,
    make_plan,
    measure_point,
    take_point,
)
from edgegraph.workload import Workload

Subject = Workload | Callable[..., Workload]

_in_this_process = threading.Lock()
"""Tracing changes Flax's classes for a while, so a process takes one point after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One point, as it goes to another process.

    Attributes:
        number: Which sweep it belongs to, by position.
        subject: The workload, or the function that makes it.
        batch, dtype, options: Which point it is.
        option_set: The compiler options behind that label.
        arguments: Further arguments of `make_plan`.
    """

    number: int
    subject: Subject
    batch: int
    dtype: str | None
    options: str
    option_set: Options
    arguments: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Name the point."""
        return ", ".join(
            [f"batch {self.batch}", *([self.dtype] if self.dtype else []), self.options]
        )


def sweep_all(
    subjects: Sequence[Subject],
    *,
    targets: Sequence[str] = ("cpu",),
    batches: Sequence[int] = BATCHES,
    dtypes: Sequence[str] | None = None,
    options: Options | None = None,
    option_sets: Mapping[str, Options] | None = None,
    max_latency_s: float | None = None,
    queue_depths: Sequence[int] = QUEUE_DEPTHS,
    settings: Settings | None = None,
    device: Device | None = None,
    measure: bool | None = None,
    fresh: bool = False,
    store: Store | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Sweep, ...]:
    """Sweep several workloads over several targets, with all points handed out at once.

    The points go to processes of this machine, or to any executor: that of a Dask cluster, for
    one (``client.get_executor()``). Those that are only compiled fill all of its processes; those
    that are timed have their machine alone. A process that dies costs nothing but its time. After
    an interruption the same call continues with the points that were not finished.

    Args:
        subjects: Workloads, or functions that make one and take ``dtype=`` if there are `dtypes`.
            For other processes a function has to stand at the top level of a module; a Workload
            goes to Dask only.
        targets: What to compile for, as `edgegraph.compile` takes it.
        batches: Batch sizes.
        dtypes: What to hand to each function among the subjects, one curve each.
        options: XLA compiler options for all points.
        option_sets: Further compiler options by label, one curve each.
        max_latency_s: A latency budget, for which each sweep says the best batch.
        queue_depths: Most calls in flight while throughput is measured.
        settings: How long and how carefully each point is measured.
        device: Whose roofs to use; where None, each target's from the catalogue, and for ``cpu``
            this machine's calibration.
        measure: Time the points of target ``cpu``; none where False.
        fresh: Start over where an earlier run was interrupted.
        store: A run database, to which this process writes every point as it comes.
        executor: Takes the points; where None, processes of this machine do.
        workers: How many processes of this machine; one for each core where None.
        progress: Called with a message and a fraction.

    Returns:
        One sweep for every workload and target, workload by workload.

    Raises:
        InputError: An argument cannot be used, or a workload cannot be sent to other processes.
        EdgeGraphError: The executor broke down.
        KeyboardInterrupt: Passed through; finished points are kept for the next run.
    """
    jobs = plan_all(
        subjects,
        targets=targets,
        batches=batches,
        dtypes=dtypes,
        options=options,
        option_sets=option_sets,
        max_latency_s=max_latency_s,
        queue_depths=queue_depths,
        settings=settings,
        device=device,
        measure=measure,
    )
    taken = take_all(
        jobs, fresh=fresh, store=store, executor=executor, workers=workers, progress=progress
    )
    return results(jobs, list(taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One of several sweeps.

    Attributes:
        subject: The workload, or the function that makes it, as it goes to other processes.
        plan: What to sweep over.
        arguments: Those of `make_plan` that every point needs.
    """

    subject: Subject
    plan: Plan
    arguments: Mapping[str, Any]


def plan_all(
    subjects: Sequence[Subject],
    *,
    targets: Sequence[str],
    batches: Sequence[int],
    dtypes: Sequence[str] | None = None,
    option_sets: Mapping[str, Options] | None = None,
    measure: bool | None = None,
    **arguments: Any,
) -> tuple[Job, ...]:
    """Check the arguments of `sweep_all` and put them together.

    Raises:
        InputError: An argument cannot be used.
    """
    if not subjects or not targets:
        raise InputError("there is nothing to sweep; give workloads and targets")
    jobs = []
    for subject in subjects:
        made = isinstance(subject, Workload) or dtypes is not None
        here = subject if made else subject()  # type: ignore[operator]
        for target in targets:
            # With several targets, measure=True is for the one that runs here.
            several = measure and target != "cpu" and "cpu" in targets
            own = {**arguments, "target": target, "measure": None if several else measure}
            plan = make_plan(here, batches=batches, dtypes=dtypes, option_sets=option_sets, **own)
            jobs.append(Job(subject=subject, plan=plan, arguments=own))
    return tuple(jobs)


def take_all(
    jobs: Sequence[Job],
    *,
    fresh: bool = False,
    store: Store | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    on_continue: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Generator[tuple[int, SweepPoint], None, None]:
    """Take the points of several sweeps, many at a time.

    Yields:
        The position of the sweep, and a point of it, as soon as it is there.
    """
    kept = [finished_points(job.plan, store, fresh=fresh) for job in jobs]
    total = sum(len(job.plan.cells) for job in jobs)
    done, tasks = 0, []
    for number, job in enumerate(jobs):
        for cell in job.plan.cells:
            if cell in kept[number].points:
                done += 1
                yield number, kept[number].points[cell]
            else:
                tasks.append(_task(number, job, *cell))
    if done and on_continue is not None:
        on_continue(done)
    if executor is not None:
        answers = run_on(executor, take_task, tasks)
    else:
        answers = run_in_processes(
            min(workers or len(host.usable_cores()), len(tasks)), take_task, tasks
        )
    left = Counter(task.number for task in tasks)
    for number in range(len(jobs)):
        if not left[number]:
            kept[number].remove()
    with closing(answers):
        for task, answer in answers:
            number = task.number
            made = answer if isinstance(answer, Sweep) else _failed(jobs[number], task, answer)
            kept[number].add(made)
            done += 1
            left[number] -= 1
            if not left[number]:
                kept[number].remove()
            if progress is not None:
                progress(f"{done} of {total} points; last: {task.label}", done / total)
            yield number, made.points[0]


def results(jobs: Sequence[Job], taken: Sequence[tuple[int, SweepPoint]]) -> tuple[Sweep, ...]:
    """Put the points together that `take_all` gave, each sweep's in the order of its plan."""
    made = []
    for number, job in enumerate(jobs):
        points = {_cell(point): point for own, point in taken if own == number}
        made.append(job.plan.result([points[cell] for cell in job.plan.cells if cell in points]))
    return tuple(made)


def _cell(point: SweepPoint) -> tuple[int, str | None, str]:
    return point.batch, point.dtype, point.options


def _task(number: int, job: Job, batch: int, dtype: str | None, options: str) -> Task:
    return Task(
        number=number,
        subject=job.subject,
        batch=batch,
        dtype=dtype,
        options=options,
        option_set=job.plan.option_sets[options],
        arguments=job.arguments,
    )


def take_task(task: Task) -> Sweep:
    """Take one point: the side of the process that it went to.

    Returns:
        The sweep with that point alone, with the environment in which it was taken.
    """
    with _in_this_process:
        several = task.dtype is not None
        made = several or isinstance(task.subject, Workload)
        plan = make_plan(
            task.subject if made else task.subject(),  # type: ignore[operator]
            batches=[task.batch],
            dtypes=[task.dtype] if task.dtype is not None else None,
            option_sets={} if task.options == PLAIN_OPTIONS else {task.options: task.option_set},
            **task.arguments,
        )
        point = take_point(
            plan, task.batch, task.dtype, task.options, measure_point, lambda *_: None
        )
        return one_point(plan.result([point]), point)


def _failed(job: Job, task: Task, error: Exception) -> Sweep:
    """Give the point that never was taken, with the reason."""
    text = (str(error).strip().splitlines() or ["no message"])[0]
    said = text if isinstance(error, EdgeGraphError) else f"{type(error).__name__}: {text}"
    point = SweepPoint(batch=task.batch, dtype=task.dtype, options=task.options, error=said)
    return one_point(job.plan.result([point]), point)
