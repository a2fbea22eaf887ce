"""Which layer and phase every op belongs to.

An op says so itself in its op_name, the ops inside a fusion too. Ops that XLA added or rewrote
(copies, converts, the dot of a single row) say nothing; they belong to the layer that they
serve: the one whose parameters they read, else the one that uses their result, else the one
that made their operand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from edgegraph.bulk import bulk
from edgegraph.graph import Node
from edgegraph.hlo.op_name import (
    LOSS_SCOPE,
    OPTIMIZER_SCOPE,
    parse_op_name,
    parse_parameter_name,
    qualify_op_name,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the model an op belongs; `layer` is None where that cannot be said."""

    layer: str | None
    phase: str


NOWHERE = Place(layer=None, phase="forward")


@bulk
def attribute(nodes: Sequence[Node]) -> Mapping[str, Place]:
    """Find the layer and phase of every node.

    Args:
        nodes: All nodes, containers before their contents, operands before users.

    Returns:
        By node name. A container that spans layers is placed in their common ancestor.
    """
    op_names = _complete_op_names(nodes)
    places = {name: _said(op_name) for name, op_name in op_names.items()}
    owners = ParameterOwners({p.layer for p in places.values() if p.layer is not None})
    for node in nodes:
        if node.instruction.opcode == "parameter" and node.parent is None:
            places[node.name] = _parameter_place(node, owners)
    _place_containers(nodes, places)
    _place_by_neighbours(nodes, places)
    return places


class ParameterOwners:
    """Finds the layer that owns a parameter, whose name does not say the network's.

    Example:
        >>> owners = ParameterOwners(["SmallCNN/conv1", "SmallCNN"])
        >>> owners.layer("conv1"), owners.layer("unused"), owners.layer("")
        ('SmallCNN/conv1', 'SmallCNN/unused', 'SmallCNN')
    """

    def __init__(self, scopes: Iterable[str]) -> None:
        """Learn the layers that the ops name.

        Args:
            scopes: Their paths, which begin with the network's own scope.
        """
        known = sorted(scopes, key=lambda scope: (scope.count("/"), scope), reverse=True)
        self._by_path = {scope.partition("/")[2]: scope for scope in known}
        self._by_path |= {scope: scope for scope in known}
        steps = (LOSS_SCOPE, OPTIMIZER_SCOPE)
        self._roots = {scope.partition("/")[0] for scope in known if scope not in steps}

    def layer(self, path: str) -> str:
        """Give the scope that ends in `path`; below the network's own where no op names it.

        Args:
            path: Path of the parameter's module (``conv1``), "" for the network itself.
        """
        if path in self._by_path and path:
            return self._by_path[path]
        root = next(iter(self._roots)) if len(self._roots) == 1 else ""
        return f"{root}/{path}".strip("/")


def _complete_op_names(nodes: Sequence[Node]) -> Mapping[str, str]:
    """Give every node's op_name from the root on.

    Before optimisation JAX writes the op_names inside a called function relative to the call.
    """
    callers: dict[str | None, str] = {}
    complete: dict[str, str] = {}
    for node in nodes:
        # A loop or branch inside the function is relative to the same call.
        caller = callers.get(node.parent, "")
        op_name = qualify_op_name(node.instruction.op_name, caller)
        callers[node.name] = op_name if node.instruction.opcode == "call" and op_name else caller
        complete[node.name] = op_name
    return complete


@lru_cache(maxsize=1 << 16)
def _said(op_name: str) -> Place:
    """Read an op's own op_name."""
    name = parse_op_name(op_name)
    return Place(layer=name.layer, phase=name.phase)


def _parameter_place(node: Node, owners: ParameterOwners) -> Place:
    name = parse_parameter_name(node.instruction.op_name)
    if name is None:
        return NOWHERE
    return Place(layer=owners.layer(name.path) or None, phase="forward")


def _place_containers(nodes: Sequence[Node], places: dict[str, Place]) -> None:
    """Place fusions, loops and calls by what they hold: their own op_name is only the last op's."""
    held: dict[str, list[Place]] = {}
    for node in reversed(nodes):
        inside = held.get(node.name)
        if inside:
            place = _common(inside)
            if place.layer is not None:
                places[node.name] = place
        if node.parent is not None and places[node.name].layer is not None:
            held.setdefault(node.parent, []).append(places[node.name])


def _place_by_neighbours(nodes: Sequence[Node], places: dict[str, Place]) -> None:
    """Place the ops that say nothing by the parameters they read, their users, their operands.

    A user or operand that is a container is looked into: the op inside that takes the value, or
    makes it, says more than the container, which may span layers.
    """
    users: dict[str, list[str]] = {}
    taken_by: dict[tuple[str, int], str] = {}
    made_by: dict[str, str] = {}
    opcodes = {node.name: node.instruction.opcode for node in nodes}
    owned = {
        node.name
        for node in nodes
        if node.instruction.opcode == "parameter" and places[node.name].layer is not None
    }
    for node in nodes:
        if node.parent is not None:
            made_by[node.parent] = node.name
            number = node.instruction.parameter_number
            if number is not None and opcodes[node.parent] in ("fusion", "call"):
                taken_by[node.parent, number] = node.name
    for node in nodes:
        for position, operand in enumerate(node.operands):
            user = taken_by.get((node.name, position), node.name)
            users.setdefault(operand, []).append(user)
    for node in reversed(nodes):
        if places[node.name].layer is None:
            served = _common(places[user] for user in users.get(node.name, ()))
            weights = _common(places[operand] for operand in node.operands if operand in owned)
            if weights.layer is not None and served.phase != "update":
                served = Place(layer=weights.layer, phase=served.phase)
            places[node.name] = served
    for node in nodes:
        if places[node.name].layer is None:
            places[node.name] = _common(
                places[made_by.get(operand, operand)] for operand in node.operands
            )
        if places[node.name].layer is None and node.parent is not None:
            places[node.name] = places[node.parent]


def _common(places: Iterable[Place]) -> Place:
    """Give the deepest scope that holds all placed `places`, and their phase if they share one."""
    placed = [place for place in places if place.layer is not None]
    if not placed:
        return NOWHERE
    shared = placed[0].layer or ""
    for place in placed[1:]:
        layer = place.layer or ""
        while shared and layer != shared and not layer.startswith(shared + "/"):
            shared = shared.rpartition("/")[0]
    phases = {place.phase for place in placed}
    phase = placed[0].phase if len(phases) == 1 else "forward"
    return Place(layer=shared or None, phase=phase)
