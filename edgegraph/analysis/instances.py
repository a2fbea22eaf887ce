"""Which of several modules of one class an op is of.

Equinox names scopes after classes (``eqx.nn.Linear``), and arguments by their path in the model
(``m.a.weight``). The ops that read a module's parameters are its own, and with them those of its
scope that share their operands, and those before and behind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edgegraph.analysis.sources import Sources
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_name import parse_op_name
from edgegraph.hlo.parameters import ParameterName
from edgegraph.results.timing import LayerLatency

_CLASS = re.compile(r"eqx\.\w+\.\w+")


def is_class(layer: str | None) -> bool:
    """Return whether a layer is named after a class."""
    return layer is not None and _CLASS.fullmatch(layer.rpartition("/")[2]) is not None


def name_instances(
    nodes: Sequence[Node],
    layers: Mapping[str, str | None],
    parameters: Mapping[str, ParameterName],
) -> Mapping[str, str]:
    """Name the layer of each op in a layer that is named after a class, as far as one can tell."""
    scopes = {name: layer for name, layer in layers.items() if layer and is_class(layer)}
    if not scopes:
        return {}
    search = _Search(nodes, scopes)
    search.by_parameters(parameters)
    for _ in range(2):  # what shares an operand with what shared one
        search.by_operands()
    for _ in range(2):
        search.by_neighbours()
    return {
        name: f"{_split(scopes[name])[0]}/{path}".strip("/")
        for name, path in search.found.items()
        if path
    }


def covering_instances(
    latencies: Sequence[LayerLatency], nodes: Sequence[Node], layers: Mapping[str, str | None]
) -> tuple[LayerLatency, ...]:
    """Say of layers that were timed by the names of classes which modules they cover.

    `layers` are those that the ops were found to be in, by name.
    """
    named: dict[tuple[str, str], dict[str, None]] = {}
    for node in nodes:
        said, layer = parse_op_name(node.instruction.op_name), layers[node.name]
        if said.layer and layer and is_class(said.layer) and node.opcode not in opcodes.CONTAINERS:
            named.setdefault((said.layer, said.phase), {})[layer] = None
    found = []
    for each in latencies:
        own = (each.layer, *each.covers)
        covers = [layer for scope in own for layer in named.get((scope, each.phase), ())]
        found.append(replace(each, covers=tuple(dict.fromkeys([*each.covers, *covers]))))
    return tuple(found)


class _Search:
    """What is found of each op: the path of its module."""

    def __init__(self, nodes: Sequence[Node], scopes: Mapping[str, str]) -> None:
        sources = Sources(nodes)
        given = {node.name for node in nodes if node.opcode in ("constant", "iota")}
        self._scopes = scopes
        self._makers = {
            node.name: [maker for maker in sources.of(node) if maker not in given]
            for node in nodes
            if node.opcode not in opcodes.MAKERS_BEHIND
        }
        self._weights: dict[str, str] = {}
        self.found: dict[str, str] = {}

    def by_parameters(self, parameters: Mapping[str, ParameterName]) -> None:
        """Find the ops that read the parameters of one module, as they are or rearranged."""
        self._weights |= {name: parameter.path for name, parameter in parameters.items()}
        for name, makers in self._makers.items():
            read = {self._weights[maker] for maker in makers if maker in self._weights}
            if len(read) == 1:
                if all(maker in self._weights for maker in makers):
                    self._weights[name] = next(iter(read))
                if name in self._scopes:
                    self.found[name] = next(iter(read))

    def by_operands(self) -> None:
        """Find the ops that share most operands with those of one module: weight gradients."""
        users: dict[tuple[str, str], set[str]] = {}
        for name, path in self.found.items():
            for maker in self._activations(name):
                users.setdefault((self._scopes[name], maker), set()).add(path)
        for name, scope in self._scopes.items():
            if name not in self.found and name in self._makers:
                shared = Counter(
                    path
                    for maker in self._activations(name)
                    for path in users.get((scope, maker), ())
                ).most_common(2)
                if shared and (len(shared) == 1 or shared[0][1] > shared[1][1]):
                    self.found[name] = shared[0][0]

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
        return {maker for maker in self._makers[name] if maker not in self._weights}

    def _like(self, name: str, others: Iterable[str]) -> None:
        if name in self.found or name not in self._scopes:
            return
        around, classes = _split(self._scopes[name])
        paths = set()
        for other in others:
            if other in self.found:
                where, deeper = _split(self._scopes[other])
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
