"""Puts the pieces together: from a workload to its Analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgegraph.analysis.attribution import Attribution, attribute, model_macs, with_model_macs
from edgegraph.analysis.estimates import compiler_coverage, with_compiler_times, with_expected_times
from edgegraph.analysis.findings import find
from edgegraph.analysis.layers import (
    Parameters,
    overlapped,
    prevailing_bound,
    roll_up,
    sum_of_times,
)
from edgegraph.analysis.memory import activation_memory, live_memory
from edgegraph.analysis.records import op_records, with_traced_times
from edgegraph.analysis.schedule import simulate_schedule
from edgegraph.base.timing import Progress, collector_paused, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.cost.cost import known_sum, sequence
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.device.calibration.calibrate import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.op_name import parse_parameter_name
from edgegraph.hlo.op_tree import OpTree
from edgegraph.measure.latency import environment
from edgegraph.memory.live import profile_memory
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord, Totals
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.timing import UNATTRIBUTED, Latency, LayerLatency, Throughput, finest_cut
from edgegraph.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from edgegraph.measure.isolated import Depth
    from edgegraph.measure.latency import MeasurementSettings
    from edgegraph.measure.trace import Traced


def analyze(
    subject: Workload | Program | Callable[..., Any],
    *,
    args: Sequence[Any] | None = None,
    batch: int | None = None,
    target: str = "cpu",
    stage: str = "optimized",
    measure: bool = False,
    depth: Depth = None,
    throughput: bool = False,
    cold: bool = False,
    cores: int | None = None,
    trace: bool | OpTrace | None = None,
    trace_dir: str | Path | None = None,
    settings: MeasurementSettings | None = None,
    device: Device | None = None,
    options: Mapping[str, str | int | float | bool] | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Find out what a program costs, what bounds it, and how long it takes.

    Args:
        subject: A Workload, a compiled Program, or a function with `args`.
        args: Arguments of a function: arrays or `jax.ShapeDtypeStruct`s.
        batch: Batch size of a Workload; 1 where None.
        target: What to compile for, as `edgegraph.compile` takes it.
        stage: ``optimized``, or ``lowered`` for the HLO before optimisation: counts only,
            nothing is compiled or run.
        measure: Run it: latency of the whole and of every layer alone.
        depth: How finely to time layers: None for every scope's own operations alone, 1 for the
            model's children (its blocks) in one piece each, 2 for theirs; a list for several
            cuts, or ``all``.
        throughput: Run it pipelined: calls per second by the number of calls in flight.
        cold: Measure the latency with cold caches too.
        cores: Measure the latency on this many cores too, compiled for them.
        trace: Measure every op inside the running program, by the profiler. None does so where
            `measure` is set and the trace is of sensible size. A trace that `edgegraph.read_trace`
            gave is used as it is, also for a program that cannot run here.
        trace_dir: Log folder to keep the profile in, for XProf and TensorBoard.
        settings: How long and how carefully to measure.
        device: Whose roofs to use; where None, the target's from the catalogue, and for this
            machine its calibration; no roofline if it was never calibrated.
        options: XLA compiler options.
        name: Name for tables and files; the workload's own where None.
        progress: Called with a message and a fraction.

    Returns:
        An immutable `Analysis`.

    Raises:
        InputError: An argument cannot be used.
        CompileError: JAX cannot trace, or XLA cannot compile the function.

    Example:
        >>> import jax, edgegraph as eg
        >>> x = jax.ShapeDtypeStruct((32, 3136), "float32")
        >>> w = jax.ShapeDtypeStruct((3136, 256), "float32")
        >>> analysis = eg.analyze(lambda x, w: x @ w, args=(x, w), name="dense")
        >>> analysis.totals["macs"], analysis.totals["flops"]
        (25690112, 51380224)
    """
    report = progress or no_progress
    if measure:
        from edgegraph.measure.isolated import check_depth
        from edgegraph.measure.latency import prefer_synchronous_dispatch

        check_depth(depth)
        prefer_synchronous_dispatch()
    program = _program(subject, args, batch, target, stage, options, name, report)
    runs = measure or throughput or cold or cores is not None or trace is True
    if runs and program.executable is None:
        raise InputError(
            f"{program.name!r} at stage {program.stage!r} for target {program.target!r} has no"
            " executable that could be measured; leave measure=False, or analyse the workload"
        )
    roofs = device or (find_device(program.device) if program.device else load_calibration())
    report(f"{program.name}: pricing ops", None)
    op_trace = trace if isinstance(trace, OpTrace) else None
    # All that is made here stays; the collector would walk it between the steps.
    with collector_paused():
        module = program.module
        if op_trace is not None and op_trace.module != module.name:
            raise InputError(
                f"the trace is of module {op_trace.module!r}, but {program.name!r} is"
                f" {module.name!r}"
            )
        nodes = flatten(module)
        costs = price_nodes(module, nodes, None if op_trace is None else op_trace.executions)
        attributions = attribute(nodes)
        records = _records(program, nodes, costs, attributions, roofs)
    latency: Latency | None = None
    layer_latencies: tuple[LayerLatency, ...] = ()
    if measure:
        from edgegraph.measure.isolated import measure_layers

        latency, layer_latencies = measure_layers(
            program, depth=depth, settings=settings, progress=report
        )
    traced = _take_trace(program, nodes, trace, measure, trace_dir, settings, report)
    if traced is not None:
        if traced.counts_unknown_loops:
            costs = price_nodes(module, nodes, traced.executions)
            records = _records(program, nodes, costs, attributions, roofs)
        op_trace = traced.summary(records, layer_latencies)
    if op_trace is not None:
        records = with_traced_times(records, op_trace.shares)
    throughputs: tuple[Throughput, ...] = ()
    if throughput:
        from edgegraph.measure.throughput import measure_throughput

        throughputs = measure_throughput(program, settings=settings, progress=report)
    other_latencies: tuple[Latency, ...] = ()
    if cold or cores is not None:
        from edgegraph.measure.process import measure_conditions

        other_latencies = measure_conditions(
            program, cold=cold, cores=cores, settings=settings, progress=report
        )
    with collector_paused():
        shares = () if op_trace is None else op_trace.shares
        layers = roll_up(records, _parameters(nodes, attributions), layer_latencies, shares)
        analysis = Analysis(
            workload=program.name,
            batch=program.batch,
            target=program.target,
            stage=program.stage,
            options=dict(program.options),
            device=roofs,
            environment=environment(),
            op_records=records,
            layer_records=layers,
            totals=replace(
                _totals(records, layers, costs, program, roofs, latency, layer_latencies),
                traced_time_s=None if op_trace is None else op_trace.time_s,
                compiler_optimal_s=_optimal_seconds(program, nodes),
            ),
            memory=program.memory,
            lower_s=program.lower_s,
            compile_s=program.compile_s,
            latency=latency,
            layer_latencies=layer_latencies,
            findings=(),
            unpriced={name: cost.unpriced for name, cost in costs.items() if cost.unpriced},
            live_memory=live_memory(profile_memory(module, nodes), attributions),
            activation_memory=activation_memory(program),
            schedule=(
                simulate_schedule(
                    nodes,
                    records,
                    network_bytes_per_s=None if roofs is None else roofs.network_bytes_per_s,
                )
                if module.schedule
                else None
            ),
            throughputs=throughputs,
            other_latencies=other_latencies,
            op_trace=op_trace,
            fingerprint=program.fingerprint,
            serialized_module=program.serialized,
        )
        return replace(analysis, findings=find(analysis, module))


