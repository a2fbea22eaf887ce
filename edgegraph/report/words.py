"""The sentences that every presenter says alike: the headline, the device, the measurement."""

from __future__ import annotations

from edgegraph.results.analysis import Analysis
from edgegraph.units import ratio, seconds, si

_BINDS = {
    "compute": "bound by arithmetic",
    "memory": "bound by memory traffic",
    "network": "bound by the network",
    "overhead": "bound by launching it",
}


def title(analysis: Analysis) -> str:
    """Name the program: ``small_cnn, batch 32, cpu``."""
    batch = "" if analysis.batch is None else f", batch {analysis.batch}"
    stage = "" if analysis.stage == "optimized" else ", before optimisation"
    return f"{analysis.workload}{batch}, {analysis.target}{stage}"


def headline(analysis: Analysis) -> str:
    """Say what bounds the program and how long it takes."""
    said = [title(analysis) + ":"]
    totals = analysis.totals
    latency = analysis.latency
    if latency is not None:
        said.append(seconds(latency.median_s))
        if analysis.batch and analysis.batch > 1:
            said.append(f"({si(analysis.batch / latency.median_s)}/s one after the other)")
    elif totals.overlapped_time_s is not None:
        said.append(
            f"at least {seconds(totals.overlapped_time_s)} (not measured),"
            if not totals.lower_bound
            else f"more than {seconds(totals.overlapped_time_s)} (not measured),"
        )
    bound = "overhead" if _launching(analysis) else totals.bound
    if bound is not None:
        said.append(_BINDS[bound])
    else:
        said.append(f"{si(totals.macs, 'MAC')}, {si(totals.flops, 'FLOP')}")
    return " ".join(said).replace("),", "),").rstrip(",")


def device_line(analysis: Analysis) -> str:
    """Say whose roofs bind, and where they meet."""
    device = analysis.device
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


def measurement_line(analysis: Analysis) -> list[str]:
    """Say how far the figures hold: bracket, sum of layers, noise, memory."""
    totals, latency, lines = analysis.totals, analysis.latency, []
    if totals.compute_time_s is not None and totals.memory_time_s is not None:
        lines.append(
            f"roofline: compute {seconds(totals.compute_time_s)}, memory"
            f" {seconds(totals.memory_time_s)}; whole between"
            f" {seconds(totals.overlapped_time_s)} (perfect overlap) and"
            f" {seconds(totals.serial_time_s)} (none)"
        )
    if latency is not None:
        tail = "" if latency.p90_s is None else f", p90 {seconds(latency.p90_s)}"
        lines.append(
            f"measured: {seconds(latency.median_s)} median{tail}, min {seconds(latency.min_s)},"
            f" n={latency.samples}, {latency.verdict} (middle half within"
            f" {100 * latency.relative_iqr:.0f} %); launch {seconds(latency.dispatch_s)}; layers"
            f" alone sum to {seconds(totals.layers_time_s)}"
        )
    if analysis.memory is not None:
        memory = analysis.memory
        lines.append(
            f"memory: peak {si(memory.peak_bytes, 'B')} = arguments"
            f" {si(memory.argument_bytes, 'B')} + output {si(memory.output_bytes, 'B')} +"
            f" temporary {si(memory.temp_bytes, 'B')}"
            + (f" - shared {si(memory.alias_bytes, 'B')}" if memory.alias_bytes else "")
        )
    if totals.lower_bound:
        lines.append(f"lower bounds: {len(analysis.unpriced)} ops have costs that are not known")
    return lines


def _launching(analysis: Analysis) -> bool:
    latency = analysis.latency
    return (
        latency is not None
        and latency.dispatch_s is not None
        and latency.dispatch_s > latency.median_s / 2
    )
