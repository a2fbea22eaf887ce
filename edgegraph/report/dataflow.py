"""Which op really made the value that an op reads.

XLA's graph hands values on through tuples, bitcasts and the borders of fusions, loops and
calls. For the flow between layers only the op that made a value counts, and where it came in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgegraph.results.analysis import Analysis

if TYPE_CHECKING:
    import networkx as nx

    from edgegraph.hlo.module import Computation, Instruction

Path = tuple[int, ...]
"""Position of a value in nested tuples; () is the whole value."""

_HANDED_ON = frozenset(
    {"tuple", "bitcast", "opt-barrier", "after-all", "async-update", "async-done"}
)
_NOTHING = frozenset({"constant", "partition-id", "replica-id"})


class DataFlow:
    """Follows values back to the ops that made them, and remembers what it found.

    Loops are read as one pass: what an iteration hands to the next is left out, so that the
    flow has no cycles.
    """

    def __init__(self, analysis: Analysis) -> None:
        """Index the analysis' graph and module."""
        self.graph: nx.MultiDiGraph[str] = analysis.graph
        self._computations: dict[str, Computation] = dict(analysis.module.computations)
        self._instructions: dict[str, dict[str, Instruction]] = {}
        self._inside: dict[tuple[str | None, str, str], str] = {}
        self.containers: set[str] = set()
        # Conditionals, and what lies inside them: of their branches only one is counted.
        self.branching: set[str] = set()
        for name, node in self.graph.nodes(data=True):
            if node["opcode"] == "conditional" or node["parent"] in self.branching:
                self.branching.add(name)
            self._inside[node["parent"], node["computation"], node["instruction"]] = name
            if node["parent"] is not None:
                self.containers.add(node["parent"])
        self._entry = analysis.module.entry
        self._known: dict[tuple[str, Path], frozenset[str]] = {}

    def instruction(self, name: str) -> Instruction:
        """Give the HLO instruction of a node."""
        node = self.graph.nodes[name]
        computation = node["computation"]
        if computation not in self._instructions:
            self._instructions[computation] = {
                instruction.name: instruction
                for instruction in self._computations[computation].instructions
            }
        return self._instructions[computation][node["instruction"]]

    def operands(self, name: str) -> list[str]:
        """Give the operands of a node by position; one may stand in several."""
        found = [
            (position, operand) for operand, _, position in self.graph.in_edges(name, keys=True)
        ]
        return [operand for _, operand in sorted(found)]

    def sources(self, name: str, path: Path = ()) -> frozenset[str]:
        """Give the ops and entry parameters that made the value of node `name` at `path`."""
        key = (name, path)
        if key not in self._known:
            self._known[key] = self._find(name, path)
        return self._known[key]

    def inputs_of(self, name: str) -> frozenset[str]:
        """Give the ops and entry parameters whose values node `name` reads."""
        return self._union((operand, ()) for operand in self.operands(name))

    def results(self) -> frozenset[str]:
        """Give the ops that made what the program returns."""
        return self.sources(self._root(None, self._entry))

    def _find(self, name: str, path: Path) -> frozenset[str]:
        node = self.graph.nodes[name]
        opcode = node["opcode"]
        if opcode in _NOTHING:
            return frozenset()
        if opcode == "parameter":
            return self._parameter(name, path)
        if opcode == "get-tuple-element":
            index = self.instruction(name).tuple_index or 0
            return self._union((operand, (index, *path)) for operand in self.operands(name))
        if opcode == "tuple" and path:
            return self.sources(self.operands(name)[path[0]], path[1:])
        if opcode in _HANDED_ON:
            return self._union((operand, path) for operand in self.operands(name))
        if name in self.containers:
            return self._container(name, path)
        return frozenset({name})

    def _parameter(self, name: str, path: Path) -> frozenset[str]:
        """Follow a parameter to the operand of its caller."""
        node = self.graph.nodes[name]
        caller = node["parent"]
        if caller is None:
            return frozenset({name})
        operands = self.operands(caller)
        opcode = self.graph.nodes[caller]["opcode"]
        if opcode == "while":
            return self.sources(operands[0], path)
        if opcode == "conditional":
            branch = self.instruction(caller).called.index(node["computation"])
            return self.sources(operands[1 + branch], path)
        return self.sources(operands[self.instruction(name).parameter_number or 0], path)

    def _container(self, name: str, path: Path) -> frozenset[str]:
        """Follow the result of a container to the root of what it runs."""
        called = self.instruction(name).called
        if self.graph.nodes[name]["opcode"] != "conditional":
            called = called[:1]  # a loop's body; its condition gives no value
        return self._union((self._root(name, computation), path) for computation in called)

    def _root(self, parent: str | None, computation: str) -> str:
        return self._inside[parent, computation, self._computations[computation].root]

    def _union(self, wanted: Iterable[tuple[str, Path]]) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        for name, path in wanted:
            found |= self.sources(name, path)
        return found
