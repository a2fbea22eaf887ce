"""What a program holds in memory, in words and rows."""

from __future__ import annotations

from dataclasses import dataclass

from edgegraph.base.units import si
from edgegraph.results.analysis import Analysis
from edgegraph.results.schedule import ActivationMemory, ActivationPeak, LiveMemory

KINDS = {
    "weights": "weights",
    "argument": "arguments",
    "constant": "constants",
    "activation": "activations",
    "temporary": "temporaries",
    "output": "outputs",
}
"""Kinds of buffers in the plural, in the order of a list."""

MOST_BUFFERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table of what takes memory."""

    name: str
    layer: str
    what: str
    bytes: int


def memory_lines(analysis: Analysis) -> list[tuple[str, str]]:
    """Describe what is alive at the peak, and what the activations need before fusion."""
    said = []
    live, before = analysis.live_memory, analysis.activation_memory
    if live is not None:
        said.append(
            ("most alive", f"{si(live.peak_bytes, 'B')} {peak_location(live)}: {by_kind(live)}")
        )
    if before is not None:
        said.append(("activations before fusing", _before(before)))
    return said


def by_kind(live: LiveMemory) -> str:
    """List what is alive at the peak by kind: ``weights 3.3 MB, activations 25.1 kB``."""
    held = live.peak_by_kind
    return ", ".join(
        f"{word} {si(held[kind], 'B')}" for kind, word in KINDS.items() if kind in held
    )


def peak_location(live: LiveMemory) -> str:
    """Describe where the peak is: ``in Net/conv1 (conv.1)``."""
    return f"in {live.peak_layer} ({live.peak_op})" if live.peak_layer else f"at {live.peak_op}"


def rules(memory: ActivationMemory) -> list[tuple[str, ActivationPeak]]:
    """Return the peaks with the rule of each in words."""
    return [
        ("input and output of one layer", memory.in_out),
        ("the same, depthwise in place", memory.inplace_depthwise),
        ("and what later layers still read", memory.liveness),
    ]


def where(peak: ActivationPeak) -> str:
    """Describe which op of which layer makes a peak: ``Net/conv1, convolution``."""
    return f"{peak.layer}, {peak.opcode}" if peak.layer else f"{peak.op}, {peak.opcode}"


def rows(analysis: Analysis) -> list[Row]:
    """List the largest buffers at the peak; the last row sums up the rest."""
    live = analysis.live_memory
    if live is None:
        return []
    # An argument is known by its place in the caller's tree: params['dense1']['kernel'].
    named = {
        op.name: op.op_name
        for op in analysis.op_records
        if op.opcode == "parameter" and op.parent is None and op.op_name
    }
    shown = [
        Row(
            name=named.get(buffer.name, buffer.name),
            layer=buffer.layer or "",
            what=buffer.kind,
            bytes=buffer.bytes,
        )
        for buffer in live.peak_buffers[:MOST_BUFFERS]
    ]
    rest = live.peak_buffers[MOST_BUFFERS:]
    if rest:
        size = sum(buffer.bytes for buffer in rest)
        shown.append(Row(name=f"{len(rest):,} smaller", layer="", what="", bytes=size))
    return shown


def _before(memory: ActivationMemory) -> str:
    peaks = [peak for _, peak in rules(memory)]
    if len(set(peaks)) == 1:
        return f"{si(peaks[0].bytes, 'B')} ({where(peaks[0])}), by every rule of papers"
    shorter = ("input and output", "depthwise in place", "with what is read later")
    return "; ".join(
        f"{rule} {si(peak.bytes, 'B')} ({where(peak)})"
        for rule, peak in zip(shorter, peaks, strict=True)
    )
