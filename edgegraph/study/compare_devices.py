"""The same question on several devices: how long, what binds, does it fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from edgegraph.analyzer import Progress, analyze
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.compiler.targets import parse_target
from edgegraph.cost.cost import known_sum
from edgegraph.device.catalogue import find_entry
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.environment import environment
from edgegraph.measure.executable import prefer_synchronous_dispatch
from edgegraph.measure.sampling import Settings
from edgegraph.results.analysis import Analysis
from edgegraph.results.device_comparison import DeviceComparison, DeviceRow
from edgegraph.workload import Workload

COMPILERS_AT_ONCE = 2
"""Each holds up to a gigabyte, and keeps one core busy at least."""


def compare_devices(
    workloads: Workload | Sequence[Workload],
    *,
    devices: Sequence[str],
    batches: Sequence[int] = (1,),
    measure: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> DeviceComparison:
    """Analyse workloads for several devices and batch sizes, side by side.

    A device whose compiler is missing or fails becomes a row with its error; the rest goes on.

    Args:
        workloads: One, or several to compare on the same devices.
        devices: As `edgegraph.compile` takes its target: ``cpu``, ``tpu:v5e``, ``gpu:orin``,
            ``device:rpi5``.
        batches: Batch sizes.
        measure: Measure what can run here: the target ``cpu``.
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
    chosen = [workloads] if isinstance(workloads, Workload) else list(workloads)
    if not (chosen and devices and batches):
        raise InputError("give at least one workload, one device and one batch size")
    targets = [parse_target(name) for name in devices]
    cells = [
        (workload, target.name, batch)
        for workload in chosen
        for target in targets
        for batch in batches
    ]
    report = progress or (lambda message, fraction: None)
    if measure:
        prefer_synchronous_dispatch()
    ahead = {target.name for target in targets if target.ahead}
    # What is compiled elsewhere is compiled in processes of its own, several at once.
    with ThreadPoolExecutor(COMPILERS_AT_ONCE) as pool:
        compiling = {cell: pool.submit(_compile, *cell) for cell in cells if cell[1] in ahead}
        try:
            rows = []
            for number, cell in enumerate(cells):
                workload, target_name, batch = cell
                report(f"{workload.name} at batch {batch} on {target_name}", number / len(cells))
                made = compiling[cell].result if cell in compiling else lambda c=cell: _compile(*c)
                rows.append(_row(cell, made, measure, settings))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return DeviceComparison(rows=_with_largest_batch(rows), environment=environment())


Cell = tuple[Workload, str, int]


def _compile(workload: Workload, target: str, batch: int) -> Program | EdgeGraphError:
    try:
        return compile_workload(workload, batch=batch, target=target)
    except EdgeGraphError as error:
        return error


def _row(
    cell: Cell,
    made: Callable[[], Program | EdgeGraphError],
    measure: bool,
    settings: Settings | None,
) -> DeviceRow:
    workload, device, batch = cell
    empty = DeviceRow(workload=workload.name, device=device, batch=batch)
    program = made()
    if isinstance(program, EdgeGraphError):
        return replace(empty, error=str(program))
    try:
        analysis = analyze(program, measure=measure and device == "cpu", settings=settings)
    except EdgeGraphError as error:
        return replace(empty, error=str(error))
    return _filled(empty, analysis, _capacity_bytes(program.device))


def _capacity_bytes(device: str | None) -> int | None:
    """Give the size of a device's main memory; this machine's where None."""
    if device is None:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    capacity = find_entry(device).capacity_bytes
    return None if capacity is None else int(capacity)


def _filled(row: DeviceRow, analysis: Analysis, capacity_bytes: int | None) -> DeviceRow:
    totals, latency, alive = analysis.totals, analysis.latency, analysis.live_memory
    top = [record for record in analysis.op_records if record.parent is None]
    timed = [record for record in analysis.op_records if record.bound is not None]
    containers = {record.parent for record in analysis.op_records}
    kernels = [record for record in timed if record.name not in containers]
    roof_s = {
        bound: sum(
            max(record.compute_time_s or 0.0, record.memory_time_s or 0.0)
            for record in kernels
            if record.bound == bound
        )
        for bound in ("compute", "memory")
    }
    low_s = sum(roof_s.values())
    known = totals.serial_time_s is not None
    return replace(
        row,
        device_name=None if analysis.device is None else analysis.device.name,
        macs=totals.macs,
        flops=totals.flops,
        bytes=known_sum(r.bytes_read for r in top) + known_sum(r.bytes_written for r in top),
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        low_s=low_s if known else None,
        high_s=totals.serial_time_s,
        compiler_time_s=totals.compiler_time_s,
        measured_s=None if latency is None else latency.median_s,
        verdict=None if latency is None else latency.verdict,
        bound=totals.bound,
        memory_bound_share=roof_s["memory"] / low_s if low_s else None,
        weights_bytes=totals.param_bytes,
        activation_bytes=None if alive is None else alive.working_bytes,
        needed_bytes=None if analysis.memory is None else analysis.memory.peak_bytes,
        capacity_bytes=capacity_bytes,
    )


def _with_largest_batch(rows: Sequence[DeviceRow]) -> tuple[DeviceRow, ...]:
    """Extrapolate the memory that is needed, which grows with the batch size as a line."""
    known: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in rows:
        if row.batch is not None and row.needed_bytes is not None:
            known.setdefault((row.workload, row.device), []).append((row.batch, row.needed_bytes))
    return tuple(
        replace(
            row,
            largest_batch=largest_batch(
                known.get((row.workload, row.device), []), row.capacity_bytes
            ),
        )
        for row in rows
    )


def largest_batch(needed: Sequence[tuple[int, int]], capacity_bytes: int | None) -> int | None:
    """Give the largest batch size that fits, on the line through the outermost two.

    Args:
        needed: Batch sizes with the bytes that they need.
        capacity_bytes: What there is.

    Returns:
        The batch size, 0 where not even one example fits; None where fewer than two batch sizes
        are known, or the memory does not grow.

    Example:
        Weights of 10 bytes, and 5 bytes for every example:

        >>> largest_batch([(1, 15), (8, 50)], 100)
        18
    """
    if capacity_bytes is None or len(needed) < 2:
        return None
    (first, first_bytes), (last, last_bytes) = min(needed), max(needed)
    if first == 1 and first_bytes > capacity_bytes:
        return 0
    if last == first or last_bytes <= first_bytes:
        return None
    slope = (last_bytes - first_bytes) / (last - first)
    return max(0, int(first + (capacity_bytes - first_bytes) / slope))
