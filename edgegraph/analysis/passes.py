"""The passes of an analysis: each adds what it finds out to one immutable draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs

from edgegraph.analysis.attribution import (
    attribute,
    attribute_frames,
    model_macs,
    with_model_macs,
)
from edgegraph.analysis.equations import place_equations
from edgegraph.analysis.estimates import (
    compiler_coverage,
    compiler_optimal_s,
    older_calibration,
    with_compiler_times,
    with_expected_times,
)
from edgegraph.analysis.overhead import bound_of_whole, mark_overhead
from edgegraph.analysis.places import Attribution, Flow
from edgegraph.analysis.records import (
    activation_memory,
    layer_parameters,
    live_memory,
    op_records,
    signature,
    with_traced_times,
)
from edgegraph.analysis.schedule import simulate_schedule, waits_s
from edgegraph.analysis.shares import shares_note
from edgegraph.base.timing import Progress, bulk
from edgegraph.compiler.program import Program
from edgegraph.cost.cost import known_sum, sequence
from edgegraph.cost.custom_calls.kernels import calls_python
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.device.device import Device, overlapped
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.op_tree import OpTree
from edgegraph.hlo.parameters import ModelArguments, model_arguments, parameters_first
from edgegraph.measure.environment import environment
from edgegraph.measure.isolated import measure_layers
from edgegraph.measure.latency import measure_apart
from edgegraph.measure.throughput import measure_throughput
from edgegraph.measure.trace import Traced, fits, join_timeline, take_trace
from edgegraph.memory.live import profile_memory
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord, Totals
from edgegraph.results.columns import add_up, sum_of_times
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.records import OP_COLUMNS
from edgegraph.results.roll_up import Parameters, roll_up
from edgegraph.results.timing import COLD, WARM, Latency, LayerLatency, Throughput, finest_cut

if TYPE_CHECKING:
    from edgegraph.analysis.analyze import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is asked about a program, and what the passes have found out so far, as on `Analysis`.

    Attributions, frames and costs are by node name, parameters by layer; of loops of unknown
    length, `executions` are a trace's and `trips` those of whoever asks.
    """

    program: Program
    device: Device | None
    measurement: Measurement
    report: Progress
    nodes: tuple[Node, ...] = ()
    arguments: ModelArguments = field(default_factory=ModelArguments)
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    frames: Mapping[str, int] = field(default_factory=dict)
    costs: Mapping[str, OpCost] = field(default_factory=dict)
    executions: Mapping[tuple[str, str], int] | None = None
    trips: Mapping[str, int] = field(default_factory=dict)
    ops: tuple[OpRecord, ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    parameters: Mapping[str, Parameters] | None = None
    latency: Latency | None = None
    layer_latencies: tuple[LayerLatency, ...] = ()
    throughputs: tuple[Throughput, ...] = ()
    other_latencies: tuple[Latency, ...] = ()
    op_trace: OpTrace | None = None
    notes: tuple[str, ...] = ()


Pass = Callable[[Draft], Draft]
"""Returns the draft with what it has found out."""


def list_ops(draft: Draft) -> Draft:
    """List what executes, and say where in the model it belongs."""
    module = draft.program.module  # decoding refuses what XLA may not survive
    # XLA reads the whole module for its totals: before what is made of it fills the memory too.
    _ = draft.program.xla_cost
    nodes = flatten(module)
    flow, arguments = Flow(nodes), model_arguments(nodes)
    places, frames = attribute(nodes, flow, arguments), attribute_frames(nodes, module, flow)
    return replace(draft, nodes=nodes, arguments=arguments, attributions=places, frames=frames)


def price_ops(draft: Draft) -> Draft:
    """Put a cost and the times at the roofs on every op."""
    program, nodes, device = draft.program, draft.nodes, draft.device
    costs = price_nodes(program.module, nodes, draft.executions, draft.trips)
    ops = op_records(nodes, costs, draft.attributions, device, draft.frames)
    model = program.model_module
    wanted = None if model is None else model_macs(model)
    if wanted:
        ops = with_model_macs(ops, wanted)
    ops = with_compiler_times(nodes, ops, None if device is None else device.clock_hz)
    ops = with_expected_times(nodes, ops, device)
    older = older_calibration(ops, device)
    left_out = _CALLBACKS_LEFT_OUT if calls_python(program.module) else None
    said = [note for note in (older, left_out) if note is not None and note not in draft.notes]
    return replace(draft, costs=costs, ops=ops, notes=(*draft.notes, *said))


_CALLBACKS_LEFT_OUT = (
    "what Python does on the host (jax.debug.print, jax.pure_callback) is no work of the device,"
    " and in no time that is expected"
)


def time_layers(draft: Draft) -> Draft:
    """Time the whole, and every layer alone."""
    wanted = draft.measurement
    if not wanted.latency:
        return draft
    program = draft.program
    traced = getattr(program.jaxpr, "jaxpr", program.jaxpr)
    names = program.arguments or (() if traced is None else traced.debug_info.arg_names)
    names = names if program.params is None else parameters_first(names, program.params)
    latency, layer_latencies = measure_layers(
        program,
        depth=wanted.depth,
        settings=wanted.settings,
        progress=draft.report,
        place=partial(place_equations, arguments=names),
        takes_s=_by_layer(draft.ops),
    )
    together = {layer for each in layer_latencies for layer in (each.layer, *each.covers)}
    alone = {each.layer for each in layer_latencies if not each.covers}
    coarser = wanted.depth is None and together != alone
    said = (LARGER_PIECES.format(len(alone), len(together)),) if coarser else ()
    return replace(
        draft,
        latency=latency,
        layer_latencies=layer_latencies,
        notes=(*draft.notes, *said),
    )


LARGER_PIECES = (
    "{:,} of {:,} layers were timed alone, those first that are expected to take longest; the"
    " others in pieces of several, whose parts are estimated (~), since compiling every one by"
    " itself takes longer than is given: --seconds gives more"
)


def _by_layer(ops: Sequence[OpRecord]) -> Mapping[str, float]:
    """Return what layers themselves are expected to take; at the roof where that is not known."""
    found: dict[str, float] = {}
    for op in OpTree(ops).leaves:
        if op.layer is not None:
            took_s = op.time_s if op.expected_time_s is None else op.expected_time_s
            found[op.layer] = found.get(op.layer, 0.0) + (took_s or 0.0)
    return found


def trace_ops(draft: Draft) -> Draft:
    """Time every op inside the running program, where that was asked for or fits."""
    wanted, program = draft.measurement, draft.program
    if program.timeline is not None and draft.op_trace is None:
        return _with_trace(draft, join_timeline(program.timeline, program, draft.nodes))
    if not wanted.takes_trace:
        return draft
    chosen_here = wanted.trace is None and wanted.trace_dir is None
    if chosen_here and not fits(program.module, draft.nodes):
        draft.report(f"{program.name}: runs too many ops for a trace", None)
        return draft
    traced = take_trace(
        program,
        draft.nodes,
        trace_dir=wanted.trace_dir,
        settings=wanted.settings,
        progress=draft.report,
    )
    return _with_trace(draft, traced)


def _with_trace(draft: Draft, traced: Traced) -> Draft:
    if traced.counts_unknown_loops:
        draft = bulk(price_ops)(replace(draft, executions=traced.executions))
    return replace(draft, op_trace=traced.summary(draft.ops, draft.layer_latencies))


def time_throughput(draft: Draft) -> Draft:
    """Time the whole with several calls in flight."""
    wanted = draft.measurement
    if not wanted.throughput:
        return draft
    throughputs = measure_throughput(draft.program, settings=wanted.settings, progress=draft.report)
    return replace(draft, throughputs=throughputs)


def time_conditions(draft: Draft) -> Draft:
    """Time the whole with cold caches and on fewer cores."""
    wanted = draft.measurement
    if not wanted.cold and wanted.cores is None:
        return draft
    conditions = [(None, COLD)] * wanted.cold + [(wanted.cores, WARM)] * (wanted.cores is not None)
    other_latencies = tuple(
        measure_apart(
            draft.program, cores=cores, cache=cache, settings=wanted.settings, progress=draft.report
        )
        for cores, cache in conditions
    )
    return replace(draft, other_latencies=other_latencies)


def roll_up_layers(draft: Draft) -> Draft:
    """Put traced times in place of estimates, and add the ops up by layer and phase."""
    known, names = draft.program.params is not None, draft.arguments.parameters
    parameters = layer_parameters(draft.nodes, names, draft.attributions, known=known)
    ops, trace = draft.ops, draft.op_trace
    shares = () if trace is None else trace.shares
    ops = ops if trace is None else with_traced_times(ops, shares)
    if draft.program.stage != "lowered" and not (draft.device and draft.device.guessed_from):
        ops = mark_overhead(draft.nodes, ops, traced=trace is not None)
    layers = roll_up(ops, parameters, draft.layer_latencies, shares)
    note = shares_note(layers, draft.latency, draft.layer_latencies, trace)
    said = () if note is None else (note,)
    notes = (*draft.notes, *said)
    return replace(draft, ops=ops, layers=layers, parameters=parameters, notes=notes)


def leave_bounds_to_compiled_programs(draft: Draft) -> Draft:
    """Take the bounds off a program before optimisation: its ops are no kernels, and run fused."""
    if draft.program.stage != "lowered":
        return draft
    return replace(
        draft,
        ops=tuple([structs.replace(record, bound=None) for record in draft.ops]),
        layers=tuple([replace(record, bound=None) for record in draft.layers]),
    )


COUNT: Sequence[Pass] = (list_ops, price_ops)
"""What follows from the program alone."""

MEASURE: Sequence[Pass] = (time_layers, trace_ops, time_throughput, time_conditions)
"""What takes running it; each does nothing unless it was asked for."""

COMBINE: Sequence[Pass] = (roll_up_layers, leave_bounds_to_compiled_programs)
"""What follows from both."""


def summarise(draft: Draft) -> Analysis:
    """Return the analysis, its findings still empty."""
    program, nodes, module = draft.program, draft.nodes, draft.program.module
    kept = draft.arguments
    network_bytes_per_s = None if draft.device is None else draft.device.network_bytes_per_s
    return Analysis(
        workload=program.name,
        batch=program.batch,
        target=program.target,
        stage=program.stage,
        options=dict(program.options),
        device=draft.device,
        environment=environment(),
        op_records=draft.ops,
        layer_records=draft.layers,
        totals=_totals(draft),
        memory=program.memory,
        lower_s=program.lower_s,
        compile_s=program.compile_s,
        latency=draft.latency,
        layer_latencies=draft.layer_latencies,
        findings=(),
        unpriced={name: cost.unpriced for name, cost in draft.costs.items() if cost.unpriced},
        live_memory=live_memory(
            profile_memory(module, nodes, kept.held), kept.parameters, draft.attributions
        ),
        activation_memory=activation_memory(program),
        schedule=(
            simulate_schedule(nodes, draft.ops, network_bytes_per_s=network_bytes_per_s)
            if module.schedule
            else None
        ),
        throughputs=draft.throughputs,
        other_latencies=draft.other_latencies,
        op_trace=draft.op_trace,
        fingerprint=program.fingerprint,
        notes=(*program.notes, *draft.notes),
        figures_of=program.figures_of,
        serialized_module=program.serialized,
    )


_TOTALS = frozenset(Totals.__dataclass_fields__)
_FROM_OPS = [column for name, column in OP_COLUMNS.items() if column.adds and name in _TOTALS]
"""What the whole adds up over its ops,"""

_DISPATCH = {"expected_time_s": 1.0, "expected_low_s": 0.8, "expected_high_s": 1.5}
"""and launching the executable to these, which may take so many times as long."""


def _totals(draft: Draft) -> Totals:
    """Add up the program."""
    tree, roots = OpTree(draft.ops), [row for row in draft.layers if row.depth == 0]
    owned = draft.parameters
    held = None if owned is None else sum(owned.values(), Parameters())
    sums = _sums(draft, tree.top, [row for row in roots if row.layer != UNATTRIBUTED])
    return Totals(
        ops=sum(op.opcode not in opcodes.FREE for op in tree.leaves),
        params=None if held is None else held.count,
        param_bytes=None if held is None else held.bytes,
        bound=None
        if draft.program.stage == "lowered"
        else bound_of_whole(draft.latency, draft.ops, sums),
        lower_bound=any(cost.unpriced is not None for cost in draft.costs.values()),
        **sums,
        **_compiler_figures(draft, tree.top, sums["overlapped_time_s"]),
        **_measured_figures(draft),
    )


def _sums(draft: Draft, top: Sequence[OpRecord], placed: Sequence[LayerRecord]) -> dict[str, Any]:
    """Add up columns of `top`, ops that no other holds; `placed` are outermost layers by name."""
    found = add_up(top, _FROM_OPS)
    for name in _DISPATCH:
        if draft.device is not None and found[name] is not None:
            found[name] += _DISPATCH[name] * draft.device.launch_s(*signature(draft.nodes))
    moved = found["bytes_read"] + found["bytes_written"]
    main_memory_bytes = moved - known_sum(op.on_chip_bytes for op in top)
    times_s = compute_s, memory_s, network_s = [
        found[f"{roof}_time_s"] for roof in ("compute", "memory", "network")
    ]
    known = compute_s is not None and memory_s is not None
    placed_bytes = sum(row.bytes or 0 for row in placed)
    return found | {
        "main_memory_bytes": main_memory_bytes,
        "intensity_flops_per_byte": (
            found["flops"] / main_memory_bytes if main_memory_bytes else None
        ),
        "overlapped_time_s": overlapped(*times_s),
        "serial_time_s": compute_s + memory_s + (network_s or 0.0) if known else None,
        "flops_coverage": _share(known_sum(row.flops for row in placed), found["flops"]),
        "bytes_coverage": _share(placed_bytes, moved),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _compiler_figures(
    draft: Draft, top: Sequence[OpRecord], roof_s: float | None
) -> dict[str, Any]:
    """Return XLA's own totals, and what the cheapest branches would come to."""
    program, costs = draft.program, draft.costs
    lowest = sequence(costs[op.name].cheapest or costs[op.name].cost for op in top)
    optimal_s = (program.compiler_cost or {}).get("optimal_seconds")
    waited_s = waits_s(draft.nodes, draft.ops) if program.module.schedule else 0.0
    if optimal_s is not None:
        added = [node.opcode for node in OpTree(draft.nodes).outside]
        optimal_s = compiler_optimal_s(optimal_s, added, roof_s)
    return {
        "flops_lowest": known_sum([lowest.flops]),
        "bytes_lowest": known_sum([lowest.bytes_read, lowest.bytes_written]),
        "xla_flops": program.xla_cost.get("flops"),
        "xla_transcendentals": program.xla_cost.get("transcendentals"),
        "xla_bytes": program.xla_cost.get("bytes accessed"),
        "compiler_coverage": compiler_coverage(draft.ops, waited_s),
        "compiler_optimal_s": optimal_s,
    }


def _measured_figures(draft: Draft) -> dict[str, Any]:
    """Return what was measured of the whole, and of the layers compiled alone."""
    latency, op_trace = draft.latency, draft.op_trace
    layers_s = sum_of_times(each.time_s for each in finest_cut(draft.layer_latencies))
    net_s = None if latency is None else latency.net_s
    return {
        "time_s": None if latency is None else latency.median_s,
        "layers_time_s": layers_s,
        "compiled_together_s": None if net_s is None or layers_s is None else net_s - layers_s,
        "traced_time_s": None if op_trace is None else op_trace.time_s,
    }
