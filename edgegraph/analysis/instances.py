"""Which module an op is of that no scope names, by the parameters that it reads.

Equinox names scopes after classes (``eqx.nn.Linear``), and arguments by their path in the model
(``m.a.weight``); in functions of a tree of weights nothing but the arguments has names. The ops
that read a module's parameters are its own, and with them those that share their operands, such as
weight gradients; in a class's scope those before and behind, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_name import LOSS_SCOPE, OPTIMIZER_SCOPE
from edgegraph.hlo.parameters import ParameterName
from edgegraph.hlo.sources import Sources

_CLASS = re.compile(r"eqx\.\w+\.\w+")


def is_class(layer: str | None) -> bool:
    """Return whether a layer is named after a class."""
    return layer is not None and _CLASS.fullmatch(layer.rpartition("/")[2]) is not None


def name_instances(
    nodes: Sequence[Node],
    layers: Mapping[str, str | None],
    parameters: Mapping[str, ParameterName],
) -> tuple[Mapping[str, str], Collection[str]]:
    """Name the layer of each op in a layer that is named after a class, as far as one can tell.

    Where a program has no other layers, an op outside of all that reads parameters is named, too.
    The second value has the names of those that share operands with the ops that read parameters.
    """
    scopes = {name: layer for name, layer in layers.items() if layer and is_class(layer)}
    named = {layer for layer in layers.values() if layer} - set(scopes.values())
    if parameters and named <= {LOSS_SCOPE, OPTIMIZER_SCOPE}:
        scopes |= {name: "" for name, layer in layers.items() if layer is None}
    if not scopes:
        return {}, ()
    search = _Search(nodes, scopes)
    search.by_parameters(_paths(nodes, parameters))
    for _ in range(2):  # what shares an operand with what shared one
        search.by_operands()
    for _ in range(2):
        search.by_neighbours()
    found = {
        name: f"{_split(search.scopes[name])[0]}/{path}".strip("/")
        for name, path in search.found.items()
        if path
    }
    return found, search.gradients


def _paths(nodes: Sequence[Node], parameters: Mapping[str, ParameterName]) -> Mapping[str, str]:
    """Return the module of every parameter; what stands beside others in no module is its own."""
    matrices = {
        node.name
        for node in nodes
        if node.name in parameters and len(node.instruction.shape.dimensions) > 1
    }
    several = len({each.path or name for name, each in parameters.items() if name in matrices}) > 1
    return {name: each.path or (each.leaf if several else "") for name, each in parameters.items()}


class _Search:
    """What is `found` of each op: the path of its module, and in which of the `scopes`."""

    def __init__(self, nodes: Sequence[Node], scopes: Mapping[str, str]) -> None:
        sources = Sources(nodes)
        given: set[str] = set()
        for node in nodes:
            filled = node.opcode == "broadcast" and node.operands[0] in given
            if filled or node.opcode in ("constant", "iota"):
                given.add(node.name)
        self.scopes = dict(scopes)
        self._makers = {
            node.name: [maker for maker in sources.of(node) if maker not in given]
            for node in nodes
            if node.opcode not in opcodes.MAKERS_BEHIND
        }
        self._origins: dict[str, str] = {}
        alike: dict[object, str] = {}
        for node in nodes:
            makers = tuple(self._origin(maker) for maker in self._makers.get(node.name, ()))
            if makers and node.opcode in opcodes.SAME_VALUES:
                self._origins[node.name] = makers[0]
            elif makers:  # XLA computes the same in several fusions
                key = node.opcode, node.instruction.op_name, makers
                self._origins[node.name] = alike.setdefault(key, node.name)
        self._scalars = {node.name for node in nodes if not node.instruction.shape.dimensions}
        sums = opcodes.PRODUCTS | opcodes.REDUCTIONS
        self._sums = {node.name for node in nodes if node.opcode in sums}
        self._weights: dict[str, str] = {}
        self.found: dict[str, str] = {}
        self.gradients: set[str] = set()

    def by_parameters(self, paths: Mapping[str, str]) -> None:
        """Find the ops that read the parameters of one module, as they are or rearranged."""
        self._weights |= paths
        for name, makers in self._makers.items():
            read = {self._weights[maker] for maker in makers if maker in self._weights}
            if len(read) == 1 and name not in self._scalars:
                if all(maker in self._weights for maker in makers):
                    self._weights[name] = next(iter(read))
                if name in self.scopes:
                    self.found[name] = next(iter(read))

    def by_operands(self) -> None:
        """Find the ops that share most operands with those of one module: weight gradients."""
        users: dict[str, set[tuple[str, str]]] = {}
        for name, path in self.found.items():
            for maker in self._activations(name):
                users.setdefault(maker, set()).add((self.scopes[name], path))
        for name, scope in list(self.scopes.items()):
            if name not in self.found and name in (self._makers if scope else self._sums):
                shared = Counter(
                    module
                    for maker in self._activations(name)
                    for module in users.get(maker, ())
                    if scope in ("", module[0])
                ).most_common(2)
                if shared and (len(shared) == 1 or shared[0][1] > shared[1][1]):
                    self.scopes[name], self.found[name] = shared[0][0]
                    self.gradients.add(name)

    def by_neighbours(self) -> None:
        """Find the other ops by those that make their operands, and by those that use them."""
        users: dict[str, list[str]] = {}
        for name, makers in self._makers.items():
            self._like(name, makers)
            for maker in makers:
                users.setdefault(maker, []).append(name)
        for name in reversed(self._makers):
            self._like(name, users.get(name, ()))

    def _activations(self, name: str) -> set[str]:
        return {self._origin(maker) for maker in self._makers[name] if maker not in self._weights}

    def _origin(self, name: str) -> str:
        return self._origins.get(name, name)

    def _like(self, name: str, others: Iterable[str]) -> None:
        if name in self.found or not self.scopes.get(name):
            return
        around, classes = _split(self.scopes[name])
        paths = set()
        for other in others:
            if other in self.found:
                where, deeper = _split(self.scopes[other])
                if where == around and deeper[: len(classes)] == classes:
                    path = self.found[other].split("/")
                    paths.add("/".join(path[: len(path) - len(deeper) + len(classes)]))
        if len(paths) == 1:
            self.found[name] = paths.pop()


def _split(layer: str) -> tuple[str, list[str]]:
    """Split off the classes at the end of a layer."""
    parts = layer.split("/")
    count = len(parts)
    while count and _CLASS.fullmatch(parts[count - 1]):
        count -= 1
    return "/".join(parts[:count]), parts[count:]
