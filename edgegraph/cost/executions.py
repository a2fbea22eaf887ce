"""How often every op runs in one call of the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgegraph.errors import FormatError
from edgegraph.graph import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """How often an op runs.

    Attributes:
        count: Exact number; None where it depends on the data (a loop without a known trip
            count, a branch of a conditional).
        counted: The number its cost is multiplied by: loops of unknown length count once.
    """

    count: int | None
    counted: int


MAX_EXECUTIONS = 1 << 63
"""More often than any program gets to run an op; a file that says so is damaged."""

ONCE = Executions(count=1, counted=1)


def count_executions(
    nodes: Sequence[Node], trips: Mapping[str, int | None]
) -> Mapping[str, Executions]:
    """Multiply the trip counts of nested loops.

    Args:
        nodes: All nodes, containers before their contents.
        trips: Iterations of every while loop, by instruction name.

    Returns:
        By node name. A loop's condition runs once more than its body.
    """
    by_name: dict[str, Node] = {}
    result: dict[str, Executions] = {}
    inside: dict[tuple[str, str], Executions] = {}
    for node in nodes:
        by_name[node.name] = node
        if node.parent is None:
            result[node.name] = ONCE
            continue
        key = (node.parent, node.computation)
        if key not in inside:
            caller = by_name[node.parent]
            trip_count = trips.get(caller.instruction.name)
            inside[key] = _inside(caller, node.computation, result[node.parent], trip_count)
        result[node.name] = inside[key]
    return result


def _inside(caller: Node, computation: str, outer: Executions, trips: int | None) -> Executions:
    """Give the executions of the ops in `computation`, which `caller` calls."""
    instruction = caller.instruction
    if outer.count == 0:
        return outer
    if instruction.opcode == "conditional":
        return Executions(count=None, counted=outer.counted)
    if instruction.opcode != "while":
        return outer
    if trips is None:
        return Executions(count=None, counted=outer.counted)
    body, condition = instruction.called
    if outer.counted * trips > MAX_EXECUTIONS:
        raise FormatError(
            f"HLO while {caller.name!r}: with the loops around it, its body would run more than"
            " 2^63 times"
        )
    times = trips + 1 if computation == condition and condition != body else trips
    if outer.count is None:
        return Executions(count=None if times else 0, counted=outer.counted * times)
    return Executions(count=outer.count * times, counted=outer.counted * times)
