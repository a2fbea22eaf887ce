"""Sweeps over batches, other axes, dtypes, models and targets, by one process or many machines."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeVar, Unpack

from edgegraph.base.signatures import name_keywords
from edgegraph.base.timing import Progress
from edgegraph.device import host
from edgegraph.errors import USER_ERRORS, EdgeGraphError, InputError
from edgegraph.store import Store
from edgegraph.studies.sweep.plan import PARAMETERS, Plan, Subject, SweepArguments, make_plans
from edgegraph.studies.sweep.point import Task, finished_points, take
from edgegraph.studies.sweep.result import Sweep

Answers = Generator[tuple[int, Sweep | BaseException], None, None]
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
    """Measure and predict a workload at many batch sizes, or sizes along its other axes.

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
        batches: Batch sizes; powers of two up to 256 where None, and 1 beside other axes.
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
        compile_limit_s: The most that tracing and compiling a point may take; one that takes
            longer becomes a row with its error. It holds for Python code, in main threads.
        vary: Sizes along axes of the workload, the batch or others, at most two with several
            sizes: ``{"batch": [1, 8, 64], "length": [128, 512, 2048]}``.

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

    Yields the position of a plan, and its sweep with one point alone, as soon as that is there.
    `run` does it elsewhere; where None, this process takes one point after the other. `on_continue`
    hears how many points an interrupted run has finished, if any.
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
    several = len({task.plan.name for task in tasks}) > 1
    for position, task in enumerate(tasks):

        def report(
            message: str,
            fraction: float | None,
            label: str = f"{f'{task.plan.name}, ' if several else ''}{task.label}"
            f" ({position + 1} of {len(tasks)})",
        ) -> None:
            if progress is not None:
                progress(f"{label}: {message}", fraction)

        yield position, take(task, report)


_Task = TypeVar("_Task")
_Answer = TypeVar("_Answer")

DASK_RETRIES = 2
"""How often Dask tries a point again that failed on a worker, say for want of a module there."""

_CONNECT_S = 15


def run_on(
    executor: Executor, work: Callable[[_Task], _Answer], tasks: Sequence[_Task]
) -> Generator[tuple[int, _Answer | BaseException], None, None]:
    """Hand all tasks to an executor; yield the position and answer, or error, of each as it comes.

    Where other processes do the work, it has to stand at the top level of a module.
    """
    waiting: dict[Future[_Answer], int] = {}
    try:
        for position, task in enumerate(tasks):
            waiting[executor.submit(work, task)] = position
        for future in as_completed(waiting):
            answer = _answer(future)
            yield waiting[future], answer
    except (BrokenExecutor, CancelledError) as error:
        raise EdgeGraphError(
            f"the executor has broken down ({type(error).__name__}: {error}); what was finished is"
            " kept, and the same call continues with a new one"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def run_in_processes(
    workers: int, work: Callable[[_Task], _Answer], tasks: Sequence[_Task]
) -> Generator[tuple[int, _Answer | BaseException], None, None]:
    """Do tasks in fresh processes of this machine; yields as `run_on`.

    Where a process dies, the tasks that were under way are done again, one after the other; only
    one that dies alone too ends with an error.
    """
    for task in tasks:
        try:
            pickle.dumps((work, task))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise _unsendable(error) from error
    fresh = deque(range(len(tasks)))
    suspects: deque[int] = deque()
    while fresh or suspects:
        alone = bool(suspects)
        source, most = (suspects, 1) if alone else (fresh, workers)
        running: dict[Future[_Answer], int] = {}
        try:
            with _pool(min(most, len(source))) as pool:
                while source or running:
                    while source and len(running) < most:
                        running[pool.submit(work, tasks[source[0]])] = source[0]
                        source.popleft()
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        answer = _answer(future)
                        yield running.pop(future), answer
        except BrokenExecutor:
            if alone:
                died = "its process died twice; it may need more memory than there is"
                yield from ((position, EdgeGraphError(died)) for position in running.values())
            else:
                suspects.extend(running.values())


def _answer(future: Future[_Answer]) -> _Answer | BaseException:
    """Return what a task came to; raise where it never left, or no task will ever end."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError):
        raise
    except USER_ERRORS as error:
        if isinstance(error, pickle.PicklingError):
            raise _unsendable(error) from error
        return error


def _unsendable(error: BaseException) -> InputError:
    return InputError(
        f"the workload cannot be sent to another process ({error}); give a function at the top"
        " level of a module that makes it, or package.module:attribute"
    )


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Provide a pool whose processes end with the block, however it ends, and with this process."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
    )
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _begin() -> None:
    """Leave Ctrl-C to the process that hands out the work, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Provide the executor of the Dask cluster with that scheduler.

    A point whose worker dies goes to another one. Start workers with one thread each (``dask worker
    tcp://... --nworkers 8 --nthreads 1``), in the folder of the code that is swept.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "Dask is not installed; install it with: pip install distributed"
        ) from error
    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"no Dask scheduler at {address} ({reason}); give its address, such as"
            " tcp://10.0.0.1:8786"
        ) from error
    with client:
        yield client.get_executor(retries=DASK_RETRIES)
