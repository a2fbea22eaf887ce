"""Where fusion helps: the same program compiled with full fusion, with less, and without."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgegraph.analysis.analyze import analyze
from edgegraph.base.timing import Progress, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.hlo.identity import module_digest
from edgegraph.hlo.op_name import UNATTRIBUTED, scope_of
from edgegraph.hlo.op_tree import launches
from edgegraph.measure import statistics
from edgegraph.measure.archive import check_portable
from edgegraph.measure.compare import compare_timings
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.timing import Latency, TimingComparison
from edgegraph.studies.fusion.effects import effects
from edgegraph.studies.fusion.result import (
    FULL,
    SAME,
    VERDICTS,
    WITHOUT_ANY,
    WITHOUT_LIBRARY,
    FusionEffect,
    FusionStudy,
    Rung,
    RungLayer,
    Step,
)
from edgegraph.workload import Workload

Options = Mapping[str, str | int | float | bool]

LIBRARY_FUSION = "xla_cpu_experimental_ynn_fusion_type"
DISABLED_PASSES = "xla_disable_hlo_passes"
FUSION_PASSES = "fusion,cpu-instruction-fusion"

STEPS = (
    ("library fusion", WITHOUT_LIBRARY, FULL),
    ("loop fusion", WITHOUT_ANY, WITHOUT_LIBRARY),
    ("all fusion", WITHOUT_ANY, FULL),
)
"""What is studied, with the rungs without and with it."""

CONFIDENCE = 0.95
_BLOCKS = 10
"""Blocks of calls whose spread gives a layer's interval."""


