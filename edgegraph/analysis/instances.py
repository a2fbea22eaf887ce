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
    sources: Sources,
    layers: Sequence[str | None],
    parameters: Mapping[int, ParameterName],
) -> tuple[Mapping[int, str], Collection[int]]:
    """Name the layer of each op in a layer that is named after a class, as far as one can tell.

    Where a program has no other layers, an op outside of all that reads parameters is named, too.
    Ops go by their place in `sources`. The second value are those that share operands with the ops
    that read parameters.
    """
    classes = {layer for layer in set(layers) if is_class(layer)}
    scopes = {at: layer for at, layer in enumerate(layers) if layer and layer in classes}
    named = {layer for layer in layers if layer} - classes
    if parameters and named <= {LOSS_SCOPE, OPTIMIZER_SCOPE}:
        scopes |= {at: "" for at, layer in enumerate(layers) if layer is None}
    if not scopes:
        return {}, ()
    search = _Search(sources, scopes)
    search.by_parameters(_paths(sources.nodes, parameters))
    for _ in range(2):  # what shares an operand with what shared one
        search.by_operands()
    for _ in range(2):
        search.by_neighbours()
    found = {
        at: f"{_split(search.scopes[at])[0]}/{path}".strip("/")
        for at, path in search.found.items()
        if path
    }
    return found, search.gradients


def _paths(nodes: Sequence[Node], parameters: Mapping[int, ParameterName]) -> Mapping[int, str]:
    """Return the module of every parameter; what stands beside others in no module is its own."""
    matrices = {
        each.path or at
        for at, each in parameters.items()
        if len(nodes[at].instruction.shape.dimensions) > 1
    }
    several = len(matrices) > 1
    return {at: each.path or (each.leaf if several else "") for at, each in parameters.items()}


class _Search:
    """What is `found` of each op: the path of its module, and in which of the `scopes`."""

    def __init__(self, sources: Sources, scopes: Mapping[int, str]) -> None:
        nodes = sources.nodes
        given: set[int] = set()
        for at, node in enumerate(nodes):
            filled = node.opcode == "broadcast" and sources.operands[at][0] in given
            if filled or node.opcode in ("constant", "iota"):
                given.add(at)
        self.scopes = dict(scopes)
        self._makers = {
            at: [maker for maker in sources.of(at) if maker not in given]
            for at, node in enumerate(nodes)
            if node.opcode not in opcodes.MAKERS_BEHIND
        }
        self._origins: dict[int, int] = {}
        alike: dict[object, int] = {}
        for at, node in enumerate(nodes):
            makers = tuple(self._origin(maker) for maker in self._makers.get(at, ()))
            if makers and node.opcode in opcodes.SAME_VALUES:
                self._origins[at] = makers[0]
            elif makers:  # XLA computes the same in several fusions
                key = node.opcode, node.instruction.op_name, makers
                self._origins[at] = alike.setdefault(key, at)
        self._scalars = {
            at for at, node in enumerate(nodes) if not node.instruction.shape.dimensions
        }
        sums = opcodes.PRODUCTS | opcodes.REDUCTIONS
        self._sums = {at for at, node in enumerate(nodes) if node.opcode in sums}
        self._weights: dict[int, str] = {}
        self.found: dict[int, str] = {}
        self.gradients: set[int] = set()

    def by_parameters(self, paths: Mapping[int, str]) -> None:
        """Find the ops that read the parameters of one module, as they are or rearranged."""
        self._weights |= paths
        for at, makers in self._makers.items():
            read = {self._weights[maker] for maker in makers if maker in self._weights}
            if len(read) == 1 and at not in self._scalars:
                if all(maker in self._weights for maker in makers):
                    self._weights[at] = next(iter(read))
                if at in self.scopes:
                    self.found[at] = next(iter(read))

    def by_operands(self) -> None:
        """Find the ops that share most operands with those of one module: weight gradients."""
        users: dict[int, set[tuple[str, str]]] = {}
        for at, path in self.found.items():
            for maker in self._activations(at):
                users.setdefault(maker, set()).add((self.scopes[at], path))
        for at, scope in list(self.scopes.items()):
            if at not in self.found and at in (self._makers if scope else self._sums):
                shared = Counter(
                    module
                    for maker in self._activations(at)
                    for module in users.get(maker, ())
                    if scope in ("", module[0])
                ).most_common(2)
                if shared and (len(shared) == 1 or shared[0][1] > shared[1][1]):
                    self.scopes[at], self.found[at] = shared[0][0]
                    self.gradients.add(at)

    def by_neighbours(self) -> None:
        """Find the other ops by those that make their operands, and by those that use them."""
        users: dict[int, list[int]] = {}
        for at, makers in self._makers.items():
            self._like(at, makers)
            for maker in makers:
                users.setdefault(maker, []).append(at)
        for at in reversed(self._makers):
            self._like(at, users.get(at, ()))

    def _activations(self, at: int) -> set[int]:
        return {self._origin(maker) for maker in self._makers[at] if maker not in self._weights}

    def _origin(self, at: int) -> int:
        return self._origins.get(at, at)

    def _like(self, at: int, others: Iterable[int]) -> None:
        if at in self.found or not self.scopes.get(at):
            return
        around, classes = _split(self.scopes[at])
        paths = set()
        for other in others:
            if other in self.found:
                where, deeper = _split(self.scopes[other])
                if where == around and deeper[: len(classes)] == classes:
                    path = self.found[other].split("/")
                    paths.add("/".join(path[: len(path) - len(deeper) + len(classes)]))
        if len(paths) == 1:
            self.found[at] = paths.pop()


def _split(layer: str) -> tuple[str, list[str]]:
    """Split off the classes at the end of a layer."""
    parts = layer.split("/")
    count = len(parts)
    while count and _CLASS.fullmatch(parts[count - 1]):
        count -= 1
    return "/".join(parts[:count]), parts[count:]
