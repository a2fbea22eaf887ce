"""One record per op: what it costs, where in the model it stands, which roof binds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from edgegraph.attribution import Place
from edgegraph.bulk import bulk
from edgegraph.cost.arithmetic import Multiplies
from edgegraph.cost.cost import Cost
from edgegraph.cost.price import OpCost
from edgegraph.device.arithmetic import Arithmetic, arithmetic
from edgegraph.device.device import Device
from edgegraph.device.roofline import place
from edgegraph.graph import FREE_OPCODES, Node
from edgegraph.layers import bound
from edgegraph.results.analysis import OpRecord
from edgegraph.results.op_trace import OpShare


@bulk
def op_records(
    nodes: Sequence[Node],
    costs: Mapping[str, OpCost],
    places: Mapping[str, Place],
    device: Device | None,
) -> tuple[OpRecord, ...]:
    """Put an op's cost, its place in the model and its place on the roofline together.

    Args:
        nodes: All nodes in schedule order, containers before their contents.
        costs: Of every node, by name.
        places: Of every node, by name.
        device: Whose roofs to use, or None.
    """
    containers = {node.parent for node in nodes}
    arithmetics: dict[Multiplies, Arithmetic] = {}
    # Decoding makes one object of equal shapes, so each is written out once.
    shapes = {id(node.instruction.shape): node.instruction.shape for node in nodes}
    written = {number: str(shape) for number, shape in shapes.items()}
    times: dict[str, tuple[float | None, float | None]] = {}
    inside: dict[str, list[str]] = {}
    records: list[OpRecord] = []
    for node in reversed(nodes):
        if node.parent is not None:
            inside.setdefault(node.parent, []).append(node.name)
        priced = costs[node.name]
        roof: str | None = None
        level: str | None = None
        computes = None
        if node.name not in containers:
            computes = arithmetics.get(priced.computes)
            if computes is None:
                computes = _arithmetic(device, priced.computes)
                arithmetics[priced.computes] = computes
        if device is None:
            times[node.name] = (None, None)
        elif computes is None:
            held = [times[name] for name in inside[node.name]]
            times[node.name] = (
                sum(compute or 0.0 for compute, _ in held),
                sum(memory or 0.0 for _, memory in held),
            )
        else:
            cost = priced.cost
            spot = place(
                flops=cost.flops,
                bytes=_main_memory_bytes(cost),
                dtype=computes.dtype,
                working_set_bytes=priced.working_set_bytes,
                device=device,
                passes=computes.passes,
            )
            times[node.name] = (spot.compute_time_s, spot.memory_time_s)
            roof, level = spot.roof, spot.level
        spot_of = (times[node.name], roof, level, computes)
        shape = written[id(node.instruction.shape)]
        records.append(_record(node, priced, places[node.name], shape, *spot_of))
    return tuple(reversed(records))


def _record(
    node: Node,
    priced: OpCost,
    where: Place,
    shape: str,
    times: tuple[float | None, float | None],
    roof: str | None,
    level: str | None,
    computes: Arithmetic | None,
) -> OpRecord:
    instruction, cost = node.instruction, priced.cost
    compute, memory = times
    estimate = None if compute is None or memory is None else max(compute, memory)
    return OpRecord(
        name=node.name,
        opcode=instruction.opcode,
        layer=where.layer,
        phase=where.phase,
        parent=node.parent,
        shape=shape,
        executions=priced.executions,
        macs=cost.macs,
        flops=cost.flops,
        transcendentals=cost.transcendentals,
        bytes_read=cost.bytes_read,
        bytes_written=cost.bytes_written,
        wire_bytes=cost.wire_bytes,
        on_chip_bytes=cost.on_chip_bytes,
        flops_lowest=None if priced.cheapest is None else priced.cheapest.flops,
        roof=roof,
        level=level,
        compute_time_s=compute,
        memory_time_s=memory,
        bound=bound(compute, memory),
        time_s=estimate,
        time_source=None if estimate is None else "estimated",
        source=instruction.source,
        op_name=instruction.op_name,
        executions_source="trace" if priced.traced else "module",
        dtype=None if computes is None else computes.dtype,
        passes=1 if computes is None else computes.passes,
    )


def _arithmetic(device: Device | None, computes: Multiplies) -> Arithmetic:
    return arithmetic(device, computes.dtype, values=computes.values, precision=computes.precision)


def _main_memory_bytes(cost: Cost) -> int | None:
    if cost.bytes_read is None or cost.bytes_written is None:
        return None
    return cost.bytes_read + cost.bytes_written - (cost.on_chip_bytes or 0)


@bulk
def with_traced_times(
    records: Sequence[OpRecord], shares: Sequence[OpShare]
) -> tuple[OpRecord, ...]:
    """Put the traced times on the records.

    A container takes the sum of what is inside it and its own. An op of which the trace shows
    nothing took no time if it does no work, or if nothing beside it ran either (a branch that
    was not taken); else its estimate stays.

    Args:
        records: All ops, containers before their contents.
        shares: Of the traced time.
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
        elif record.opcode in FREE_OPCODES or record.parent not in (ran | {None}):
            source, time_s = "measured", 0.0
        timed.append(replace(record, time_s=time_s, time_source=source))
    return tuple(timed)
