"""Times of kernels, split over the ops inside them and added up over what holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from edgegraph.graph import CONTAINER_OPCODES, FREE_OPCODES, Node
from edgegraph.results.records import OpRecord


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
        opcode = node.instruction.opcode
        name = owner.get(node.parent or "")
        if name is None and (opcode == "fusion" or opcode not in CONTAINER_OPCODES | FREE_OPCODES):
            name = node.name
            found[name] = []
        if name is not None:
            owner[node.name] = name
            if node.name not in holders:
                found[name].append(position)
    return found


def spread(
    whole: Mapping[str, tuple[float, ...]],
    inside: Mapping[str, Sequence[int]],
    records: Sequence[OpRecord],
) -> dict[str, tuple[float, ...]]:
    """Split every kernel's times over the ops in it as their roofline times, and add up.

    Args:
        whole: Times of all executions, by kernel; as many for each.
        inside: What `kernels` gave.
        records: All ops, containers before their contents.

    Returns:
        Times by op, those of containers with it; ops of which nothing is known are left out.
    """
    times: dict[str, tuple[float, ...]] = {}
    parents = {record.name: record.parent for record in records}
    for name, known in whole.items():
        nothing = tuple([0.0] * len(known))
        ops = [records[position] for position in inside[name]]
        weights = [max(op.compute_time_s or 0.0, op.memory_time_s or 0.0) for op in ops]
        total = sum(weights)
        if not total:
            weights[-1] = total = 1.0
        for op, weight in zip(ops, weights, strict=True):
            part = nothing
            if weight:
                share = weight / total
                part = tuple([share * time for time in known])
            times[op.name] = part
            if op.parent != parents[name] and op.parent != name:
                _add(times, _between(op.parent, name, parents), part)
        times[name] = known
        _add(times, _between(parents[name], None, parents), known)
    return times


def _between(
    first: str | None, last: str | None, parents: Mapping[str, str | None]
) -> Iterator[str]:
    """Give the containers from `first` outwards, to below `last`."""
    while first is not None and first != last:
        yield first
        first = parents[first]


def _add(
    times: dict[str, tuple[float, ...]], names: Iterable[str], amount: tuple[float, ...]
) -> None:
    for name in names:
        held = times.get(name)
        if held is None:
            times[name] = amount
        else:
            times[name] = tuple([a + b for a, b in zip(held, amount, strict=True)])
