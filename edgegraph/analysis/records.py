"""From costs and places to results: a record for every op, and what the program holds in memory."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from edgegraph.analysis.places import Attribution
from edgegraph.base.timing import bulk
from edgegraph.compiler.program import Program
from edgegraph.cost.price import OpCost
from edgegraph.device.device import Device, arithmetic, bound, overlapped, roofline_times
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_name import LOSS_SCOPE, OPTIMIZER_SCOPE
from edgegraph.hlo.op_tree import OpTree
from edgegraph.memory.activations import activation_peaks
from edgegraph.memory.live import HeldBuffer, MemoryProfile
from edgegraph.results.analysis import OpRecord
from edgegraph.results.columns import sum_of_times
from edgegraph.results.op_trace import OpShare
from edgegraph.results.records import main_memory_bytes
from edgegraph.results.roll_up import Parameters
from edgegraph.results.schedule import ActivationMemory, ActivationPeak, LiveBuffer, LiveMemory


@bulk
def op_records(
    nodes: Sequence[Node],
    costs: Mapping[str, OpCost],
    attributions: Mapping[str, Attribution],
    device: Device | None,
    frames: Mapping[str, int] | None = None,
) -> tuple[OpRecord, ...]:
    """Put every op's cost, its layer and its times at the device's roofs together.

    `frames` are the stack frames that ops stand in, by name.
    """
    # Each shape is written out once; decoding makes one object of equal ones.
    shapes = {id(node.instruction.shape): node.instruction.shape for node in nodes}
    written = {number: str(shape) for number, shape in shapes.items()}
    roofs, tree = _Roofs(device), OpTree(nodes)
    # Ops of one cost share it as one object, so what follows from it is worked out once.
    of_cost: dict[int, OpRecord] = {}
    inside: dict[str, list[OpRecord]] = {}
    records: list[OpRecord] = []
    for node in reversed(nodes):
        name, parent, instruction = node.name, node.parent, node.instruction
        priced, where = costs[name], attributions[name]
        alike = of_cost.get(id(priced))
        if alike is None:
            leaf = tree.is_leaf(node)
            alike = _of_cost(priced, roofs.op(priced) if leaf else roofs.container(inside[name]))
            of_cost[id(priced)] = alike
        record = replace(
            alike,
            name=name,
            opcode=instruction.opcode,
            layer=where.layer,
            phase=where.phase,
            parent=parent,
            shape=written[id(instruction.shape)],
            source=instruction.source,
            op_name=instruction.op_name,
            stack_frame=None if frames is None else frames.get(name),
        )
        if parent is not None:
            inside.setdefault(parent, []).append(record)
        records.append(record)
    return tuple(reversed(records))


def _of_cost(priced: OpCost, at_roof: _AtRoof) -> OpRecord:
    """Return the record of an op of which nothing is known but what it costs."""
    times_s = (at_roof.compute_time_s, at_roof.memory_time_s, at_roof.network_time_s)
    estimate_s = overlapped(*times_s)
    return OpRecord(
        **_NOTHING_BUT_COSTS,
        **asdict(priced.cost),
        **asdict(at_roof),
        executions=priced.executions,
        executions_source=priced.source,
        working_set_bytes=priced.working_set_bytes,
        flops_lowest=None if priced.cheapest is None else priced.cheapest.flops,
        bound=bound(*times_s),
        time_s=estimate_s,
        time_source=None if estimate_s is None else "estimated",
    )


_NOTHING_BUT_COSTS: Mapping[str, Any] = {
    **dict.fromkeys(("name", "opcode", "phase", "shape", "op_name"), ""),
    **dict.fromkeys(("layer", "parent", "source")),
}


class _AtRoof(Struct, frozen=True, kw_only=True, gc=False):
    """Where an op stands under the roofs; the columns of `OpRecord`."""

    compute_time_s: float | None = None
    memory_time_s: float | None = None
    network_time_s: float | None = None
    roof: str | None = None
    level: str | None = None
    dtype: str | None = None
    passes: int = 1


class _Roofs:
    """Places ops under a device's roofs."""

    def __init__(self, device: Device | None) -> None:
        self._device = device
        self._arithmetic = cache(
            lambda computes: arithmetic(
                device, computes.dtype, values=computes.values, precision=computes.precision
            )
        )

    def container(self, inside: Sequence[OpRecord]) -> _AtRoof:
        """Add up the times of what a container holds."""
        if self._device is None:
            return _AtRoof()
        return _AtRoof(
            compute_time_s=sum([each.compute_time_s or 0.0 for each in inside]),
            memory_time_s=sum([each.memory_time_s or 0.0 for each in inside]),
            network_time_s=sum_of_times(each.network_time_s for each in inside),
        )

    def op(self, priced: OpCost) -> _AtRoof:
        """Place what is no container."""
        computes = self._arithmetic(priced.computes)
        if self._device is None:
            return _AtRoof(dtype=computes.dtype, passes=computes.passes)
        times = roofline_times(
            flops=priced.cost.flops,
            bytes=main_memory_bytes(priced.cost),
            dtype=computes.dtype,
            working_set_bytes=priced.working_set_bytes,
            device=self._device,
            passes=computes.passes,
        )
        rate, sent = self._device.network_bytes_per_s, priced.cost.wire_bytes
        return _AtRoof(
            compute_time_s=times.compute_time_s,
            memory_time_s=times.memory_time_s,
            network_time_s=sent / rate if sent and rate else None,
            roof=times.roof,
            level=times.level,
            dtype=computes.dtype,
            passes=computes.passes,
        )