def fusion_study(
    subject: Workload | Callable[..., Any],
    *,
    args: Sequence[Any] | None = None,
    batch: int | None = None,
    options: Options | None = None,
    device: Device | None = None,
    measure: bool = True,
    processes: int = 5,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> FusionStudy:
    """Find out what fusion brings a program, as a whole, by layer, and fusion by fusion.

    Three rungs are compiled: with full fusion; without XLA's library fusion; and without loop
    fusion either. Their latencies are compared pair by pair, interleaved in fresh processes
    with an A/A control; layers are timed alone with each rung's options.

    Args:
        subject: A Workload, or a function with `args`.
        args: Arguments of a function.
        batch: Batch size of a Workload; 1 where None.
        options: XLA compiler options of all rungs.
        device: Whose roofs to use; this machine's calibration where None.
        measure: Time it; else only launches, bytes and roofline times are compared.
        processes: Fresh processes of every comparison, 3 at least.
        settings: How long and how carefully layers are timed.
        progress: Called with a message and a fraction.

    Raises:
        InputError: An argument cannot be used.
        CompileError: JAX cannot trace, or XLA cannot compile the function.

    Example:
        >>> import jax, edgegraph as eg
        >>> x = jax.ShapeDtypeStruct((512, 512), "float32")
        >>> study = eg.fusion_study(
        ...     lambda x: jax.numpy.tanh(2 * x + 1), args=(x,), measure=False)
        >>> [rung.launches for rung in study.rungs]
        [1, 1, 5]
    """
    report = progress or no_progress
    if measure:
        prefer_synchronous_dispatch()
    extra = rung_options(options or {})
    programs = _compile(subject, args, batch, options or {}, extra, measure, report)
    analyses = {
        name: analyze(
            program, measure=measure, device=device, settings=settings,
            progress=_within(report, name),
        )
        for name, program in programs.items()
    }  # fmt: skip
    same_as = _alike(programs)
    comparisons = _compare(programs, same_as, processes, report) if measure else {}
    rungs = {
        name: _rung(name, extra[name], same_as[name], programs[name], analysis, comparisons)
        for name, analysis in analyses.items()
    }
    return FusionStudy(
        workload=analyses[FULL].workload,
        batch=analyses[FULL].batch,
        target=analyses[FULL].target,
        device=None if (roofs := analyses[FULL].device) is None else roofs.name,
        environment=analyses[FULL].environment,
        rungs=tuple(rungs.values()),
        steps=tuple(_step(*step, rungs, same_as, comparisons) for step in STEPS),
        fusions=_effects(analyses, same_as),
    )


def _compile(
    subject: Workload | Callable[..., Any],
    args: Sequence[Any] | None,
    batch: int | None,
    options: Options,
    extra: Mapping[str, Options],
    timed: bool,
    report: Progress,
) -> dict[str, Program]:
    if not isinstance(subject, Workload) and args is None:
        raise InputError(
            f"cannot study {subject!r:.80} without arguments; pass them as args=(...), or give a"
            " Workload"
        )
    programs = {}
    for name, more in extra.items():
        report(f"compiling {name}", None)
        every = {**options, **more}
        programs[name] = compile_workload(subject, *(args or ()), batch=batch, options=every)
        if timed:
            check_portable(programs[name])
    return programs


def _effects(
    analyses: Mapping[str, Analysis], same_as: Mapping[str, str | None]
) -> tuple[FusionEffect, ...]:
    """Return what every fusion brings, those that save most first."""
    found = [
        effect
        for name in (FULL, WITHOUT_LIBRARY)
        if same_as[name] is None
        for effect in effects(name, analyses[name], analyses[WITHOUT_ANY])
    ]
    return tuple(sorted(found, key=lambda effect: -effect.saved_bytes))


def rung_options(options: Options) -> dict[str, dict[str, str | int | float | bool]]:
    """Return the compiler options of every rung, in addition to those of the user."""
    disabled = ",".join(filter(None, [str(options.get(DISABLED_PASSES, "")), FUSION_PASSES]))
    return {
        FULL: {},
        WITHOUT_LIBRARY: {LIBRARY_FUSION: ""},
        WITHOUT_ANY: {LIBRARY_FUSION: "", DISABLED_PASSES: disabled},
    }


def _within(report: Progress, label: str) -> Progress:
    return lambda message, fraction: report(f"{label}: {message}", fraction)


def _alike(programs: Mapping[str, Program]) -> dict[str, str | None]:
    """Return for every rung which one before it is the very same program."""
    first: dict[str, str] = {}
    alike: dict[str, str | None] = {}
    for name, program in programs.items():
        earlier = first.setdefault(module_digest(program.module), name)
        alike[name] = None if earlier == name else earlier
    return alike


Comparisons = Mapping[tuple[str, str], TimingComparison]
"""By the rungs without and with a kind of fusion; those that are other rungs' twins left out."""


def _pair(before: str, after: str, same_as: Mapping[str, str | None]) -> tuple[str, str]:
    """Name two rungs by the first that is the same program as each."""
    return same_as[before] or before, same_as[after] or after


def _compare(
    programs: Mapping[str, Program],
    same_as: Mapping[str, str | None],
    processes: int,
    report: Progress,
) -> Comparisons:
    found: dict[tuple[str, str], TimingComparison] = {}
    for name, before, after in STEPS:
        pair = _pair(before, after, same_as)
        if pair[0] == pair[1] or pair in found:
            continue
        first, second = (replace(programs[rung], name=rung) for rung in pair)
        found[pair] = compare_timings(
            first, second, processes=processes, progress=_within(report, f"timing {name}")
        )
    return found


def _step(
    name: str,
    before: str,
    after: str,
    rungs: Mapping[str, Rung],
    same_as: Mapping[str, str | None],
    comparisons: Comparisons,
) -> Step:
    pair = _pair(before, after, same_as)
    comparison = comparisons.get(pair)
    verdict = None if comparison is None else VERDICTS[comparison.verdict]
    return Step(
        name=name,
        before=before,
        after=after,
        verdict=SAME if pair[0] == pair[1] else verdict,
        comparison=comparison,
        saved_bytes=rungs[before].bytes - rungs[after].bytes,
        saved_launches=rungs[before].launches - rungs[after].launches,
    )


def _rung(
    name: str,
    options: Options,
    same_as: str | None,
    program: Program,
    analysis: Analysis,
    comparisons: Comparisons,
) -> Rung:
    every = analysis.op_tree.kernels
    totals = analysis.totals
    same = same_as or name
    seen = [
        once.first_s if same == before else once.second_s
        for (before, after), comparison in comparisons.items()
        if same in (before, after)
        for once in comparison.processes
    ]
    latency_s, interval_s = (None, None) if not seen else _centre(seen)
    if latency_s is None and analysis.latency is not None:  # all rungs are the same program
        latency_s, interval_s = _of_blocks(analysis.latency)
    return Rung(
        name=name,
        options=dict(options),
        same_as=same_as,
        launches=launches(every),
        fusions=launches(kernel for kernel in every if kernel.is_fusion),
        flops=totals.flops,
        bytes=totals.bytes_read + totals.bytes_written,
        compute_time_s=totals.compute_time_s,
        memory_time_s=totals.memory_time_s,
        temp_bytes=None if program.memory is None else program.memory.temp_bytes,
        compile_s=program.compile_s,
        latency_s=latency_s,
        interval_s=interval_s,
        layers=_layers(analysis),
        kernels=len(every),
    )


def _layers(analysis: Analysis) -> tuple[RungLayer, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for kernel in analysis.op_tree.kernels:
        head = kernel.head
        counts[head.layer or UNATTRIBUTED, head.phase] += launches([kernel])
    timed = {(each.layer, each.phase): each for each in analysis.layer_latencies}
    return tuple(
        _layer(row, counts[place], timed.get(place))
        for row in analysis.layer_records
        if row.leaf
        for place in [(scope_of(row.layer), row.phase)]
    )


def _layer(row: LayerRecord, count: int, timed: Any) -> RungLayer:
    layer = RungLayer(
        layer=row.layer,
        phase=row.phase,
        launches=count,
        bytes=(row.bytes_read or 0) + (row.bytes_written or 0),
        memory_time_s=row.memory_time_s,
    )
    if timed is None or timed.time_s is None:
        return layer
    _, (low, high) = _of_blocks(timed.latency)
    floor_s, times = timed.latency.dispatch_s or 0.0, timed.executions
    return replace(
        layer,
        time_s=timed.time_s,
        interval_s=(max(0.0, low - floor_s) * times, max(0.0, high - floor_s) * times),
        verdict=timed.latency.verdict,
    )


def _of_blocks(latency: Latency) -> tuple[float, tuple[float, float]]:
    """Return the median and its interval from the spread between blocks of calls in a row.

    Calls in a row resemble each other, so an interval over single calls would be too narrow.
    """
    samples = latency.samples_s
    size = max(1, len(samples) // _BLOCKS)
    blocks = [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]
    medians = [statistics.median(block) for block in blocks]
    if len(medians) < 2:
        return latency.median_s, (latency.median_s, latency.median_s)
    _, (low, high) = _centre(medians)
    return latency.median_s, (min(low, latency.median_s), max(high, latency.median_s))


def _centre(seconds: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the geometric mean and its 95 % confidence interval."""
    logs = [math.log(each) for each in seconds]
    low, high = statistics.mean_interval(logs, CONFIDENCE)
    return math.exp(math.fsum(logs) / len(logs)), (math.exp(low), math.exp(high))
