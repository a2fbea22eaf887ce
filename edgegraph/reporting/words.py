"""The sentences that every presenter says alike: the device, the measurement, provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgegraph.base.shown import shown
from edgegraph.base.units import percent, ratio, seconds, seconds_in, si
from edgegraph.reporting.memory import memory_lines
from edgegraph.results.analysis import Analysis, Environment, OpRecord
from edgegraph.results.timing import Latency, best_throughput


def title(analysis: Analysis) -> str:
    """Name the program: ``small_cnn, batch 32, cpu``."""
    batch = "" if analysis.batch is None else f", batch {analysis.batch}"
    stage = "" if analysis.stage == "optimized" else ", before optimisation"
    whose = "" if analysis.figures_of is None else f", {analysis.figures_of}"
    return f"{shown(analysis.workload)}{batch}, {analysis.target}{stage}{whose}"


def throughput(analysis: Analysis) -> str | None:
    """Return the examples per second when one call follows the other, or None if not measured."""
    if analysis.latency is None or analysis.batch is None:
        return None
    return f"{si(analysis.batch / analysis.latency.median_s)}/s"


_EXAMPLES = {"gpu": "h100-sxm", "tpu": "tpu-v5e"}
"""A device of the catalogue for each kind of which a file does not say which it is."""


def device_line(analysis: Analysis) -> str:
    """Describe whose roofs bind, and where they meet."""
    device = analysis.device
    if device is None and analysis.target in _EXAMPLES:
        kind, example = analysis.target.upper(), _EXAMPLES[analysis.target]
        return f"no device: name the {kind} it was compiled for, such as --device {example}"
    if device is None:
        return "no device: run `edgegraph calibrate` for a roofline"
    reference = next(iter(device.peak_flops_per_s))
    roofs = {op.roof for op in analysis.op_records if op.flops} or {reference}
    levels = {op.level for op in analysis.op_records if op.bytes_read or op.bytes_written}
    peaks = [
        f"{dtype} {si(peak, 'FLOP/s')}"
        for dtype, peak in device.peak_flops_per_s.items()
        if dtype in roofs
    ]
    bandwidths = [
        f"{level.name} {si(level.bandwidth_bytes_per_s, 'B/s')}"
        f" (ridge {ratio(device.ridge_point(reference, level.name))} FLOP/B)"
        for level in device.memory
        if level.name in levels or level is device.memory[-1]
    ]
    return f"{device.name}, {device.origin}: {', '.join(peaks)}; {', '.join(bandwidths)}"


def is_guess(analysis: Analysis) -> bool:
    """Whether what is expected rests on the kernels of another machine."""
    return analysis.device is not None and analysis.device.guessed_from is not None


def why_expected(analysis: Analysis) -> str:
    """Say what an expected time rests on."""
    device = analysis.device
    if device is None or device.guessed_from is None:
        return "as kernels of these kinds and sizes ran in the calibration"
    kinds = "" if device.origin == "catalogue" else " of kinds that were not calibrated there"
    return (
        f"a first guess: kernels{kinds} come as near to its peak as those of {device.guessed_from}"
        " came to that one's"
    )


def measurement_line(analysis: Analysis) -> list[str]:
    """Describe how far the figures hold: bracket, sum of layers, noise, memory."""
    totals = analysis.totals
    said = [("note", note) for note in analysis.notes]
    said += () if analysis.stage == "lowered" else _estimates(analysis)
    if analysis.latency is not None:
        said.append(("measured", _measured(analysis, analysis.latency)))
        said += _wake_up(analysis.latency)
    said += [*conditions(analysis), *traced(analysis), *products(analysis), *_allocated(analysis)]
    moved = totals.bytes_read + totals.bytes_written
    if totals.flops_lowest < totals.flops or totals.bytes_lowest < moved:
        taken = (
            f"{si(totals.flops_lowest, 'FLOP')} to {si(totals.flops, 'FLOP')},"
            f" {si(totals.bytes_lowest, 'B')} to {si(moved, 'B')}, by the branches taken; the most"
            " expensive branch is counted"
        )
        said.append(("branches", taken))
    if totals.wire_bytes:
        said.append(("network", f"each device sends {si(totals.wire_bytes, 'B')} in collectives"))
    if totals.lower_bound:
        said.append(("lower bounds", f"{len(analysis.unpriced)} ops have costs that are not known"))
    return [f"{name}: {what}" for name, what in said]


def _estimates(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Describe what the roofs, the calibration and a compiler say of the time."""
    totals = analysis.totals
    if totals.compute_time_s is not None and totals.memory_time_s is not None:
        sent = totals.network_time_s
        network = "" if sent is None else f", network {seconds(sent)}"
        yield (
            "roofline",
            f"compute {seconds(totals.compute_time_s)}, memory {seconds(totals.memory_time_s)}"
            f"{network}; whole between {seconds(totals.overlapped_time_s)} (perfect overlap) and"
            f" {seconds(totals.serial_time_s)} (none)",
        )
    if totals.expected_time_s is not None:
        low, high = seconds(totals.expected_low_s), seconds(totals.expected_high_s)
        yield (
            "expected" if is_guess(analysis) else "expected here",
            f"{seconds(totals.expected_time_s)} ({low} to {high}), {why_expected(analysis)}",
        )
    if totals.compiler_time_s is not None or totals.compiler_optimal_s is not None:
        covered = totals.compiler_coverage
        part = "" if covered is None or covered >= 0.995 else f" ({percent(covered)} of the work)"
        yield (
            "compiler's own estimates",
            f"{seconds(totals.compiler_time_s)} by its model of each kernel{part},"
            f" {seconds(totals.compiler_optimal_s)} by its roofline",
        )