@bulk
def with_traced_times(
    records: Sequence[OpRecord], shares: Sequence[OpShare]
) -> tuple[OpRecord, ...]:
    """Put the traced times on the records.

    A container takes the sum of what is inside it and its own. An op of which the trace shows
    nothing took no time if it does no work, or if nothing beside it ran either (a branch that
    was not taken); else its estimate stays.
    """
    share_of = {share.name: share for share in shares}
    total: dict[str, float] = {}
    ran: set[str | None] = set()
    for record in reversed(records):
        time = total.get(record.name, 0.0)
        if record.name in share_of:
            time += share_of[record.name].time_s
        if record.name in share_of or record.name in total:
            total[record.name] = time
            if record.parent is not None:
                total[record.parent] = total.get(record.parent, 0.0) + time
            ran.add(record.parent)
    timed: list[OpRecord] = []
    for record in records:
        source, time_s = record.time_source, record.time_s
        if record.name in total:
            share, time_s = share_of.get(record.name), total[record.name]
            source = "measured" if share is None else share.time_source
        elif record.opcode in opcodes.FREE or record.parent not in (ran | {None}):
            source, time_s = "measured", 0.0
        timed.append(replace(record, time_s=time_s, time_source=source))
    return tuple(timed)


def live_memory(
    profile: MemoryProfile | None,
    weights: Container[str],
    attributions: Mapping[str, Attribution],
) -> LiveMemory | None:
    """Return which layers the buffers belong to, and what they are to the model."""
    if profile is None:
        return None
    return LiveMemory(
        ops=tuple([node.name for node in profile.steps]),
        alive_bytes=profile.alive_bytes,
        peak_position=profile.peak_step,
        peak_op=profile.peak_node.name,
        peak_layer=attributions[profile.peak_node.name].layer,
        peak_buffers=tuple(
            [
                LiveBuffer(
                    name=buffer.node.name,
                    layer=attributions[buffer.node.name].layer,
                    bytes=buffer.bytes,
                    kind=_kind(buffer, attributions[buffer.node.name], weights),
                )
                for buffer in profile.held
            ]
        ),
        temp_bytes=profile.allocation.temp_bytes,
        output_bytes=profile.allocation.output_bytes,
    )


def activation_memory(program: Program) -> ActivationMemory | None:
    """Find the activation memory of a program before optimisation, where that is at hand.

    None for a compiled module from a file, a compiled program that is very large, and where no
    layer makes an activation.
    """
    if not program.small:
        return None
    module = program.module_before
    peaks = None if module is None else activation_peaks(module)
    if peaks is None:
        return None
    return ActivationMemory(
        **{
            policy: ActivationPeak(
                bytes=peak.bytes, op=peak.name, opcode=peak.opcode, layer=peak.layer
            )
            for policy, peak in peaks.items()
        }
    )


def _kind(buffer: HeldBuffer, attribution: Attribution, weights: Container[str]) -> str:
    if buffer.role == "argument":
        return "weights" if buffer.node.name in weights else "argument"
    forward = attribution.phase in ("forward", "rematerialised")
    if buffer.role == "temporary" and buffer.from_input and forward:
        return "activation"
    return buffer.role


def layer_parameters(
    nodes: Sequence[Node],
    names: Container[str],
    attributions: Mapping[str, Attribution],
    *,
    known: bool,
) -> Mapping[str, Parameters] | None:
    """Count the model's parameters, which have these names, by layer.

    None where there are none, and it is not `known` that there are none.
    """
    if not names and not known:
        return None
    owned: dict[str, Parameters] = {}
    for node in nodes:
        if node.name in names:
            shape, layer = node.instruction.shape, attributions[node.name].layer or ""
            if layer in (LOSS_SCOPE, OPTIMIZER_SCOPE):
                layer = ""
            parameters = Parameters(count=shape.size, bytes=shape.bytes)
            owned[layer] = owned.get(layer, Parameters()) + parameters
    return owned


def signature(nodes: Sequence[Node]) -> tuple[int, int]:
    """Count the arrays that a program takes and gives back."""
    top = [node.instruction for node in nodes if node.parent is None]
    taken = sum(len(each.shape.leaves()) for each in top if each.opcode == "parameter")
    return taken, len(top[-1].shape.leaves()) if top else 0
