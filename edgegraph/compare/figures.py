"""Two analyses as wholes: what was set differently, and their figures side by side."""

from __future__ import annotations

from collections.abc import Iterator

from edgegraph.compare.times import compare_latencies
from edgegraph.results.analysis import Analysis
from edgegraph.results.diff import ESTIMATED, Figure, Setting, Subject
from edgegraph.results.throughput import best_throughput

_TOTALS = {
    "ops": "", "params": "", "param_bytes": "B", "macs": "MAC", "flops": "FLOP",
    "transcendentals": "", "bytes_read": "B", "bytes_written": "B", "main_memory_bytes": "B",
    "wire_bytes": "B", "intensity_flops_per_byte": "FLOP/B",
}  # fmt: skip
_ROOFS = ("compute_time_s", "memory_time_s", "overlapped_time_s", "serial_time_s")
_MEMORY = ("peak_memory_bytes", "temp_bytes", "live_peak_bytes", "code_bytes")


def subject(analysis: Analysis) -> Subject:
    """Return what was analysed, how, and where."""
    macs: dict[str, int] = {}
    for op in analysis.op_records:
        if op.macs and op.dtype is not None:
            macs[op.dtype] = macs.get(op.dtype, 0) + op.macs
    environment = analysis.environment
    return Subject(
        workload=analysis.workload,
        batch=analysis.batch,
        target=analysis.target,
        stage=analysis.stage,
        options=dict(analysis.options),
        dtypes=tuple(sorted(macs, key=lambda dtype: -macs[dtype])),
        device=None if analysis.device is None else analysis.device.name,
        jax=environment.jax,
        jaxlib=environment.jaxlib,
        machine=f"{environment.processor}, {environment.affinity} of {environment.cores} cores",
        created_at=environment.created_at,
        ops=analysis.totals.ops,
    )


def settings(before: Subject, after: Subject) -> tuple[Setting, ...]:
    """Return what was set differently."""
    return tuple(
        Setting(name=name, before=one, after=other)
        for name, one, other in _settings(before, after)
        if one != other
    )


def _settings(before: Subject, after: Subject) -> Iterator[tuple[str, str, str]]:
    for name in ("workload", "batch", "target", "stage", "device", "jax", "jaxlib", "machine"):
        one, other = getattr(before, name), getattr(after, name)
        yield name, "none" if one is None else str(one), "none" if other is None else str(other)
    yield "dtype", ", ".join(before.dtypes), ", ".join(after.dtypes)
    for key in dict.fromkeys([*before.options, *after.options]):
        one, other = (str(side.options.get(key, "not set")) for side in (before, after))
        yield f"option {key}", one, other


def figures(before: Analysis, after: Analysis) -> tuple[Figure, ...]:
    """Return the figures of the whole that either side has; times with their noise."""
    found = [
        Figure(name=name, unit=unit, before=_number(before, name), after=_number(after, name))
        for name, unit in _TOTALS.items()
    ]
    found.insert(
        1, Figure(name="kernels", unit="", before=kernel_count(before), after=kernel_count(after))
    )
    found += [
        Figure(name=name, unit="B", before=_memory(before)[name], after=_memory(after)[name])
        for name in _MEMORY
    ]
    same_device = before.device == after.device and before.device is not None
    found += [
        Figure(
            name=name, unit="s", before=_number(before, name), after=_number(after, name),
            verdict=ESTIMATED if same_device else None,
        )
        for name in _ROOFS
    ]  # fmt: skip
    found.append(_latency(before, after))
    rates = [best_throughput(each.throughputs) for each in (before, after)]
    one, other = (None if rate is None else rate.samples_per_s for rate in rates)
    found.append(Figure(name="throughput_per_s", unit="/s", before=one, after=other))
    return tuple(each for each in found if each.before is not None or each.after is not None)


def kernel_count(analysis: Analysis) -> int:
    """Count the kernels of the program, each once however often it runs."""
    return len(analysis.op_tree.kernels)


def _memory(analysis: Analysis) -> dict[str, int | None]:
    use, live = analysis.memory, analysis.live_memory
    return {
        "peak_memory_bytes": None if use is None else use.peak_bytes,
        "temp_bytes": None if use is None else use.temp_bytes,
        "live_peak_bytes": None if live is None else live.peak_bytes,
        "code_bytes": None if use is None else use.code_bytes,
    }


def _number(analysis: Analysis, name: str) -> int | float | None:
    value = analysis.totals[name]
    return None if isinstance(value, str) else value


def _latency(before: Analysis, after: Analysis) -> Figure:
    compared = compare_latencies(before.latency, after.latency)
    return Figure(
        name="latency_s",
        unit="s",
        before=None if before.latency is None else before.latency.median_s,
        after=None if after.latency is None else after.latency.median_s,
        noise=None if compared is None else compared[0],
        verdict=None if compared is None else compared[1],
    )
