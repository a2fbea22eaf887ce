"""An analysis as one JSON object: what ``--json`` prints and ``edgegraph export`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from edgegraph.device.device import Device
from edgegraph.results.analysis import Analysis, Environment, Finding, MemoryUse, Totals
from edgegraph.results.columns import columns_of
from edgegraph.results.compiled_together import CompiledTogether, WhatIf, compare_together, what_if
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.records import LayerRecord, OpRecord
from edgegraph.results.schedule import ActivationMemory, LiveMemory
from edgegraph.results.timing import Latency, LayerLatency, Throughput

FORMAT = "edgegraph-document"
VERSION = 2
"""Raised when a name goes or comes to mean something else; further names may come at any time."""

MOST_BUFFERS = 20
"""Buffers of the peak that stand in it, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is in a document, by the names of `Analysis` and of the frames.

    What is alive while each op runs, raw samples, the ops of a trace and the HLO module stand in
    the saved file only.

    Attributes:
        format: Always ``edgegraph-document``.
        version: Of the names and of what they mean.
        workload, batch, target, stage, options: What was analysed, as on `Analysis`.
        figures_of: Whose figures these are where the program is for several devices; else null.
        device: The device whose roofs were used; null where no device was given.
        environment: Where and with what it was made.
        totals: The whole program.
        layers: One row per layer and phase, parents before children.
        ops: One row per executed instruction, in schedule order; null in what ``--json`` prints.
        memory: XLA's memory statistics.
        live_memory: The peak of what is alive, with its largest buffers.
        activation_memory: Peak memory of the activations before optimisation.
        lower_s, compile_s: Time to trace and lower, and to compile.
        latency: Measured latency of the whole.
        other_latencies: The same on fewer cores or with cold caches.
        throughputs: Measured throughput of the whole by queue depth.
        op_trace: How far a trace holds.
        layer_latencies: Measured latency of every layer compiled alone.
        what_if: What the whole would gain if a layer ran at its roofline.
        compiled_together: What compiling layers together gained or cost.
        findings: What stands out, most important first.
        unpriced: Names of ops whose cost is unknown, with the reason.
        notes: What else is to be known of how it came about, in a sentence each.
    """

    format: str = FORMAT
    version: int = VERSION
    workload: str
    batch: int | None
    target: str
    stage: str
    options: Mapping[str, str | int | float | bool]
    figures_of: str | None
    device: Device | None
    environment: Environment
    totals: Totals
    layers: tuple[LayerRecord, ...]
    ops: tuple[OpRecord, ...] | None
    memory: MemoryUse | None
    live_memory: LiveMemory | None
    activation_memory: ActivationMemory | None
    lower_s: float | None
    compile_s: float | None
    latency: Latency | None
    other_latencies: tuple[Latency, ...]
    throughputs: tuple[Throughput, ...]
    op_trace: OpTrace | None
    layer_latencies: tuple[LayerLatency, ...]
    what_if: tuple[WhatIf, ...]
    compiled_together: tuple[CompiledTogether, ...]
    findings: tuple[Finding, ...]
    unpriced: Mapping[str, str]
    notes: tuple[str, ...]


_CHOSEN: Mapping[type, tuple[str, ...]] = {
    LiveMemory: (
        "peak_bytes", "peak_op", "peak_layer", "held_bytes", "working_bytes", "allocated_bytes",
        "peak_by_kind", "peak_buffers",
    ),
    OpTrace: (
        "calls", "warm_up", "time_s", "span_s", "coverage", "traced_ratio", "unmatched", "loops",
        "kept_at",
    ),
}  # fmt: skip
"""What stands in the document of a class; of all others its fields,"""

_LEFT_OUT: Mapping[type, str] = {Latency: "samples_s", Device: "kernel_rates"}
"""less this one,"""

_ADDED: Mapping[type, tuple[str, ...]] = {
    LayerRecord: ("intensity_flops_per_byte",),
    OpRecord: ("intensity_flops_per_byte",),
    MemoryUse: ("peak_bytes", "undonated_peak_bytes"),
    CompiledTogether: ("difference_s", "change"),
}
"""and these."""


def document(analysis: Analysis, *, ops: bool = False) -> dict[str, Any]:
    """Return an analysis as a JSON object, as `schema` describes it; its ops on request only."""
    derived: dict[str, Any] = {
        "layers": analysis.layer_records,
        "ops": analysis.op_records if ops else None,
        "what_if": what_if(analysis.layer_records),
        "compiled_together": compare_together(analysis.latency, analysis.layer_latencies),
    }
    names = [name for name in Document.__dataclass_fields__ if name not in ("format", "version")]
    whole = Document(
        **{name: derived[name] if name in derived else getattr(analysis, name) for name in names}
    )
    made: dict[str, Any] = msgspec.to_builtins(
        msgspec.convert(whole, form(Document), from_attributes=True)
    )
    live = made["live_memory"]
    if live is not None:
        live["peak_buffers"] = live["peak_buffers"][:MOST_BUFFERS]
    return made


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of `document`; it is the same for every analysis."""
    return msgspec.json.schema(form(Document))


@cache
def form(kind: type) -> type[msgspec.Struct]:
    """Return what a class looks like in the document: nothing may be missing, nothing more."""
    fields = list(get_type_hints(kind))
    names = _CHOSEN.get(kind) or (
        *(name for name in fields if name != _LEFT_OUT.get(kind)), *_ADDED.get(kind, ())
    )  # fmt: skip
    columns = columns_of(kind, *names)
    return msgspec.defstruct(
        kind.__name__,
        [
            (name, Annotated[_form(column.type), msgspec.Meta(description=column.about)])
            for name, column in columns.items()
        ],
        forbid_unknown_fields=True,
    )


def _form(hint: Any) -> Any:
    """Put the forms of classes into the type of a field."""
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, msgspec.Struct)):
        return form(hint)
    inner = tuple(each if each is ... else _form(each) for each in get_args(hint))
    if isinstance(hint, UnionType):
        return reduce(or_, inner)
    return get_origin(hint)[inner] if inner else hint
