"""Plays a schedule: when every op runs, which transfers are hidden, and the critical path.

The schedule lists instructions in the order of execution. An asynchronous operation is a start,
which only sets it off, and a done, which waits for it; what stands between hides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from edgegraph.base.timing import bulk
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.analysis import OpRecord
from edgegraph.results.schedule import (
    ASYNCHRONOUS,
    COMPUTE,
    COPY,
    EXPOSED,
    HIDDEN,
    NETWORK,
    PARTLY_HIDDEN,
    Schedule,
    ScheduledOp,
    Transfer,
)

_NEGLIGIBLE = 0.01
"""Share of a transfer's time below which waiting for it counts as none."""


@bulk
def simulate_schedule(
    nodes: Sequence[Node], records: Sequence[OpRecord], *, network_bytes_per_s: float | None = None
) -> Schedule:
    """Play the schedule with the best known time of every op; one of unknown time takes none.

    `network_bytes_per_s` is what one device sends to others; where it is unknown, so is the time of
    a collective.
    """
    simulation = _Simulation(nodes, records, network_bytes_per_s)
    body = simulation.bodies(None)
    ops, makespan_s = simulation.run(body[0]) if body else ([], 0.0)
    critical_path = simulation.critical_path(body[0]) if body else []
    sources = dict.fromkeys(
        record.time_source for record in records if record.parent is None and record.time_source
    )
    return Schedule(
        ops=tuple(ops),
        transfers=tuple(simulation.transfers),
        makespan_s=makespan_s,
        compute_s=sum(op.duration_s for op in ops if op.lane == COMPUTE),
        critical_path_s=sum(map(simulation.duration_s, critical_path)),
        critical_path=tuple(name for name in critical_path if simulation.duration_s(name)),
        untimed=simulation.untimed,
        time_source=" and ".join(sources) or None,
    )


def waits_s(
    nodes: Sequence[Node], records: Sequence[OpRecord], network_bytes_per_s: float | None = None
) -> float:
    """Return how long kernels that take what their compiler expects wait for transfers.

    0 where it says nothing of any.
    """
    if all(record.compiler_time_s is None for record in records):
        return 0.0
    expected = [
        record if record.compiler_time_s is None else replace(record, time_s=record.compiler_time_s)
        for record in records
    ]
    return simulate_schedule(nodes, expected, network_bytes_per_s=network_bytes_per_s).exposed_s


@dataclass(slots=True)
class _Under:
    """A transfer that is under way."""

    node: Node
    lane: str
    duration_s: float | None
    ends_s: float
    compute_s: float = 0.0
    between: int = 0


