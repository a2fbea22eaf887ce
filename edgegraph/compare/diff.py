"""diff(): what changed from one analysis to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgegraph.base.timing import bulk
from edgegraph.compare.changes import count_same, op_changes
from edgegraph.compare.layers import align_layers, compare_latencies, layer_changes
from edgegraph.compare.match import match
from edgegraph.compare.result import Diff, Facet, Figure, Subject
from edgegraph.compare.side import make_side
from edgegraph.errors import InputError
from edgegraph.hlo.identity import Labels, label_instructions
from edgegraph.results.analysis import Analysis
from edgegraph.results.files import load_analysis
from edgegraph.results.timing import best_throughput
from edgegraph.results.verdicts import ESTIMATED

_UNITS = {
    "ops": "", "kernels": "", "params": "", "param_bytes": "B", "macs": "MAC", "flops": "FLOP",
    "transcendentals": "", "bytes_read": "B", "bytes_written": "B", "main_memory_bytes": "B",
    "wire_bytes": "B", "intensity_flops_per_byte": "FLOP/B",
    "peak_memory_bytes": "B", "temp_bytes": "B", "live_peak_bytes": "B", "code_bytes": "B",
    "compute_time_s": "s", "memory_time_s": "s", "overlapped_time_s": "s", "serial_time_s": "s",
    "latency_s": "s", "throughput_per_s": "/s",
}  # fmt: skip
"""The figures of the whole that are compared, with their units."""

_ROOFS = ("compute_time_s", "memory_time_s", "overlapped_time_s", "serial_time_s")


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


def settings(before: Subject, after: Subject) -> tuple[Facet, ...]:
    """Return what was set differently."""
    one, other = _settings(before), _settings(after)
    return tuple(
        Facet(name=name, before=was, after=now)
        for name in one | other
        if (was := one.get(name, "not set")) != (now := other.get(name, "not set"))
    )


def _settings(side: Subject) -> dict[str, str]:
    names = ("workload", "batch", "target", "stage", "device", "jax", "jaxlib", "machine")
    values = {name: getattr(side, name) for name in names}
    found = {name: "none" if value is None else str(value) for name, value in values.items()}
    found["dtype"] = ", ".join(side.dtypes)
    return found | {f"option {key}": str(value) for key, value in side.options.items()}


def figures(before: Analysis, after: Analysis) -> tuple[Figure, ...]:
    """Return the figures of the whole that either side has; times with their noise."""
    left, right = whole(before), whole(after)
    noise_s, verdict = compare_latencies(before.latency, after.latency) or (None, None)
    verdicts = {"latency_s": verdict}
    if before.device == after.device and before.device is not None:
        verdicts |= dict.fromkeys(_ROOFS, ESTIMATED)
    return tuple(
        Figure(
            name=name, unit=unit, before=left[name], after=right[name],
            noise=noise_s if name == "latency_s" else None, verdict=verdicts.get(name),
        )
        for name, unit in _UNITS.items()
        if left[name] is not None or right[name] is not None
    )  # fmt: skip


def whole(analysis: Analysis) -> dict[str, Any]:
    """Return the figures of a whole program by name; None where unknown."""
    use, live, latency = analysis.memory, analysis.live_memory, analysis.latency
    rate = best_throughput(analysis.throughputs)
    return {
        **analysis.totals,
        "bytes": analysis.totals.bytes_read + analysis.totals.bytes_written,
        # Each counts once, however often it runs.
        "kernels": len(analysis.op_tree.kernels),
        "peak_memory_bytes": None if use is None else use.peak_bytes,
        "temp_bytes": None if use is None else use.temp_bytes,
        "live_peak_bytes": None if live is None else live.peak_bytes,
        "code_bytes": None if use is None else use.code_bytes,
        "latency_s": None if latency is None else latency.median_s,
        "throughput_per_s": None if rate is None else rate.samples_per_s,
    }


@bulk
def diff(before: Analysis | str | Path, after: Analysis | str | Path) -> Diff:
    """Find out what changed from one analysis to another.

    Layers are aligned by their path, else by name, order and what they do; ops by layer, phase,
    and what they are, cost and stand beside, never by name. Times are compared with their noise.

    Args:
        before: An analysis, or a file that holds one.
        after: Another; it may differ in batch size, number type, versions, options and target, or
            be of another model.

    Returns:
        An immutable `Diff`; ``.empty`` where both programs do the same.

    Raises:
        InputError: One is no analysis, or there is no such file.
        FormatError: A file cannot be read, or holds something else.

    Example:
        >>> import jax, jax.numpy as jnp, edgegraph as eg
        >>> x = jax.ShapeDtypeStruct((8, 8), "float32")
        >>> small = eg.analyze(lambda x: jnp.tanh(x @ x), args=(x,), name="small")
        >>> large = eg.analyze(lambda x: jnp.tanh(x @ x @ x), args=(x,), name="large")
        >>> eg.diff(small, small).empty
        True
        >>> eg.diff(small, large).totals.loc["macs", ["before", "after"]].to_list()
        [512.0, 1024.0]
    """
    left, right = given_analysis(before), given_analysis(after)
    labels = Labels()
    exact = left.environment.jaxlib == right.environment.jaxlib
    aligned = align_layers(left, right)
    sides = [
        make_side(each, label_instructions(each.module, labels, exact=exact), labels, numbers)
        for each, numbers in ((left, aligned.before), (right, aligned.after))
    ]
    found = match(sides[0], sides[1], labels)
    changes = op_changes(sides[0], sides[1], found)
    subjects = subject(left), subject(right)
    return Diff(
        before=subjects[0],
        after=subjects[1],
        settings=settings(*subjects),
        figures=figures(left, right),
        layer_changes=layer_changes(left, right, aligned, changes),
        op_changes=changes,
        same_ops=count_same(sides[0], found),
        notes=tuple(_notes(left, right, *subjects)),
    )


def given_analysis(given: Analysis | str | Path) -> Analysis:
    """Return an analysis, read from its file where it is not one yet."""
    if isinstance(given, Analysis):
        return given
    if isinstance(given, str | Path):
        return load_analysis(given)
    raise InputError(
        f"cannot compare {given!r}; expected an Analysis, or the file that one was saved to"
    )


def _notes(left: Analysis, right: Analysis, before: Subject, after: Subject) -> Iterator[str]:
    if before.jaxlib != after.jaxlib:
        yield (
            f"jaxlib {before.jaxlib} and {after.jaxlib} write attributes differently; of ops only"
            " those that EdgeGraph decodes were compared"
        )
    if left.latency is not None and right.latency is not None and before.machine != after.machine:
        yield f"the times are of two machines: {before.machine}; {after.machine}"
    if before.stage != after.stage:
        yield f"one program is {before.stage} and the other {after.stage}: most ops differ"