def _records(
    program: Program,
    nodes: Sequence[Node],
    costs: Mapping[str, OpCost],
    attributions: Mapping[str, Attribution],
    roofs: Device | None,
) -> tuple[OpRecord, ...]:
    records = op_records(nodes, costs, attributions, roofs)
    # Before it is partitioned, a program is that of all chips.
    whole = program.module.partition_count in (None, 1)
    if program.ahead and whole and program.module_before is not None:
        wanted = model_macs(program.module_before)
        if wanted:
            records = with_model_macs(records, wanted)
    records = with_compiler_times(nodes, records, None if roofs is None else roofs.clock_hz)
    return with_expected_times(nodes, records, roofs)


def _take_trace(
    program: Program,
    nodes: Sequence[Node],
    trace: bool | OpTrace | None,
    measure: bool,
    trace_dir: str | Path | None,
    settings: MeasurementSettings | None,
    report: Progress,
) -> Traced | None:
    """Trace the program if that was asked for, or goes with measuring it and fits."""
    asked = trace is True or (trace is None and measure)
    if trace_dir is not None and not asked:
        raise InputError(f"trace_dir={str(trace_dir)!r} keeps a trace, but none is taken here")
    if not asked:
        return None
    from edgegraph.measure.trace import fits, take_trace

    if trace is None and trace_dir is None and not fits(program.module, nodes):
        report(f"{program.name}: runs too many ops for a trace", None)
        return None
    return take_trace(program, nodes, trace_dir=trace_dir, settings=settings, progress=report)


def _program(
    subject: Workload | Program | Callable[..., Any],
    args: Sequence[Any] | None,
    batch: int | None,
    target: str,
    stage: str,
    options: Mapping[str, str | int | float | bool] | None,
    name: str | None,
    report: Progress,
) -> Program:
    if isinstance(subject, Program):
        return subject
    if not isinstance(subject, Workload) and args is None:
        raise InputError(
            f"cannot analyse {subject!r} without arguments; pass them as args=(...), or give"
            " a Workload"
        )
    report(f"{name or getattr(subject, 'name', 'function')}: compiling", None)
    return compile_workload(
        subject, *(args or ()), batch=batch, target=target, stage=stage, options=options, name=name
    )


