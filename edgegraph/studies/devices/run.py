"""The same question on several devices: how long, what binds, does it fit."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from edgegraph.analysis.analyze import analyze
from edgegraph.base.timing import Progress, no_progress
from edgegraph.base.worker import end_children
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.compiler.targets import parse_target
from edgegraph.device import host
from edgegraph.device.catalogue import find_device
from edgegraph.errors import CompileError, EdgeGraphError, InputError
from edgegraph.measure.environment import environment
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.analysis import Analysis
from edgegraph.studies.devices.result import ROOM, DeviceComparison, DeviceRow, op_kinds
from edgegraph.studies.fit.batch import out_of_memory, search
from edgegraph.workload import Workload

COMPILERS_AT_ONCE = 2
"""Each holds up to a gigabyte, and keeps one core busy at least."""

_LOOK_AGAIN_S = 0.1


def compare_devices(
    workloads: Workload | Program | Sequence[Workload | Program],
    *,
    devices: Sequence[str],
    batches: Sequence[int] = (1,),
    measure: bool = False,
    largest: bool = False,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> DeviceComparison:
    """Analyse workloads for several devices and batch sizes, side by side.

    A device whose compiler is missing or fails becomes a row with its error; the rest goes on.

    Args:
        workloads: One, or several to compare on the same devices; also Programs from files, which
            are not compiled again and get the roofs of a ``device:`` only, as they were fused.
        devices: As `edgegraph.compile` takes its target: ``cpu``, ``tpu:v5e``, ``gpu:orin``,
            ``device:rpi5``.
        batches: Batch sizes.
        measure: Measure what can run here: the target ``cpu``.
        largest: Find the largest batch of every workload that fits each device, by compiling it at
            other batch sizes, some six to ten a device.
        settings: How long and how carefully to measure.
        progress: Called with a message and a fraction.

    Raises:
        InputError: A device is unknown, or nothing was asked for.

    Example:
        >>> import jax, edgegraph as eg
        >>> dense = eg.Workload.from_function(
        ...     lambda x, w: x @ w,
        ...     lambda batch: (jax.ShapeDtypeStruct((batch, 784), "float32"),
        ...                    jax.ShapeDtypeStruct((784, 10), "float32")), name="dense")
        >>> compared = eg.compare_devices(dense, devices=["device:rpi5", "device:cortex-m7"])
        >>> [(row.device, row.macs, row.bound) for row in compared.rows]
        [('device:rpi5', 7840, 'memory'), ('device:cortex-m7', 7840, 'compute')]
    """
    rows = device_rows(
        workloads, devices=devices, batches=batches, measure=measure, largest=largest,
        settings=settings, progress=progress,
    )  # fmt: skip
    return comparison(list(rows))


def device_rows(
    workloads: Workload | Program | Sequence[Workload | Program],
    *,
    devices: Sequence[str],
    batches: Sequence[int] = (1,),
    measure: bool = False,
    largest: bool = False,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> Generator[DeviceRow, None, None]:
    """Yield the rows of `compare_devices`, each as soon as it is done, for `comparison`.

    Whatever ends it early, Ctrl-C too, ends the compilers that run for it.
    """
    chosen = [workloads] if isinstance(workloads, Workload | Program) else list(workloads)
    if not (chosen and devices and batches):
        raise InputError("give at least one workload, one device and one batch size")
    targets = [parse_target(name) for name in devices]
    cells = [
        (workload, target.name, batch)
        for workload in chosen
        for target in targets
        for batch in (batches if isinstance(workload, Workload) else [workload.batch])
    ]
    report = progress or no_progress
    if measure:
        prefer_synchronous_dispatch()
    ahead = {target.name for target in targets if target.ahead}
    # What is compiled elsewhere is compiled in subprocesses, several at once.
    with ThreadPoolExecutor(COMPILERS_AT_ONCE) as pool:
        compiling = {
            number: pool.submit(_compile, *cell)
            for number, cell in enumerate(cells)
            if cell[1] in ahead
        }
        try:
            for number, cell in enumerate(cells):
                report(_said(cell), number / len(cells))
                made = compiling[number].result() if number in compiling else _compile(*cell)
                row = _row(cell, made, measure, settings)
                last = number + 1 == len(cells) or cells[number + 1][:2] != cell[:2]
                yield _with_largest(row, cell, report) if largest and last else row
        finally:
            _end(compiling.values())


def _said(cell: Cell) -> str:
    workload, target, batch = cell
    return f"{workload.name}{'' if batch is None else f' at batch {batch}'} on {target}"


def comparison(rows: Sequence[DeviceRow]) -> DeviceComparison:
    """Put rows together; those of a workload on a device share the largest batch that fits."""
    return DeviceComparison(rows=_with_largest_batch(rows), environment=environment())


def _end(compiling: Collection[Future[Program | EdgeGraphError]]) -> None:
    """End what is still compiling, also what starts only now."""
    for future in compiling:
        future.cancel()
    while any(future.running() for future in compiling):
        end_children()
        wait(compiling, timeout=_LOOK_AGAIN_S)


Cell = tuple[Workload | Program, str, int | None]


def _compile(
    workload: Workload | Program, target: str, batch: int | None
) -> Program | EdgeGraphError:
    if isinstance(workload, Program):
        device = parse_target(target)
        if device.ahead or device.device is None:
            return InputError(
                f"{workload.name} is compiled already; name a device of the catalogue, such as"
                f" device:{device.device or 'rpi5'}"
            )
        return replace(workload, target=device.name, device=device.device)
    try:
        return compile_workload(workload, batch=batch, target=target)
    except EdgeGraphError as error:
        return error


def _row(
    cell: Cell,
    program: Program | EdgeGraphError,
    measure: bool,
    settings: MeasurementSettings | None,
) -> DeviceRow:
    workload, device, batch = cell
    empty = DeviceRow(workload=workload.name, device=device, batch=batch)
    if isinstance(program, EdgeGraphError):
        return replace(empty, error=str(program))
    try:
        analysis = analyze(program, measure=measure and device == "cpu", settings=settings)
    except EdgeGraphError as error:
        return replace(empty, error=str(error))
    return _with_memory(_filled(empty, analysis), analysis, program)


def _with_memory(row: DeviceRow, analysis: Analysis, program: Program) -> DeviceRow:
    """Add what is needed of the device's memory.

    A device without a compiler of its own does not hold what this host's program holds: inside a
    fused kernel of a library, activations take memory that nobody counts. There the peak of the
    activations as the model is written counts, if that is more.
    """
    capacity: float | None = host.machine_memory_bytes()
    memory = "DRAM"
    if program.device is not None:
        device = find_device(program.device)
        capacity, memory = device.capacity_bytes, device.memory[-1].name
    activations = analysis.activation_memory
    peak_bytes = None if activations is None else activations.liveness.bytes
    needed_bytes = None if analysis.memory is None else analysis.memory.peak_bytes
    if needed_bytes is not None and peak_bytes is not None and row.device.startswith("device:"):
        needed_bytes = max(needed_bytes, (analysis.totals.param_bytes or 0) + peak_bytes)
    return replace(
        row,
        weights_bytes=analysis.totals.param_bytes,
        activation_bytes=peak_bytes,
        needed_bytes=needed_bytes,
        capacity_bytes=None if capacity is None else int(capacity),
        memory=memory,
    )


def _filled(row: DeviceRow, analysis: Analysis) -> DeviceRow:
    totals, latency = analysis.totals, analysis.latency
    roofs_s = {"compute": 0.0, "memory": 0.0, "network": 0.0}
    for record in analysis.op_tree.leaves:
        if record.bound is not None:
            roofs_s[record.bound] += record.roof_time_s or 0.0
    whole_s = None if totals.serial_time_s is None else sum(roofs_s.values())
    return replace(
        row,
        device_name=None if analysis.device is None else analysis.device.name,
        macs=totals.macs,
        flops=totals.flops,
        bytes=totals.bytes_read + totals.bytes_written,
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        low_s=totals.overlapped_time_s,
        roof_s=whole_s,
        high_s=totals.serial_time_s,
        expected_s=totals.expected_time_s,
        expected_low_s=totals.expected_low_s,
        expected_high_s=totals.expected_high_s,
        compiler_time_s=totals.compiler_time_s,
        compiler_coverage=totals.compiler_coverage,
        measured_s=None if latency is None else latency.median_s,
        verdict=None if latency is None else latency.verdict,
        bound=totals.bound,
        memory_bound_share=roofs_s["memory"] / whole_s if whole_s else None,
        kinds=op_kinds(analysis),
    )


def _with_largest(row: DeviceRow, cell: Cell, report: Progress) -> DeviceRow:
    """Add the largest batch that fits the device, which its other rows get from this one."""
    workload, device, _ = cell
    if row.capacity_bytes is None or row.error or isinstance(workload, Program):
        return row
    if not workload.batched:
        return row

    def needed(batch: int) -> int | None:
        report(_said((workload, device, batch)), None)
        made = _compile(workload, device, batch)
        if isinstance(made, CompileError) and out_of_memory(made):
            return None
        found = _row((workload, device, batch), made, False, None)
        if found.needed_bytes is None:
            raise CompileError(found.error or f"nothing is known of the memory of {device}")
        return found.needed_bytes

    room = 0.0 if device.startswith("tpu:") else ROOM
    try:
        found = search(needed, int(row.capacity_bytes * (1 - room)), name=workload.name)
    except EdgeGraphError as error:
        report(f"the largest batch of {workload.name} on {device} is not known: {error}", None)
        return row
    return replace(row, largest_batch=found.batch)


def _with_largest_batch(rows: Sequence[DeviceRow]) -> tuple[DeviceRow, ...]:
    """Give every row the largest batch that was found of its workload and device."""
    known = {
        (row.workload, row.device): row.largest_batch
        for row in rows
        if row.largest_batch is not None
    }
    return tuple(replace(row, largest_batch=known.get((row.workload, row.device))) for row in rows)
