"""What more chips bring: one workload compiled over meshes of them, weak and strong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from edgegraph.analysis.analyze import analyze
from edgegraph.base.timing import Progress, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.sharding import DeviceMesh, Partition
from edgegraph.compiler.targets import Target, parse_target, with_chips
from edgegraph.device.catalogue import find_entry
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.hlo import opcodes
from edgegraph.measure.environment import environment
from edgegraph.measure.latency import measure_on_host
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.analysis import Analysis
from edgegraph.results.schedule import NETWORK
from edgegraph.studies.scaling.result import STRONG, WEAK, CollectiveUse, Scaling, ScalingPoint
from edgegraph.workload import Workload

COMPILERS_AT_ONCE = 2
"""Each holds up to a gigabyte, and keeps one core busy at least."""

Options = Mapping[str, str | int | float | bool]


def scaling_study(
    workload: Workload,
    meshes: Sequence[DeviceMesh | int | tuple[int, int]],
    *,
    target: str = "tpu:v5e",
    batch: int | None = None,
    batch_per_chip: int | None = None,
    partition: Partition | None = None,
    options: Options | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> Scaling:
    """Compile a workload over meshes of chips, and see what they exchange and wait for.

    Every mesh is an SPMD program of its own, compiled ahead of time. A step is predicted by
    playing its schedule with every op at its roof and every collective at what its bytes take on
    all links of a chip (ring algorithms): a lower bound, without stragglers, hops and congestion.
    On ``cpu`` the chips are made of this host's cores, and the step is measured.

    Args:
        workload: What to run; a train step exchanges its gradients, inference nothing but what
            tensor parallelism needs.
        meshes: Each a `DeviceMesh`, a number of chips that share the batch, or (data, tensor).
        target: ``tpu:v5e``, ``gpu:h100``, ...; the chips of every mesh are added. ``cpu`` for
            host devices.
        batch: Over all chips, the same for every mesh: strong scaling.
        batch_per_chip: For every chip that shares the batch: weak scaling, which is studied with
            1 where neither is given.
        partition: As `edgegraph.compile` takes it.
        options: XLA compiler options.
        settings: How long and how carefully to measure on ``cpu``.
        progress: Called with a message and a fraction.

    Returns:
        A `Scaling`; a mesh that cannot be compiled is a row with its error.

    Raises:
        InputError: The target is unknown or has no chips, or there is no mesh.
    """
    chosen = sorted((_mesh(mesh) for mesh in meshes), key=lambda m: (m.chips, m.tensor))
    if not chosen:
        raise InputError(
            "no mesh was given; expected at least one, such as 4, (4, 2) or DeviceMesh(data=4)"
        )
    base = parse_target(target)
    if not base.ahead and base.name != "cpu":
        raise InputError(
            f"target {target!r} has no links between chips; name a TPU or GPU, or cpu for the"
            " cores of this host"
        )
    jobs = list(dict.fromkeys(_jobs(chosen, batch, batch_per_chip)))
    report = progress or no_progress
    study = _Study(workload, base, partition, options or {}, settings)
    if base.ahead:
        found = study.ahead(jobs, report)
    else:
        found = [study.on_host(*job, report) for job in jobs]
    device = next((analysis.device for _, analysis in found if analysis is not None), None)
    return Scaling(
        workload=workload.name,
        target=target,
        device=device,
        environment=environment(),
        points=tuple(point for point, _ in found),
    )


_Job = tuple[str, DeviceMesh, int]
"""The way of scaling, the mesh and the batch over all of it."""

_Found = tuple[ScalingPoint, Analysis | None]


def _mesh(given: DeviceMesh | int | tuple[int, int]) -> DeviceMesh:
    if isinstance(given, DeviceMesh):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        return DeviceMesh(data=given[0], tensor=given[1])
    if isinstance(given, int):
        return DeviceMesh(data=given)
    raise InputError(
        f"{given!r} is not a mesh; expected a number of chips, (data, tensor) or a DeviceMesh"
    )


def _jobs(
    meshes: Sequence[DeviceMesh], batch: int | None, batch_per_chip: int | None
) -> Iterator[_Job]:
    for size in (batch, batch_per_chip):
        if size is not None and size < 1:
            raise InputError(f"batch must be a positive integer, not {size}")
    if batch_per_chip is not None or batch is None:
        for mesh in meshes:
            yield WEAK, mesh, (batch_per_chip or 1) * mesh.data
    if batch is not None:
        for mesh in meshes:
            yield STRONG, mesh, batch


@dataclass(frozen=True, slots=True)
class _Study:
    """The settings that all meshes share."""

    workload: Workload
    base: Target
    partition: Partition | None
    options: Options
    settings: MeasurementSettings | None

    def ahead(self, jobs: Sequence[_Job], report: Progress) -> list[_Found]:
        """Compile for chips that are not here, several meshes at once."""
        with ThreadPoolExecutor(COMPILERS_AT_ONCE) as pool:
            coming = [pool.submit(self._ahead, *job) for job in jobs]
            found = []
            try:
                for number, (job, each) in enumerate(zip(jobs, coming, strict=True)):
                    report(f"{self.workload.name} over {job[1]}", number / len(jobs))
                    found.append(each.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return found

    def _ahead(self, scaling: str, mesh: DeviceMesh, batch: int) -> _Found:
        empty = _empty(scaling, mesh, batch, self.base.name)
        try:
            target = with_chips(self.base, mesh.chips)
            empty = replace(empty, target=target.name)
            program = compile_workload(
                self.workload, batch=batch, target=target.name, mesh=mesh,
                partition=self.partition, options=self.options,
            )  # fmt: skip
            analysis = analyze(program)
        except EdgeGraphError as error:
            return replace(empty, error=str(error)), None
        device = self.base.device
        capacity_bytes = None if device is None else find_entry(device).capacity_bytes
        return _filled(empty, analysis, capacity_bytes), analysis

    def on_host(self, scaling: str, mesh: DeviceMesh, batch: int, report: Progress) -> _Found:
        """Compile over host devices and run it, in a subprocess."""
        empty = _empty(scaling, mesh, batch, "cpu")
        report(f"{self.workload.name} over {mesh}", None)
        try:
            program, latency = measure_on_host(
                self.workload, batch, mesh, partition=self.partition, options=self.options,
                settings=self.settings, progress=report,
            )  # fmt: skip
            analysis = analyze(program)
        except EdgeGraphError as error:
            return replace(empty, error=str(error)), None
        return replace(_filled(empty, analysis, None), latency=latency), analysis


def _empty(scaling: str, mesh: DeviceMesh, batch: int, target: str) -> ScalingPoint:
    return ScalingPoint(
        scaling=scaling, data=mesh.data, tensor=mesh.tensor, batch=batch, target=target
    )


def _filled(point: ScalingPoint, analysis: Analysis, capacity_bytes: float | None) -> ScalingPoint:
    totals, schedule, memory = analysis.totals, analysis.schedule, analysis.memory
    peak = None if memory is None else memory.peak_bytes
    parts = {
        "compute": totals.compute_time_s,
        "memory": totals.memory_time_s,
        "network": totals.network_time_s,
    }
    known = {name: time for name, time in parts.items() if time is not None}
    return replace(
        point,
        flops=totals.flops,
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        network_time_s=totals.network_time_s,
        # Transfers beside the compute share the memory's bandwidth with it.
        step_s=(
            None if schedule is None or not known else max(schedule.makespan_s, *known.values())
        ),
        bound=max(known, key=known.__getitem__, default=None),
        collectives=collectives_of(analysis),
        peak_memory_bytes=peak,
        fits=None if peak is None or capacity_bytes is None else peak <= capacity_bytes,
        compile_s=analysis.compile_s,
    )


def collectives_of(analysis: Analysis) -> tuple[CollectiveUse, ...]:
    """Return what a partitioned program exchanges, by kind of collective, the most bytes first.

    What runs between the start and the done of an asynchronous one hides it; the others hold the
    compute for as long as they take.
    """
    exposed: dict[str, float | None] = {}
    if analysis.schedule is not None:
        for transfer in analysis.schedule.transfers:
            if transfer.lane == NETWORK:
                wait_s, times = transfer.exposed_s, transfer.executions
                exposed[transfer.start] = (
                    None if wait_s is None or times is None else wait_s * times
                )
    found: dict[str, list[tuple[int | None, int | None, float | None, float | None]]] = {}
    for record in analysis.op_records:
        opcode = record.opcode.removesuffix("-start")
        if opcode not in opcodes.COLLECTIVES:
            continue
        start = record.name if record.name in exposed else record.parent or ""
        wait_s = exposed.get(start, record.network_time_s)
        found.setdefault(opcode, []).append(
            (record.executions, record.wire_bytes, record.network_time_s, wait_s)
        )
    uses = [
        CollectiveUse(
            opcode=opcode,
            count=_sum(count for count, *_ in each),
            wire_bytes=_sum(sent for _, sent, _, _ in each),
            network_time_s=_sum(time for _, _, time, _ in each),
            exposed_s=_sum(wait for *_, wait in each),
        )
        for opcode, each in found.items()
    ]
    return tuple(sorted(uses, key=lambda use: -(use.wire_bytes or math.inf)))


_Number = TypeVar("_Number", int, float)


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    held = list(values)
    return None if None in held else sum(value for value in held if value is not None)
