"""One record per op: what it costs, where in the model it stands, which roof binds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from edgegraph.analysis.attribution import Attribution
from edgegraph.base.timing import bulk
from edgegraph.cost.price import OpCost
from edgegraph.cost.products import Multiplies
from edgegraph.device.device import Arithmetic, Device, arithmetic
from edgegraph.device.roofline import bound, overlapped, roofline_times
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.analysis import OpRecord
from edgegraph.results.columns import sum_of_times
from edgegraph.results.op_trace import OpShare
from edgegraph.results.records import main_memory_bytes


@bulk
def op_records(
    nodes: Sequence[Node],
    costs: Mapping[str, OpCost],
    attributions: Mapping[str, Attribution],
    device: Device | None,
) -> tuple[OpRecord, ...]:
    """Put an op's cost, its layer and its times at the roofs together.

    Args:
        nodes: All nodes in schedule order, containers before their contents.
        costs: Of every node, by name.
        attributions: Of every node, by name.
        device: Whose roofs to use, or None.
    """
    # Decoding makes one object of equal shapes, so each is written out once.
    shapes = {id(node.instruction.shape): node.instruction.shape for node in nodes}
    written = {number: str(shape) for number, shape in shapes.items()}
    roofs = _Roofs(device)
    tree = OpTree(nodes)
    inside: dict[str, list[_OpTimes]] = {}
    records: list[OpRecord] = []
    for node in reversed(nodes):
        priced = costs[node.name]
        leaf = tree.is_leaf(node)
        times = roofs.op(priced) if leaf else roofs.container(inside[node.name])
        if node.parent is not None:
            inside.setdefault(node.parent, []).append(times)
        shape = written[id(node.instruction.shape)]
        records.append(_record(node, priced, attributions[node.name], shape, times))
    return tuple(reversed(records))


class _OpTimes(Struct, frozen=True, gc=False):
    """Where an op stands under the roofs."""

    compute_s: float | None = None
    memory_s: float | None = None
    network_s: float | None = None
    bound: str | None = None
    roof: str | None = None
    level: str | None = None
    computes: Arithmetic | None = None


class _Roofs:
    """Places ops under a device's roofs, those of one cost once."""

    def __init__(self, device: Device | None) -> None:
        self._device = device
        self._arithmetics: dict[Multiplies, Arithmetic] = {}
        self._ops: dict[int, _OpTimes] = {}

    def container(self, inside: Sequence[_OpTimes]) -> _OpTimes:
        """Add up the times of what a container holds."""
        if self._device is None:
            return _OpTimes()
        compute_s = sum(times.compute_s or 0.0 for times in inside)
        memory_s = sum(times.memory_s or 0.0 for times in inside)
        network_s = sum_of_times(times.network_s for times in inside)
        return _OpTimes(compute_s, memory_s, network_s, bound(compute_s, memory_s, network_s))

    def op(self, priced: OpCost) -> _OpTimes:
        """Place what is no container; `priced` has to stay alive."""
        known = self._ops.get(id(priced))
        if known is None:
            known = self._ops[id(priced)] = self._roofline_times(priced)
        return known

    def _roofline_times(self, priced: OpCost) -> _OpTimes:
        computes = self._arithmetics.get(priced.computes)
        if computes is None:
            computes = self._arithmetics[priced.computes] = _arithmetic(
                self._device, priced.computes
            )
        if self._device is None:
            return _OpTimes(computes=computes)
        at_roof = roofline_times(
            flops=priced.cost.flops,
            bytes=main_memory_bytes(priced.cost),
            dtype=computes.dtype,
            working_set_bytes=priced.working_set_bytes,
            device=self._device,
            passes=computes.passes,
        )
        compute_s, memory_s = at_roof.compute_time_s, at_roof.memory_time_s
        rate, sent = self._device.network_bytes_per_s, priced.cost.wire_bytes
        network_s = sent / rate if sent and rate else None
        bound_by = bound(compute_s, memory_s, network_s)
        return _OpTimes(
            compute_s, memory_s, network_s, bound_by, at_roof.roof, at_roof.level, computes
        )


def _record(
    node: Node,
    priced: OpCost,
    where: Attribution,
    shape: str,
    times: _OpTimes,
) -> OpRecord:
    instruction, cost, computes = node.instruction, priced.cost, times.computes
    compute, memory, network = times.compute_s, times.memory_s, times.network_s
    estimate = overlapped(compute, memory, network)
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
        roof=times.roof,
        level=times.level,
        compute_time_s=compute,
        memory_time_s=memory,
        network_time_s=network,
        bound=times.bound,
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
        elif record.opcode in opcodes.FREE or record.parent not in (ran | {None}):
            source, time_s = "measured", 0.0
        timed.append(replace(record, time_s=time_s, time_source=source))
    return tuple(timed)
