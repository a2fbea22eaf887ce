"""The JSON of an analysis, as ``--json`` and ``edgegraph export`` write it; the schema of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import msgspec

from edgegraph.device.device import Device
from edgegraph.results.analysis import Analysis, Environment, Finding, MemoryUse, Totals
from edgegraph.results.columns import columns_of
from edgegraph.results.compiled_together import CompiledTogether, WhatIf, compare_together, what_if
from edgegraph.results.form import form, in_document, told
from edgegraph.results.kinds import KINDS, resolve
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.records import CodeRecord, LayerRecord, OpRecord
from edgegraph.results.schedule import ActivationMemory, LiveMemory
from edgegraph.results.timing import Latency, LayerLatency, Throughput

MOST_BUFFERS = 20
"""Buffers of the peak that stand in it, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is in a document, by the names of `Analysis` and of the frames.

    What is alive while each op runs, raw samples, the ops of a trace and the HLO module stand in
    the saved file only.

    Attributes:
        workload, batch, target, stage, options: What was analysed, as on `Analysis`.
        figures_of: Whose figures these are where the program is for several devices; else null.
        device: The device whose roofs were used; null where no device was given.
        environment: Where and with what it was made.
        totals: The whole program.
        view: By what the rows are added up that are shown: ``layer``, ``function`` or ``line``.
        layers: One row per layer and phase, parents before children.
        functions: One row per function, callers before what they call; null unless they are shown.
        lines: The same of lines of the code.
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

    workload: str
    batch: int | None
    target: str
    stage: str
    options: Mapping[str, str | int | float | bool]
    figures_of: str | None
    device: Device | None
    environment: Environment
    totals: Totals
    view: str
    layers: tuple[LayerRecord, ...]
    functions: tuple[CodeRecord, ...] | None
    lines: tuple[CodeRecord, ...] | None
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


in_document(Analysis, columns_of(Document, *get_type_hints(Document)))
in_document(
    LiveMemory,
    columns_of(
        LiveMemory, "peak_bytes", "peak_op", "peak_layer", "held_bytes", "working_bytes",
        "allocated_bytes", "peak_by_kind", "peak_buffers",
    ),
)  # fmt: skip
in_document(
    OpTrace,
    columns_of(
        OpTrace, "calls", "warm_up", "time_s", "span_s", "coverage", "traced_ratio", "unmatched",
        "loops", "kept_at",
    ),
)  # fmt: skip
in_document(LayerRecord, more=["intensity_flops_per_byte"])
in_document(CodeRecord, more=["intensity_flops_per_byte"])
in_document(OpRecord, more=["intensity_flops_per_byte"])
in_document(MemoryUse, more=["peak_bytes", "undonated_peak_bytes"])
in_document(CompiledTogether, more=["difference_s", "change"])


def document(analysis: Analysis, *, ops: bool = False) -> dict[str, Any]:
    """Return an analysis as a JSON object; its ops on request only."""
    view = analysis.view
    rows = analysis.records_by(view)
    made = told(
        analysis,
        layers=analysis.layer_records,
        functions=rows if view == "function" else None,
        lines=rows if view == "line" else None,
        ops=analysis.op_records if ops else None,
        what_if=what_if(analysis.layer_records),
        compiled_together=compare_together(analysis.latency, analysis.layer_latencies),
    )
    live = made["live_memory"]
    if live is not None:
        live["peak_buffers"] = live["peak_buffers"][:MOST_BUFFERS]
    return made


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all documents: of analyses, of every study, and of diffs."""
    kinds = [kind for kind in KINDS.values() if kind.presenter is not None]
    references, definitions = msgspec.json.schema_components(
        [form(resolve(kind.home), kind.word) for kind in kinds], ref_template="#/$defs/{name}"
    )
    return {"anyOf": list(references), "$defs": definitions}
