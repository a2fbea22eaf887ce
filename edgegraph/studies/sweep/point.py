"""One point of a sweep: measured alone on its machine, kept for a rerun.

They stand in a run database where there is one; else in the user's cache folder, one file a sweep,
one line a point, and go when the sweep is done. (The cache may lie on a network drive, where no
database may.) A finished sweep that is run again is measured again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import msgspec

from edgegraph.analysis.analyze import analyze
from edgegraph.base.files import cache_folder, exclusive_lock, keep, shared_lock
from edgegraph.base.timing import Progress, time_limit
from edgegraph.base.units import si
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device import host
from edgegraph.device.device import Device
from edgegraph.errors import USER_ERRORS, EdgeGraphError, InputError
from edgegraph.measure.latency import measure_apart
from edgegraph.measure.throughput import measure_throughput
from edgegraph.results.timing import Latency, Throughput
from edgegraph.store import Store
from edgegraph.studies.sweep.growth import layer_costs
from edgegraph.studies.sweep.plan import Cell, Plan, cell_of
from edgegraph.studies.sweep.result import Sweep, SweepPoint

_in_this_process = threading.Lock()
"""Tracing changes Flax's classes for a while, so a process takes one point after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One point that is to be taken, here or elsewhere."""

    plan: Plan
    cell: Cell

    @property
    def label(self) -> str:
        """Name the point by what it may differ in from others."""
        return self.cell.label

    def failed(self, error: BaseException) -> Sweep:
        """Return the point with nothing but the reason why it could not be taken."""
        return self.plan.part(self.cell.point(error=_said(error)))


def take(task: Task, report: Progress = lambda message, fraction: None) -> Sweep:
    """Measure or analyse one point; any failure becomes its error."""
    with _in_this_process:
        return task.plan.part(_taken(task.plan, task.cell, report))


def _taken(plan: Plan, cell: Cell, report: Progress) -> SweepPoint:
    point = cell.point()
    try:
        with shared_lock(report):
            report("compiling", None)
            with time_limit(plan.compile_limit_s):
                program = compile_workload(
                    plan.workload(cell.dtype).at(**point.sizes),
                    batch=point.batch,
                    target=plan.target,
                    options={**plan.options, **plan.option_sets[point.options]},
                )
            point = _predicted(point, program, plan.roofs)
        if not plan.measure:
            return point
        # What cannot fit is refused before the system ends a process for it.
        needed, usable = point.peak_memory_bytes, host.memory_bytes()
        if needed is not None and needed > usable:
            raise InputError(
                f"out of memory: it needs {si(needed, 'B')}, and this process may use"
                f" {si(usable, 'B')}; take a smaller batch"
            )
        with exclusive_lock(report):
            latency, throughputs = measure_point(program, plan, report)
    except USER_ERRORS as error:  # making its arguments may raise anything, such as a MemoryError
        return replace(point, error=_said(error))
    bound = "overhead" if latency.is_launch else point.bound
    return replace(point, latency=latency, throughputs=throughputs, bound=bound)


def _said(error: BaseException) -> str:
    if isinstance(error, EdgeGraphError):
        return str(error)
    text = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {text}"


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
        layers=layer_costs(analysis.layer_records) if point.sizes else (),
        compile_s=program.compile_s,
        fingerprint=program.fingerprint,
    )


def measure_point(
    program: Program, plan: Plan, report: Progress
) -> tuple[Latency, tuple[Throughput, ...]]:
    """Time a program in subprocesses: blocking calls, then calls in flight together."""
    latency = measure_apart(program, settings=plan.settings, progress=report)
    throughputs = measure_throughput(
        program, queue_depths=plan.queue_depths, settings=plan.settings, progress=report
    )
    return latency, throughputs


def finished_points(
    identity: Mapping[str, Any], store: Store | None, *, fresh: bool
) -> PartialSweep | StoredSweep:
    """Return what an interrupted run of that identity finished, and keep there what follows.

    Without a database that is the cache folder; where `fresh`, what is there stays unused.
    """
    if store is None:
        return PartialSweep(identity, fresh=fresh)
    return StoredSweep(store, identity, fresh=fresh)


class PartialSweep:
    """The finished points of one sweep on disk, and the only state of it."""

    def __init__(self, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what an earlier run has left; see `finished_points`."""
        self.path = cache_folder() / "sweeps" / f"{_digest(identity)}.jsonl"
        if fresh:
            self.close()
        self.parts: dict[Cell, Sweep] = {}
        lines: list[bytes] = []
        with suppress(OSError):
            lines = self.path.read_bytes().splitlines()
        for line in lines:
            # A line may be cut off, and an older version's may lack something.
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
                part = msgspec.json.decode(line, type=Sweep)
                self.parts[cell_of(part.points[0])] = part

    def add(self, part: Sweep) -> None:
        """Keep a point; one that failed is tried again by a rerun."""
        if part.points[0].error is not None:
            return
        # What was cut off by a kill or a full disk before has no end of its line.
        line = b"\n" + msgspec.json.encode(part) + b"\n"
        keep(self.path, line, "finished points are", append=True)

    def close(self) -> None:
        """Forget the points: the sweep is done."""
        with suppress(OSError):  # it was never there
            self.path.unlink()


class StoredSweep:
    """The same in a run database, where the points stay."""

    def __init__(self, store: Store, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what an earlier run has left; see `finished_points`."""
        self._store = store
        self._identity = _digest(identity)
        self._number = store.start_sweep(self._identity, fresh=fresh)
        self.parts: dict[Cell, Sweep] = {
            cell_of(part.points[0]): part
            for part in store.points(self._number).values()
            if part.points[0].error is None
        }

    def add(self, part: Sweep) -> None:
        """Keep a point; one that failed is tried again by a rerun, and replaced."""
        cell = msgspec.json.encode(cell_of(part.points[0])).decode()
        self._store.put_point(self._number, cell, part)

    def close(self) -> None:
        """End the sweep: it is done, and its points stay."""
        self._store.finish_sweep(self._identity)


def _digest(identity: Mapping[str, Any]) -> str:
    return sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()[:32]
