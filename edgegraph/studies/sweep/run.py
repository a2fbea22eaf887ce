"""Sweeps over batches, dtypes, options, models and targets, by one process or many machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from functools import partial
from typing import Unpack

from edgegraph.base.signatures import name_keywords
from edgegraph.base.timing import Progress
from edgegraph.device import host
from edgegraph.store import Store
from edgegraph.studies.sweep.plan import PARAMETERS, Plan, Subject, SweepArguments, make_plans
from edgegraph.studies.sweep.point import Task, finished_points, take
from edgegraph.studies.sweep.pool import run_in_processes, run_on
from edgegraph.studies.sweep.result import Sweep

Answers = Generator[tuple[int, Sweep | Exception], None, None]
"""The position of a task, and what it came to, in the order in which they come."""

Run = Callable[[Callable[[Task], Sweep], Sequence[Task]], Answers]
"""Does some work for every task, somewhere else."""


@name_keywords(PARAMETERS)
def sweep(
    subject: Subject,
    *,
    target: str = "cpu",
    fresh: bool = False,
    store: Store | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **arguments: Unpack[SweepArguments],
) -> Sweep:
    """Measure and predict a workload at many batch sizes.

    Every point is compiled here and measured in subprocesses: latency with blocking
    calls, throughput with calls in flight together. A point that fails, or does not fit into
    the memory, becomes a row with its error, and the sweep goes on. After an interruption the
    same call continues with the points that were not finished.

    Args:
        subject: A Workload, or a function that gives one; with `dtypes` it takes ``dtype=``.
        target: What to compile for, as `edgegraph.compile` takes it.
        fresh: Start over where an earlier run was interrupted.
        store: A run database that keeps every point as soon as it is there.
        executor: Takes the points, at the same time where it can; see `edgegraph.sweep_all`.
        progress: Called with a message and a fraction.
        batches: Batch sizes.
        dtypes: What to hand to the function that makes the workload, one curve each.
        options: XLA compiler options for all points.
        option_sets: Further compiler options by a label of your choice, one curve each besides
            the one without any, ``default``.
        max_latency_s: A latency budget, for which the sweep says the best batch.
        queue_depths: Most calls in flight while throughput is measured.
        settings: How long and how carefully each point is measured.
        device: Whose roofs to use; where None, the target's from the catalogue, and for ``cpu``
            the calibration of the machine that takes the point.
        measure: Time the points that can run here, those of target ``cpu``; none where False.

    Raises:
        InputError: An argument cannot be used.
        KeyboardInterrupt: Passed through; finished points are kept for the next run.
    """
    (made,) = sweep_all(
        [subject], targets=[target], fresh=fresh, store=store, executor=executor, workers=0,
        progress=progress, **arguments,
    )  # fmt: skip
    return made


@name_keywords(PARAMETERS)
def sweep_all(
    subjects: Sequence[Subject],
    *,
    targets: Sequence[str] = ("cpu",),
    fresh: bool = False,
    store: Store | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **arguments: Unpack[SweepArguments],
) -> tuple[Sweep, ...]:
    """Sweep several workloads over several targets, with all points handed out at once.

    The points go to processes of this machine, or to any executor: that of a Dask cluster, for
    one (``client.get_executor()``). Those that are only compiled fill all of its processes; those
    that are timed have their machine alone. A process that dies costs nothing but its time. After
    an interruption the same call continues with the points that were not finished.

    Args:
        subjects: Workloads, or functions that make one; with `dtypes` they take ``dtype=``.
            For other processes a function has to stand at the top level of a module; a Workload
            goes to Dask only.
        targets: What to compile for, as `edgegraph.compile` takes it.
        fresh: Start over where an earlier run was interrupted.
        store: A run database, to which this process writes every point as it comes.
        executor: Takes the points; where None, processes of this machine do.
        workers: How many of those: one for each core where None; 0 takes all points in this
            process, one after the other.
        progress: Called with a message and a fraction.
        **arguments: The others, as `edgegraph.sweep` takes them, for every workload and target.

    Returns:
        One sweep for every workload and target, workload by workload.

    Raises:
        InputError: An argument cannot be used, or a workload cannot be sent to other processes.
        EdgeGraphError: The executor broke down.
        KeyboardInterrupt: Passed through; finished points are kept for the next run.
    """
    plans = make_plans(subjects, targets=targets, **arguments)
    parts: list[list[Sweep]] = [[] for _ in plans]
    taken = take_all(
        plans, run=choose_run(executor, workers), fresh=fresh, store=store, progress=progress
    )
    for number, part in taken:
        parts[number].append(part)
    return tuple(plan.result(own) for plan, own in zip(plans, parts, strict=True))


def choose_run(executor: Executor | None = None, workers: int | None = None) -> Run | None:
    """Return what takes points elsewhere, as `sweep_all` says it; None for this process."""
    if executor is not None:
        return partial(run_on, executor)
    if workers == 0:
        return None
    return partial(run_in_processes, workers or len(host.usable_cores()))


def take_all(
    plans: Sequence[Plan],
    *,
    run: Run | None = None,
    fresh: bool = False,
    store: Store | None = None,
    on_continue: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Sweep]]:
    """Take the points of several sweeps, and keep each where a rerun finds it.

    Args:
        plans: What to sweep over.
        run: Does it elsewhere; where None, this process takes one point after the other.
        fresh: Leave what an interrupted run has finished.
        store: A run database that keeps the points.
        on_continue: Called with the number of points that an interrupted run has finished, if
            it did any.
        progress: Called with a message and a fraction.

    Yields:
        The position of a plan, and its sweep with one point alone, as soon as that is there.
    """
    kept = [finished_points(plan.identity, store, fresh=fresh) for plan in plans]
    tasks, numbers, done = [], [], 0
    for number, plan in enumerate(plans):
        for cell in plan.cells:
            if cell in kept[number].parts:
                done += 1
                yield number, kept[number].parts[cell]
            else:
                tasks.append(Task(plan=plan, cell=cell))
                numbers.append(number)
    if done and on_continue is not None:
        on_continue(done)
    left = Counter(numbers)
    for number in range(len(plans)):
        if not left[number]:
            kept[number].close()
    total = done + len(tasks)
    with closing(_here(tasks, progress) if run is None else run(take, tasks)) as answers:
        for position, answer in answers:
            number, task = numbers[position], tasks[position]
            part = answer if isinstance(answer, Sweep) else task.failed(answer)
            kept[number].add(part)
            done += 1
            left[number] -= 1
            if not left[number]:
                kept[number].close()
            if progress is not None:
                which = f"{plans[number].name}, {plans[number].target}, " if len(plans) > 1 else ""
                progress(f"{done} of {total} points; last: {which}{task.label}", done / total)
            yield number, part


def _here(tasks: Sequence[Task], progress: Progress | None) -> Answers:
    """Take one point after the other, and say what is going on within each."""
    for position, task in enumerate(tasks):

        def report(
            message: str,
            fraction: float | None,
            label: str = f"{task.label} ({position + 1} of {len(tasks)})",
        ) -> None:
            if progress is not None:
                progress(f"{label}: {message}", fraction)

        yield position, take(task, report)
