"""Running tasks elsewhere: in processes of this machine, or on any executor, such as Dask's."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
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
from contextlib import contextmanager
from typing import TypeVar

from edgegraph.errors import EdgeGraphError, InputError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

DASK_RETRIES = 2
"""How often Dask tries a point again that failed on a worker, say for want of a module there."""

_CONNECT_S = 15


def run_on(
    executor: Executor, work: Callable[[Task], Answer], tasks: Sequence[Task]
) -> Generator[tuple[int, Answer | Exception], None, None]:
    """Hand all tasks to an executor.

    Args:
        executor: Any of `concurrent.futures`, or one that is made like them.
        work: What to do with a task, at the top level of a module where other processes do it.
        tasks: What to hand out, in this order.

    Yields:
        The position of each task with its answer, or with the error that it ended with, as they
        come.

    Raises:
        InputError: A task cannot be sent to another process.
        EdgeGraphError: The executor has broken down.
    """
    waiting: dict[Future[Answer], int] = {}
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
    workers: int, work: Callable[[Task], Answer], tasks: Sequence[Task]
) -> Generator[tuple[int, Answer | Exception], None, None]:
    """Do tasks in fresh processes of this machine.

    Where a process dies, the tasks that were under way are done again, one after the other; only
    one that dies alone too ends with an error.

    Args:
        workers: How many processes.
        work: As in `run_on`.
        tasks: As in `run_on`.

    Yields:
        As `run_on`.

    Raises:
        InputError: A task cannot be sent to another process.
    """
    for task in tasks:
        _check_sendable(work, task)
    fresh = deque(range(len(tasks)))
    suspects: deque[int] = deque()
    while fresh or suspects:
        alone = bool(suspects)
        source, most = (suspects, 1) if alone else (fresh, workers)
        running: dict[Future[Answer], int] = {}
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
                yield from ((position, _died()) for position in running.values())
            else:
                suspects.extend(running.values())


def _died() -> EdgeGraphError:
    return EdgeGraphError("its process died twice; it may need more memory than there is")


def _answer(future: Future[Answer]) -> Answer | Exception:
    """Return what a task came to.

    Raises:
        InputError: It never left this process.
        BrokenExecutor, CancelledError: The executor broke down, and no task will end.
    """
    try:
        return future.result()
    except (BrokenExecutor, CancelledError):
        raise
    except Exception as error:
        if isinstance(error, pickle.PicklingError):
            raise _unsendable(error) from error
        return error


def _check_sendable(work: object, task: object) -> None:
    try:
        pickle.dumps((work, task))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _unsendable(error) from error


def _unsendable(error: Exception) -> InputError:
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
    """Provide the executor of a Dask cluster.

    A point whose worker dies goes to another one. Start workers with one thread each
    (``dask worker tcp://... --nworkers 8 --nthreads 1``), in the folder of the code that is swept.

    Args:
        address: The scheduler's, such as ``tcp://10.0.0.1:8786``.

    Raises:
        InputError: Dask is not installed, or there is no scheduler.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "Dask is not installed; install it with: pip install 'edgegraph[distributed]'"
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