class _Simulation:
    def __init__(
        self, nodes: Sequence[Node], records: Sequence[OpRecord], network_bytes_per_s: float | None
    ) -> None:
        self._records = {record.name: record for record in records}
        self._network_bytes_per_s = network_bytes_per_s
        self._contents = OpTree(nodes).contents
        self._durations: dict[str, float] = {}
        self.transfers: list[Transfer] = []
        self.untimed = 0

    def bodies(self, parent: str | None) -> list[list[Node]]:
        """Return the computations that run directly inside `parent`, each in order."""
        bodies: dict[str, list[Node]] = {}
        for node in self._contents.get(parent, ()):
            bodies.setdefault(node.computation, []).append(node)
        return list(bodies.values())

    def run(self, body: Iterable[Node]) -> tuple[list[ScheduledOp], float]:
        """Play one computation once; return its ops, and how long they take together."""
        ops: list[ScheduledOp] = []
        now_s = 0.0
        free_s: dict[str, float] = {}
        under: dict[str, _Under] = {}
        started_by: dict[str, str] = {}
        for node in body:
            opcode = node.opcode
            started = started_by.get(node.operands[0]) if node.operands else None
            if opcode in opcodes.STARTS:
                transfer = self._begin(node, now_s, free_s)
                under[node.name] = transfer
                started_by[node.name] = node.name
                begins_s = transfer.ends_s - (transfer.duration_s or 0.0)
                ops.append(_op(node, transfer.lane, begins_s, transfer.duration_s or 0.0))
            elif opcode == "async-update" and started is not None:
                started_by[node.name] = started
            elif opcode in opcodes.DONES and started in under:
                transfer = under.pop(started)
                self._end(transfer, node, max(0.0, transfer.ends_s - now_s))
                now_s = max(now_s, transfer.ends_s)
            elif opcode not in opcodes.FREE and opcode not in opcodes.DONES:
                duration_s = self._duration(node)
                for transfer in under.values():
                    transfer.compute_s += duration_s
                    transfer.between += 1
                ops.append(_op(node, COMPUTE, now_s, duration_s))
                now_s += duration_s
        for transfer in under.values():
            self._end(transfer, None, max(0.0, transfer.ends_s - now_s))
            now_s = max(now_s, transfer.ends_s)
        return ops, now_s

    def critical_path(self, body: Iterable[Node]) -> list[str]:
        """Find the longest chain of a computation that was played, from its first op on."""
        ends_s: dict[str, float] = {}
        waits_for: dict[str, str | None] = {}
        for node in body:
            before = (*node.operands, *node.instruction.control_predecessors)
            last = max((name for name in before if name in ends_s), key=ends_s.__getitem__,
                       default=None)  # fmt: skip
            ready_s = 0.0 if last is None else ends_s[last]
            ends_s[node.name] = ready_s + self.duration_s(node.name)
            waits_for[node.name] = last
        path: list[str] = []
        name = max(ends_s, key=ends_s.__getitem__, default=None)
        while name is not None:
            path.append(name)
            name = waits_for[name]
        return path[::-1]

    def duration_s(self, name: str) -> float:
        """Return the time of one execution of a simulated node; 0 of one that costs nothing."""
        return self._durations.get(name, 0.0)

    def _begin(self, node: Node, now_s: float, free_s: dict[str, float]) -> _Under:
        lane = self._lane(node)
        duration_s = self._transfer_s(node, lane)
        begins_s = max(now_s, free_s.get(lane, 0.0))
        ends_s = begins_s + (duration_s or 0.0)
        free_s[lane] = ends_s
        self._durations[node.name] = duration_s or 0.0
        return _Under(node=node, lane=lane, duration_s=duration_s, ends_s=ends_s)

    def _end(self, transfer: _Under, done: Node | None, waited_s: float) -> None:
        record = self._records[transfer.node.name]
        duration_s = transfer.duration_s
        exposed_s = None if duration_s is None else waited_s
        self.transfers.append(
            Transfer(
                start=record.name,
                done=None if done is None else done.name,
                opcode=self._what(transfer.node),
                lane=transfer.lane,
                layer=record.layer,
                executions=record.executions,
                bytes=_bytes(record, transfer.lane),
                duration_s=duration_s,
                compute_s=transfer.compute_s,
                between=transfer.between,
                exposed_s=exposed_s,
                verdict=_verdict(duration_s, exposed_s),
            )
        )

    def _duration(self, node: Node) -> float:
        """Return the time of one execution of a node on the compute lane."""
        record = self._records[node.name]
        if node.opcode in opcodes.CONTROL_FLOW:
            duration_s = self._inside(node, record)
        else:
            known_s = _per_execution(record, record.time_s)
            self.untimed += known_s is None
            duration_s = known_s or 0.0
        self._durations[node.name] = duration_s
        return duration_s

    def _inside(self, node: Node, record: OpRecord) -> float:
        """Play what a loop, call or conditional runs, and multiply by the trips of a loop."""
        times_s: list[float] = []
        for body in self.bodies(node.name):
            inner = self._records[body[0].name]
            trips = (inner.executions or 1) / (record.executions or 1)
            repeated = node.instruction.called.count(body[0].computation)
            body_s = self.run(body)[1] / max(1, repeated)
            times_s.append(body_s * (trips if node.opcode == "while" else 1.0))
        if record.time_source == "measured":
            return _per_execution(record, record.time_s) or 0.0
        if node.opcode == "conditional":
            return max(times_s, default=0.0)
        return sum(times_s)

    def _transfer_s(self, node: Node, lane: str) -> float | None:
        record = self._records[node.name]
        memory_s = _per_execution(record, record.time_s)
        if lane != NETWORK:
            return memory_s
        wire_bytes = _per_execution(record, record.wire_bytes)
        if wire_bytes is None or self._network_bytes_per_s is None:
            return None
        return max(wire_bytes / self._network_bytes_per_s, memory_s or 0.0)

    def _lane(self, node: Node) -> str:
        opcode = node.opcode
        if opcode == "copy-start":
            return COPY
        if opcode != "async-start":
            return NETWORK
        inside = {inner.opcode for inner in self._contents.get(node.name, ())}
        if inside & opcodes.COLLECTIVES:
            return NETWORK
        return COPY if inside - opcodes.FREE <= opcodes.TRANSFERABLE else ASYNCHRONOUS

    def _what(self, node: Node) -> str:
        opcode = node.opcode
        if opcode != "async-start":
            return opcode.removesuffix("-start")
        inside = [inner.opcode for inner in self._contents.get(node.name, ())]
        working = [inner for inner in inside if inner not in opcodes.FREE]
        return working[-1] if working else "async"


def _op(node: Node, lane: str, begin_s: float, duration_s: float) -> ScheduledOp:
    return ScheduledOp(name=node.name, lane=lane, begin_s=begin_s, duration_s=duration_s)


def _bytes(record: OpRecord, lane: str) -> int | None:
    """Return the bytes of one execution."""
    moved = record.wire_bytes
    if lane != NETWORK:
        known = record.bytes_read is not None and record.bytes_written is not None
        moved = (record.bytes_read or 0) + (record.bytes_written or 0) if known else None
    return moved if moved is None else moved // (record.executions or 1)


def _per_execution(record: OpRecord, value: float | None) -> float | None:
    """Divide what a record sums over its executions."""
    if value is None or not record.executions:
        return value
    return value / record.executions


def _verdict(duration_s: float | None, exposed_s: float | None) -> str | None:
    if duration_s is None or exposed_s is None:
        return None
    if exposed_s <= _NEGLIGIBLE * duration_s:
        return HIDDEN
    return EXPOSED if exposed_s >= (1 - _NEGLIGIBLE) * duration_s else PARTLY_HIDDEN