def _parameters(
    nodes: Sequence[Node], attributions: Mapping[str, Attribution]
) -> Mapping[str, Parameters]:
    """Count the model's parameters by layer, from the entry parameters' own names."""
    owned: dict[str, Parameters] = {}
    for node in nodes:
        instruction = node.instruction
        if instruction.opcode != "parameter" or node.parent is not None:
            continue
        if parse_parameter_name(instruction.op_name) is not None:
            layer = attributions[node.name].layer or ""
            parameters = Parameters(count=instruction.shape.size, bytes=instruction.shape.bytes)
            owned[layer] = owned.get(layer, Parameters()) + parameters
    return owned


def _totals(
    records: Sequence[OpRecord],
    layers: Sequence[LayerRecord],
    costs: Mapping[str, OpCost],
    program: Program,
    device: Device | None,
    latency: Latency | None,
    latencies: Sequence[LayerLatency],
) -> Totals:
    """Add up the program; the ops without parent carry everything."""
    tree = OpTree(records)
    top = tree.top
    roots = [row for row in layers if row.depth == 0]
    placed = [row for row in roots if row.layer != UNATTRIBUTED]
    flops = known_sum(record.flops for record in top)
    moved = _bytes(top)
    main_memory = moved - known_sum(record.on_chip_bytes for record in top)
    compute = sum_of_times(record.compute_time_s for record in top)
    memory = sum_of_times(record.memory_time_s for record in top)
    network = sum_of_times(record.network_time_s for record in top)
    xla = program.xla_cost
    alone = sum_of_times(each.time_s for each in finest_cut(latencies))
    net = None if latency is None else latency.net_s
    lowest = sequence(costs[record.name].cheapest or costs[record.name].cost for record in top)
    return Totals(
        ops=sum(record.opcode not in opcodes.FREE for record in tree.leaves),
        params=sum(row.params for row in roots),
        param_bytes=sum(row.param_bytes for row in roots),
        macs=known_sum(record.macs for record in top),
        flops=flops,
        transcendentals=known_sum(record.transcendentals for record in top),
        bytes_read=known_sum(record.bytes_read for record in top),
        bytes_written=known_sum(record.bytes_written for record in top),
        wire_bytes=known_sum(record.wire_bytes for record in top),
        flops_lowest=known_sum([lowest.flops]),
        bytes_lowest=known_sum([lowest.bytes_read, lowest.bytes_written]),
        xla_flops=xla.get("flops"),
        xla_transcendentals=xla.get("transcendentals"),
        xla_bytes=xla.get("bytes accessed"),
        main_memory_bytes=main_memory,
        intensity_flops_per_byte=flops / main_memory if main_memory else None,
        compute_time_s=compute,
        memory_time_s=memory,
        network_time_s=network,
        overlapped_time_s=overlapped(compute, memory, network),
        serial_time_s=(
            None if compute is None or memory is None else compute + memory + (network or 0.0)
        ),
        bound=prevailing_bound(layers),
        compiler_time_s=sum_of_times(record.compiler_time_s for record in top),
        compiler_coverage=compiler_coverage(records),
        expected_time_s=_with_dispatch((r.expected_time_s for r in top), device),
        expected_low_s=_with_dispatch((r.expected_low_s for r in top), device),
        expected_high_s=_with_dispatch((r.expected_high_s for r in top), device),
        time_s=None if latency is None else latency.median_s,
        layers_time_s=alone,
        flops_coverage=_share(known_sum(r.flops for r in placed), flops),
        bytes_coverage=_share(_bytes(placed), moved),
        lower_bound=any(cost.unpriced is not None for cost in costs.values()),
        compiled_together_s=None if net is None or alone is None else net - alone,
    )


def _with_dispatch(times: Iterable[float | None], device: Device | None) -> float | None:
    """Add up the times to expect of all ops, and that of launching the executable."""
    whole = sum_of_times(times)
    return None if whole is None or device is None else whole + (device.dispatch_s or 0.0)


def _optimal_seconds(program: Program, nodes: Sequence[Node]) -> float | None:
    """Return XLA's own roofline time; it takes a second off for every unpriced custom call."""
    optimal_s = (program.compiler_cost or {}).get("optimal_seconds")
    if optimal_s is None:
        return None
    return optimal_s + sum(node.opcode == "custom-call" for node in nodes)


def _bytes(records: Sequence[OpRecord | LayerRecord]) -> int:
    return known_sum(r.bytes_read for r in records) + known_sum(r.bytes_written for r in records)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
