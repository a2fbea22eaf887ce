"""Times of kernels, split over the ops inside them and added up over what holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgegraph.graph import Node
from edgegraph.hlo import opcodes
from edgegraph.results.records import OpRecord

Times = tuple[float, ...]
"""Times of all executions in one call, in seconds, by several estimates."""


def kernels(nodes: Sequence[Node], records: Sequence[OpRecord]) -> dict[str, list[int]]:
    """Find what runs as one piece: fusions, and ops outside of them that do some work.

    Args:
        nodes: All nodes, containers before their contents.
        records: Of the nodes, in the same order.

    Returns:
        Positions of the ops inside each kernel (of an op alone its own), by the kernel's name.
    """
    holders = {node.parent for node in nodes}
    owner: dict[str, str] = {}
    found: dict[str, list[int]] = {}
    for position, node in enumerate(nodes):
        opcode = node.opcode
        name = owner.get(node.parent or "")
        if name is None and (opcode == "fusion" or opcode not in opcodes.CONTAINERS | opcodes.FREE):
            name = node.name
            found[name] = []
        if name is not None:
            owner[node.name] = name
            if node.name not in holders:
                found[name].append(position)
    return found


def spread(
    whole: Mapping[str, Times], inside: Mapping[str, Sequence[int]], records: Sequence[OpRecord]
) -> list[Times | None]:
    """Split every kernel's times over the ops in it as their roofline times, and add up.

    Args:
        whole: Times of all executions, by kernel; as many for each.
        inside: What `kernels` returned.
        records: All ops, containers before their contents.

    Returns:
        Times by position, those of containers with them; None where nothing is known.
    """
    times: list[Times | None] = [None] * len(records)
    positions = {record.name: position for position, record in enumerate(records)}

    def add(name: str | None, last: str | None, amount: Times) -> None:
        """Add to the containers from `name` outwards, to below `last`."""
        while name is not None and name != last:
            place = positions[name]
            held = times[place]
            times[place] = amount if held is None else tuple(map(float.__add__, held, amount))
            name = records[place].parent

    for name, known in whole.items():
        parent = records[positions[name]].parent
        nothing = (0.0,) * len(known)
        ops = [records[position] for position in inside[name]]
        weights = [max(op.compute_time_s or 0.0, op.memory_time_s or 0.0) for op in ops]
        total = sum(weights)
        if not total:
            weights[-1] = total = 1.0
        for position, op, weight in zip(inside[name], ops, weights, strict=True):
            part = nothing
            if weight:
                share = weight / total
                part = tuple([share * time for time in known])
            times[position] = part
            if op.parent not in (name, parent):
                add(op.parent, name, part)
        times[positions[name]] = known
        if parent is not None:
            add(parent, None, known)
    return times