def _measured(analysis: Analysis, latency: Latency) -> str:
    rate = throughput(analysis)
    rate = "" if rate is None or analysis.batch == 1 else f" ({rate} one after the other)"
    tail = "" if latency.p90_s is None else f", p90 {seconds(latency.p90_s)}"
    return (
        f"{_median(latency)}{tail}{rate}, min {seconds(latency.min_s)}, n={latency.samples},"
        f" {latency.verdict} (known to {percent(latency.uncertainty)});"
        f" launch {seconds(latency.dispatch_s)}"
    )


def _median(latency: Latency) -> str:
    """Write the median with its 95 % confidence interval."""
    known = "" if latency.interval_s is None else f" ({seconds_in(latency.interval_s)})"
    return f"{seconds(latency.median_s)} median{known}"


_FELT = 0.1
"""Share of a call in launching it from which it matters whether a thread has to wake up."""


def _wake_up(latency: Latency) -> Iterator[tuple[str, str]]:
    """Say where a thread's wake-up is a part of the time that is felt, and how to leave it out."""
    if not latency.synchronous and (latency.dispatch_s or 0.0) > _FELT * latency.median_s:
        yield (
            "another thread",
            "JAX was in use before, so that a thread wakes up in every call;"
            " jax.config.update('jax_cpu_enable_async_dispatch', False) before JAX touches a device"
            " leaves that out",
        )


