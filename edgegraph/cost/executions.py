"""How often every op runs in one call of the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgegraph.errors import FormatError
from edgegraph.graph import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """How often an op runs.

    Attributes:
        count: Exact number; None where it depends on the data (a loop without a known trip
            count, a branch of a conditional).
        counted: The number its cost is multiplied by: loops of unknown length count once.
        traced: True where the numbers hold for the traced arguments only: a loop around it was
            counted in an op trace.
    """

    count: int | None
    counted: int
    traced: bool = False


MAX_EXECUTIONS = 1 << 63
"""More often than any program gets to run an op; a file that says so is damaged."""

ONCE = Executions(count=1, counted=1)


def count_executions(
    nodes: Sequence[Node],
    trips: Mapping[str, int | None],
    traced: Mapping[tuple[str, str], int] | None = None,
) -> Mapping[str, Executions]:
    """Multiply the trip counts of nested loops.

    Args:
        nodes: All nodes, containers before their contents.
        trips: Iterations of every while loop, by instruction name.
        traced: How often computations ran in one traced call, by loop node and computation;
            used where the trip count is unknown.

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
            container = by_name[node.parent]
            trip_count = trips.get(container.instruction.name)
            outer = result[node.parent]
            if trip_count is None and traced is not None and key in traced:
                seen = traced[key]
                inside[key] = Executions(count=seen, counted=seen, traced=True)
            else:
                inside[key] = _inside(container, node.computation, outer, trip_count)
        result[node.name] = inside[key]
    return result


def _inside(container: Node, computation: str, outer: Executions, trips: int | None) -> Executions:
    """Return the executions of the ops in `computation`, which `container` calls."""
    instruction = container.instruction
    if outer.count == 0:
        return outer
    if instruction.opcode == "conditional":
        return replace(outer, count=None)
    if instruction.opcode != "while":
        return outer
    if trips is None:
        return replace(outer, count=None)
    body, condition = instruction.called
    if outer.counted * trips > MAX_EXECUTIONS:
        raise FormatError(
            f"HLO while {container.name!r}: with the loops around it, its body would run more than"
            " 2^63 times"
        )
    times = trips + 1 if computation == condition and condition != body else trips
    unknown = outer.count is None and times > 0
    count = None if unknown else (outer.count or 0) * times
    return replace(outer, count=count, counted=outer.counted * times)
