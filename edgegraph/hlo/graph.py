"""From a module to the graph of what executes.

`flatten` lists every instruction instance once, nested under the instruction that calls it;
`build_graph` makes that list a networkx graph. Everything that annotates ops works on the
list; everything that walks edges works on the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgegraph.base.timing import bulk
from edgegraph.errors import FormatError
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Computation, Instruction, Module, Shape

if TYPE_CHECKING:
    import networkx as nx

MAX_NODES = 100_000
"""A file that expands into more ops than this, and more than `MAX_EXPANSION` times what it holds,
is refused instead of filling the memory: what is computed of an op takes about 3 KB."""

MAX_EXPANSION = 4
"""In how many places the instructions of a large module may execute, on average."""

_LEAVES_PER_OP = 16
"""An op whose result is a tuple of so many arrays counts as one more."""


class Node(Struct, frozen=True, kw_only=True, gc=False):
    """One instruction where it executes.

    Attributes:
        name: The instruction's name, or ``caller/name`` where its computation is called from
            several places.
        parent: Name of the node that calls its computation; None in the entry computation.
        operands: Names of the operand nodes, by position.
        position: Place in the order of execution, counted over the whole module.
    """

    name: str
    opcode: str
    instruction: Instruction
    computation: str
    parent: str | None
    operands: tuple[str, ...]
    position: int


@bulk
def flatten(module: Module) -> tuple[Node, ...]:
    """List every executing instruction, containers before their contents, in schedule order.

    A module is refused that is small and expands into more than `MAX_NODES` ops.
    """
    _check_expansion(module)
    shared = _computations_called_twice(module)
    nodes: list[Node] = []
    # An explicit stack: nesting in a file must not exhaust Python's.
    stack: list[tuple[Iterator[Instruction], str, str | None, str]] = [
        (_in_order(module, module.computations[module.entry]), module.entry, None, "")
    ]
    while stack:
        instructions, computation, parent, prefix = stack[-1]
        instruction = next(instructions, None)
        if instruction is None:
            stack.pop()
            continue
        name = prefix + instruction.name
        operands = instruction.operands
        if prefix:
            operands = tuple(prefix + operand for operand in operands)
        nodes.append(
            Node(
                name=name,
                opcode=instruction.opcode,
                instruction=instruction,
                computation=computation,
                parent=parent,
                operands=operands,
                position=len(nodes),
            )
        )
        if instruction.opcode in opcodes.CONTAINERS:
            for number, called in reversed([*enumerate(instruction.called)]):
                inner_prefix = f"{name}/" if prefix or called in shared else ""
                if instruction.called.count(called) > 1:
                    inner_prefix = f"{name}/{number}/"
                order = _in_order(module, module.computations[called])
                stack.append((order, called, name, inner_prefix))
    return tuple(nodes)


def _check_expansion(module: Module) -> None:
    """Add up how many ops every computation expands into, callees before callers."""
    leaves: dict[int, int] = {}

    def count(shape: Shape) -> int:
        # Decoding makes one object of equal shapes, and the module keeps it alive.
        if id(shape) not in leaves:
            leaves[id(shape)] = sum(map(count, shape.elements)) if shape.elements else 1
        return leaves[id(shape)]

    held = 0
    expanded: dict[str, int] = {}
    for name, computation in module.computations.items():
        tuples = [i.shape for i in computation.instructions if i.shape.elements]
        own = len(computation.instructions)
        own += sum(count(shape) // _LEAVES_PER_OP for shape in tuples)
        held += own
        expanded[name] = own + sum(
            expanded[called]
            for instruction in computation.instructions
            if instruction.opcode in opcodes.CONTAINERS
            for called in instruction.called
        )
    most = max(MAX_NODES, MAX_EXPANSION * held)
    if expanded[module.entry] > most:
        raise FormatError(
            f"module {module.name!r} expands into more than {most:,} ops; its computations call"
            " each other too often to be drawn one by one"
        )


def _computations_called_twice(module: Module) -> frozenset[str]:
    """Name the computations whose instructions execute in several places."""
    calls = Counter(
        called
        for computation in module.computations.values()
        for instruction in computation.instructions
        if instruction.opcode in opcodes.CONTAINERS
        for called in instruction.called
    )
    return frozenset(name for name, count in calls.items() if count > 1)


def _in_order(module: Module, computation: Computation) -> Iterator[Instruction]:
    """Iterate in schedule order where XLA scheduled, else operands before users."""
    scheduled = module.schedule.get(computation.name)
    if scheduled is None:
        return iter(computation.instructions)
    by_name = {instruction.name: instruction for instruction in computation.instructions}
    return iter([by_name[name] for name in scheduled])


@bulk
def build_graph(module: Module) -> nx.MultiDiGraph[str]:
    """Build the graph of what executes.

    It has one node per executing instruction, inserted in schedule order, with ``opcode``,
    ``instruction`` (the HLO name), ``computation``, ``parent``, ``position``, ``shape``, ``dtype``,
    ``bytes``, ``op_name`` and ``source``. Edges run from operand to user, keyed by operand
    position, with ``shape``, ``dtype`` and ``bytes`` of the value.
    """
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=module.name)
    nodes = flatten(module)
    shapes = {node.name: node.instruction.shape for node in nodes}
    written: dict[int, dict[str, Any]] = {}

    def value(shape: Shape) -> dict[str, Any]:
        # Decoding makes one object of equal shapes, so that repeated layers cost nothing.
        if id(shape) not in written:
            written[id(shape)] = {"shape": str(shape), "dtype": shape.dtype, "bytes": shape.bytes}
        return written[id(shape)]

    for node in nodes:
        instruction = node.instruction
        graph.add_node(
            node.name,
            opcode=instruction.opcode,
            instruction=instruction.name,
            computation=node.computation,
            parent=node.parent,
            position=node.position,
            **value(instruction.shape),
            op_name=instruction.op_name,
            source=instruction.source,
        )
    for node in nodes:
        for position, operand in enumerate(node.operands):
            graph.add_edge(operand, node.name, key=position, **value(shapes[operand]))
    return graph
