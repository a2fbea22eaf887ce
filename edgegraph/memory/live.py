"""The memory that a scheduled program holds at every moment, and what makes its peak."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from edgegraph.base.timing import bulk
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Module
from edgegraph.memory.allocation import Allocation, allocate
from edgegraph.memory.buffers import trace_values
from edgegraph.memory.values import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBuffer:
    """A buffer that is alive at the peak: ``argument``, ``constant``, ``output`` or ``temporary``.

    `node` made what it holds: an op before the loop for what a loop carries.
    """

    node: Node
    bytes: int
    role: str
    from_input: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryProfile:
    """What a program holds over time.

    Attributes:
        steps: The ops of the entry computation, in the order of execution.
        alive_bytes: Bytes alive at each of them; for a container, at the worst moment inside.
        peak_step, peak_node: Position of the (first) peak; the op that runs then, or one inside.
        held: The buffers alive then, the largest first; their bytes add up to the peak.
    """

    steps: tuple[Node, ...]
    alive_bytes: tuple[int, ...]
    peak_step: int
    peak_node: Node
    held: tuple[HeldBuffer, ...]
    allocation: Allocation


@bulk
def profile_memory(
    module: Module, nodes: Sequence[Node], kept: Container[str]
) -> MemoryProfile | None:
    """Find out what a program holds in memory at every moment; None if the module is not scheduled.

    `kept` are the arguments that are a model's own, as `ModelArguments` has them.

    Arguments and constants are alive for the whole run, results from the op that makes them to
    the end, all else from the op that makes it to the one that reads it last. What is written
    in place counts once. Buffers outside the device's main memory are not counted.
    """
    if module.entry not in module.schedule:
        return None
    values = trace_values(module, nodes, kept)
    allocation = allocate(module, values)
    spans = _spans(values, allocation)
    alive = _alive(spans, values, allocation)
    steps, alive_bytes, peaks = _by_step(values.nodes, alive)
    peak_step = max(range(len(steps)), key=lambda step: alive_bytes[step])
    peak_time = peaks[peak_step]
    return MemoryProfile(
        steps=steps,
        alive_bytes=alive_bytes,
        peak_step=peak_step,
        peak_node=values.nodes[peak_time],
        held=_held(peak_time, spans, values, allocation),
        allocation=allocation,
    )


_Spans = Mapping[int, list[tuple[int, int]]]
"""When the memory of every storage is in use: first and last time, without gaps, in order."""


def _spans(values: Values, allocation: Allocation) -> _Spans:
    """Find out when memory is in use; that of arguments and constants is for the whole run."""
    fixed = values.storages(values.arguments + values.constants)
    spans = {storage: [(0, len(values.nodes) - 1)] for storage in fixed}
    for storage, numbers in values.by_storage().items():
        if storage in fixed or storage in allocation.in_arguments:
            continue
        pieces = []
        for number in numbers:
            value = values.all[number]
            # Where an op takes memory over, the result counts, not the operand as well.
            end = value.end - 1 if number in allocation.taken_over else value.end
            pieces.append((value.start, end))
        spans[storage] = _merged(pieces)
    return spans


def _merged(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap or touch."""
    if len(pieces) == 1:
        return pieces
    pieces.sort()
    merged = pieces[:1]
    for start, end in pieces[1:]:
        first, last = merged[-1]
        if start <= last + 1:
            merged[-1] = (first, max(last, end))
        else:
            merged.append((start, end))
    return merged


def _alive(spans: _Spans, values: Values, allocation: Allocation) -> list[int]:
    """Return the bytes alive at every time."""
    changes = [0] * (len(values.nodes) + 1)
    for storage, pieces in spans.items():
        size = allocation.sizes[storage]
        for start, end in pieces:
            changes[start] += size
            changes[end + 1] -= size
    return list(accumulate(changes[:-1]))


def _by_step(
    nodes: Sequence[Node], alive: Sequence[int]
) -> tuple[tuple[Node, ...], tuple[int, ...], list[int]]:
    """Return the entry's ops, the most that is alive while each runs, and when that is."""
    steps: list[Node] = []
    most: list[int] = []
    peaks: list[int] = []
    peak = 0
    for time, node in enumerate(nodes):
        if alive[time] > alive[peak]:
            peak = time
        if node.parent is None:
            steps.append(node)
            most.append(alive[peak])
            peaks.append(peak)
            peak = time + 1 if time + 1 < len(nodes) else time
    return tuple(steps), tuple(most), peaks


def _held(
    time: int, spans: _Spans, values: Values, allocation: Allocation
) -> tuple[HeldBuffer, ...]:
    """Name the buffers that are alive at a time."""
    roles = dict.fromkeys(values.storages(values.outputs), "output")
    roles |= dict.fromkeys(values.storages(values.arguments), "argument")
    roles |= dict.fromkeys(values.storages(values.constants), "constant")
    members = values.by_storage()

    def merit(number: int) -> tuple[bool, bool, int]:
        """Prefer the value that says most: made by an op, by then, and late."""
        value = values.all[number]
        made = value.node.opcode not in opcodes.ENTRIES
        return made, value.start <= time, value.start

    held = []
    for storage, pieces in spans.items():
        size = allocation.sizes[storage]
        if not size or not any(start <= time <= end for start, end in pieces):
            continue
        role = roles.get(storage, "temporary")
        number = members[storage][0]
        if role != "argument":
            number = max(members[storage], key=merit)
        value = values.all[number]
        held.append(HeldBuffer(node=value.node, bytes=size, role=role, from_input=value.from_input))
    return tuple(sorted(held, key=lambda buffer: (-buffer.bytes, buffer.node.position)))