def _allocated(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Describe what XLA sets aside, what is alive, and what the activations need."""
    memory = analysis.memory
    if memory is not None:
        shared = (
            f" - donated {si(memory.alias_bytes, 'B')}; without donation at most"
            f" {si(memory.undonated_peak_bytes, 'B')}"
            if memory.alias_bytes
            else ""
        )
        yield (
            "memory",
            f"peak {si(memory.peak_bytes, 'B')} = arguments {si(memory.argument_bytes, 'B')} +"
            f" output {si(memory.output_bytes, 'B')} + temporary {si(memory.temp_bytes, 'B')}"
            f"{shared}",
        )
    yield from memory_lines(analysis)


def conditions(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Describe latency under other conditions, and throughput, where these were measured."""
    for latency in analysis.other_latencies:
        where = "" if latency.cores is None else f" on {plural(latency.cores, 'core')}"
        tail = "" if latency.p90_s is None else f", p90 {seconds(latency.p90_s)}"
        yield (
            f"{latency.cache} caches{where}",
            f"{_median(latency)}{tail}, n={latency.samples}, {latency.verdict}",
        )
    best = best_throughput(analysis.throughputs)
    if best is not None:
        unit = "calls/s" if best.batch is None else "samples/s"
        rates = ", ".join(
            f"{si(one.samples_per_s)} at {one.queue_depth}" for one in analysis.throughputs
        )
        yield (
            "throughput",
            f"{si(best.samples_per_s)} {unit} with {plural(best.queue_depth, 'call')} in"
            f" flight, {best.verdict} (by calls in flight: {rates})",
        )


def traced(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Describe how far the op trace holds, and which loops were counted in it."""
    trace = analysis.op_trace
    if trace is None:
        return
    slower = trace.traced_ratio
    cost = "" if slower is None else f"; traced calls take {slower:.2f} times as long"
    yield (
        "op trace",
        f"ops take {seconds(trace.time_s)}, and cover {percent(trace.coverage)} of"
        f" {seconds(trace.span_s)} between the first and the last, over"
        f" {plural(len(trace.runs), 'call')}{cost}",
    )
    if trace.unmatched:
        lost = sum(trace.unmatched.values())
        yield "not in the graph", f"{', '.join(trace.unmatched)}: {seconds(lost)}"
    counted = [loop for loop in trace.loops if loop.trips is None]
    if counted:
        times = ", ".join(f"{loop.name} {loop.iterations:,}" for loop in counted)
        yield (
            "loops counted in the trace",
            f"{times} iterations with these arguments; FLOPs and bytes count that many",
        )
    for loop in trace.loops:
        if loop.agrees is False:
            yield (
                "loop",
                f"{loop.name} ran {loop.iterations:,} times in the trace, not {loop.expected:,} as"
                " the module says",
            )


_MOST_LAYERS = 3
"""Layers that are named of those whose products are not of the most usual dtype."""


def products(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Say in which dtypes the products run, and of all but the most usual in which layers."""
    by_dtype: dict[str, list[OpRecord]] = {}
    for op in analysis.op_tree.leaves:
        if op.macs and op.dtype:
            by_dtype.setdefault(op.dtype, []).append(op)
    said: list[str] = []
    for dtype in sorted(by_dtype, key=lambda each: -len(by_dtype[each])):
        ops = by_dtype[dtype]
        kinds = Counter("convolution" if op.opcode == "convolution" else "product" for op in ops)
        counts = " and ".join(plural(count, kind) for kind, count in sorted(kinds.items()))
        layers = list(dict.fromkeys(op.layer for op in ops if op.layer))
        more = ", ..." if len(layers) > _MOST_LAYERS else ""
        where = f" ({', '.join(layers[:_MOST_LAYERS])}{more})" if said and layers else ""
        said.append(f"{counts} in {dtype}{where}")
    if said:
        yield "products", "; ".join(said)


def plural(count: int, noun: str) -> str:
    """Count things in words: ``1 core``, ``4 cores``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sentence(clause: str) -> str:
    """Make a sentence of a clause."""
    return f"{clause[:1].upper()}{clause[1:]}."


def ridge(analysis: Analysis) -> str | None:
    """Describe where the two roofs meet that bind most of the work, or None without a device."""
    device = analysis.device
    arithmetic: dict[str, float] = {}
    traffic: dict[str, float] = {}
    for op in analysis.op_tree.leaves:
        if op.roof is not None and op.compute_time_s:
            arithmetic[op.roof] = arithmetic.get(op.roof, 0.0) + op.compute_time_s
        if op.level is not None and op.memory_time_s:
            traffic[op.level] = traffic.get(op.level, 0.0) + op.memory_time_s
    if device is None or not arithmetic or not traffic:
        return None
    dtype = max(arithmetic, key=arithmetic.__getitem__)
    level = max(traffic, key=traffic.__getitem__)
    return f"ridge point {ratio(device.ridge_point(dtype, level))} ({dtype} over {level})"


def provenance(analysis: Analysis) -> list[tuple[str, str]]:
    """Describe where the figures come from and how far they hold, as names and sentences."""
    return [
        *(("note", note) for note in analysis.notes),
        *_measurement(analysis),
        *conditions(analysis),
        *traced(analysis),
        *products(analysis),
        *_counts(analysis),
        *_device(analysis),
        *_environment(analysis),
    ]


def _measurement(analysis: Analysis) -> Iterator[tuple[str, str]]:
    latency = analysis.latency
    if latency is None and analysis.op_trace is not None:
        yield "measurement", "by the op trace alone"
    elif latency is None:
        yield "measurement", "none: the times are estimates from the roofline, or unknown"
    if latency is None:
        return
    spoiled = ""
    if latency.spoiled_windows:
        spoiled = f"; {latency.spoiled_windows} of {latency.windows} windows spoiled, and left out"
    calls = "" if latency.calls_per_sample == 1 else f" of {latency.calls_per_sample} calls each"
    spread = (
        f"{latency.samples} samples{calls}, {latency.outliers} of them outliers (kept); middle half"
        f" within {percent(latency.relative_iqr)} of the median, drift"
        f" {percent(abs(latency.drift))}; stopped by: {latency.stopped_by}{spoiled}"
    )
    percentiles = ", ".join(
        f"{name} {seconds(value)}"
        for name, value in (
            ("min", latency.min_s), ("median", latency.median_s), ("p90", latency.p90_s),
            ("p99", latency.p99_s), ("first call", latency.first_call_s),
        )
        if value is not None
    )  # fmt: skip
    yield "verdict", latency.verdict
    if latency.interval_s is not None:
        yield "known to", f"{seconds_in(latency.interval_s)}, with 95 % confidence"
    yield "latency", percentiles
    yield "spread", spread
    if latency.dispatch_s is not None:
        mode = "in the calling thread" if latency.synchronous else "in another thread"
        yield "launch", f"{seconds(latency.dispatch_s)}, calls run {mode}"
        yield from _wake_up(latency)
    if latency.others_share is not None:
        yield "other processes", f"{percent(latency.others_share)} of the cores' time"


def _counts(analysis: Analysis) -> Iterator[tuple[str, str]]:
    totals = analysis.totals
    yield (
        "counts",
        f"{totals.flops:,} FLOP, {totals.macs:,} MAC, {totals.transcendentals:,}"
        f" transcendentals, {totals.bytes_read + totals.bytes_written:,} bytes in"
        f" {totals.ops:,} ops"
        + ("; lower bounds, for some costs are not known" if totals.lower_bound else ""),
    )
    if totals.xla_flops is not None and totals.xla_bytes is not None:
        yield (
            "XLA's own totals",
            f"{totals.xla_flops:,.0f} FLOP, {totals.xla_bytes:,.0f} bytes"
            " (float32 sums, loop bodies counted once)",
        )
    yield from _allocated(analysis)


def _device(analysis: Analysis) -> list[tuple[str, str]]:
    device = analysis.device
    if device is None:
        return [("device", "none")]
    when = "" if device.measured_at is None else f" on {device.measured_at}"
    peaks = [f"{name} {si(rate, 'FLOP/s')}" for name, rate in device.peak_flops_per_s.items()]
    levels = [
        f"{level.name} {si(level.bandwidth_bytes_per_s, 'B/s')}"
        + ("" if level.size_bytes is None else f" up to {si(level.size_bytes, 'B')}")
        for level in device.memory
    ]
    return [
        ("device", f"{device.name}, {device.origin}{when}: {device.source}"),
        ("roofs", f"{', '.join(peaks)}; {', '.join(levels)}"),
    ]


def _environment(analysis: Analysis) -> list[tuple[str, str]]:
    times = [
        f"{name} {seconds(value)}"
        for name, value in (("trace and lower", analysis.lower_s), ("compile", analysis.compile_s))
        if value is not None
    ]
    options = ", ".join(f"{key}={value}" for key, value in analysis.options.items())
    return [
        *where_made(analysis.environment),
        ("compiled for", f"{analysis.target}, {analysis.stage} HLO"
         + (f", options {options}" if options else "")
         + (f"; {', '.join(times)}" if times else "")),
        ("made", analysis.environment.created_at),
    ]  # fmt: skip


def where_made(here: Environment) -> list[tuple[str, str]]:
    """Describe the machine and the software that a result was made with."""
    load = "" if here.load_1min is None else f", load {here.load_1min:.2f}"
    governor = "" if here.governor is None else f", governor {here.governor}"
    return [
        ("machine", f"{here.processor}, {here.affinity} of {here.cores} cores{governor}{load}"),
        ("software", f"EdgeGraph {here.edgegraph}, jax {here.jax}, jaxlib {here.jaxlib},"
         f" Python {here.python}, {here.platform}"),
    ]  # fmt: skip
