"""diff(): what changed from one analysis to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgegraph.base.timing import bulk
from edgegraph.compare.changes import count_same, op_changes
from edgegraph.compare.layers import align_layers, compare_latencies, layer_changes
from edgegraph.compare.match import match
from edgegraph.compare.result import Diff, Figure, Setting, Subject
from edgegraph.compare.side import make_side
from edgegraph.errors import InputError
from edgegraph.hlo.identity import Labels, label_instructions
from edgegraph.results.analysis import Analysis
from edgegraph.results.files import load_analysis
from edgegraph.results.timing import best_throughput
from edgegraph.results.verdicts import ESTIMATED

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
    """Return an analysis, read from its file where it is not one yet.

    Raises:
        InputError: It is neither, or there is no such file.
    """
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
