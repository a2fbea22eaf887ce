"""Follows the values of a scheduled program through its memory.

Values that have to lie in the same memory, such as what a loop carries, share a storage. Time
counts the ops outside fusions in the order in which they run; an op that calls others comes
after them.

Source: openxla/xla, ``HloDataflowAnalysis``, ``HloAliasAnalysis`` and ``HloLiveRange``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from edgegraph.errors import FormatError
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Alias, Instruction, Module, Shape
from edgegraph.memory.values import Leaves, TupleParts, Value, Values, written_over

_READS_NOTHING = opcodes.TUPLES | {"while"}
"""Ops that pass values on; what a loop is passed has already become what its body is passed."""


def trace_values(module: Module, nodes: Sequence[Node], kept: Container[str]) -> Values:
    """Follow the values of a scheduled module, flattened to `nodes`, through its memory.

    XLA has put copies where two values need memory of their own. `kept` are the arguments that are
    a model's own.
    """
    tracer = _Tracer(module, kept)
    for node in nodes:
        # The ops inside fusions have no memory of their own.
        if node.parent in tracer.inside:
            tracer.visit(node)
    return tracer.finish()


@dataclass(slots=True)
class _Open:
    """A container of which `computation` is being visited; those before it return `roots`."""

    node: Node
    operands: tuple[Leaves, ...]
    computation: str = ""
    roots: dict[str, Leaves] = field(default_factory=dict)


class _Tracer:
    """What is known after the nodes visited so far."""

    def __init__(self, module: Module, kept: Container[str]) -> None:
        self._module = module
        self._kept = kept
        self._roots = {c.name: c.root for c in module.computations.values()}
        self._open: list[_Open] = []
        self.inside: set[str | None] = {None}
        self._values: list[Value] = []
        self._same: list[int] = []
        self._order: list[Node] = []
        self._arguments: dict[int, Leaves] = {}
        self._constants: list[int] = []
        self.parts = TupleParts()
        self.leaves: dict[str, Leaves] = {}
        self.shapes: dict[str, Shape] = {}

    def visit(self, node: Node) -> None:
        """Take the next node."""
        while self._open and self._open[-1].node.name != node.parent:
            self._close(self._open.pop())
        if self._open and self._open[-1].computation != node.computation:
            self._enter(self._open[-1], node.computation)
        opcode = node.opcode
        if opcode in opcodes.CALLERS:
            operands = tuple([self.leaves[name] for name in node.operands])
            self._open.append(_Open(node=node, operands=operands))
            self.inside.add(node.name)
        else:
            self._run(node, _RULES.get(opcode, _Tracer.make)(self, node))

    def finish(self) -> Values:
        """Close what is open; what the program returns stays alive to its end."""
        while self._open:
            self._close(self._open.pop())
        root = self._module.computations[self._module.entry].root
        outputs = self.leaves[root]
        self._keep(outputs)
        entry = self._module.computations[self._module.entry]
        arguments = {each.parameter_number: each for each in entry.instructions}
        for donation in self._module.donated:
            self._donate(donation, arguments[donation.operand], root)
        for value in self._values:
            value.storage = self._find(value.storage)
        return Values(
            all=self._values,
            nodes=self._order,
            leaves=self.leaves,
            shapes=self.shapes,
            arguments=tuple(number for leaves in self._arguments.values() for number in leaves),
            constants=tuple(self._constants),
            outputs=outputs,
        )

    def make(self, node: Node) -> Leaves:
        """Place a result in memory of its own, or in that of the operands it is written over."""
        instruction = node.instruction
        over: dict[int, int] = {}
        for alias in written_over(self._module, instruction):
            operand = node.operands[alias.operand]
            written = self.parts.part(instruction.shape, alias.output_index)
            given = self.parts.part(self.shapes[operand], alias.operand_index)
            for position, place in zip(written, given, strict=False):
                over[position] = self._values[self.leaves[operand][place]].storage
        return self.new(node, self.parts.leaves(instruction.shape), over)

    def new(self, node: Node, shapes: Sequence[Shape], over: Mapping[int, int] = {}) -> Leaves:
        """Make values that depend on the node's operands, some of them `over` known memory."""
        from_input = any(
            self._values[number].from_input for o in node.operands for number in self.leaves[o]
        )
        return tuple(
            [
                self._value(node, shape, over.get(place), from_input)
                for place, shape in enumerate(shapes)
            ]
        )

    def parameter(self, node: Node) -> Leaves:
        """Return what the container hands over."""
        instruction = node.instruction
        number = instruction.parameter_number or 0
        if not self._open:
            from_input = node.name not in self._kept
            shapes = self.parts.leaves(instruction.shape)
            leaves = tuple([self._value(node, shape, None, from_input) for shape in shapes])
            self._arguments[number] = leaves
            return leaves
        container = self._open[-1]
        called = container.node.instruction
        if called.opcode == "while":
            return self._pass_on(node, container.operands[0], container.operands[0])
        if called.opcode == "conditional":
            number = 1 + called.called.index(node.computation)
        return container.operands[number]

    def constant(self, node: Node) -> Leaves:
        """Note a constant."""
        leaves = self.make(node)
        self._constants.extend(leaves)
        return leaves

    def loop_result(self, container: _Open, roots: Sequence[Leaves]) -> Leaves:
        """Join what a loop is passed with what its body makes of it."""
        given, made = container.operands[0], roots[0]
        leaves = self._pass_on(container.node, given, made)
        self._use(made)
        self._join(given, made)
        return leaves

    def branch_result(self, container: _Open, roots: Sequence[Leaves]) -> Leaves:
        """Join what the branches make."""
        leaves = roots[0]
        for made in roots:
            leaves = self._pass_on(container.node, roots[0], made)
            self._join(roots[0], made)
        return leaves

    def start_result(self, container: _Open, roots: Sequence[Leaves]) -> Leaves:
        """Return the operands, the result, and what else the backend keeps."""
        known = tuple(number for leaves in container.operands for number in leaves) + roots[0]
        shapes = self.parts.leaves(container.node.instruction.shape)
        return known + self.new(container.node, shapes[len(known) :])

    def _value(self, node: Node, shape: Shape, storage: int | None, from_input: bool) -> int:
        if storage is None:
            storage = len(self._same)
            self._same.append(storage)
        now = len(self._order)
        self._values.append(
            Value(
                node=node, shape=shape, storage=storage, start=now, end=now, from_input=from_input
            )
        )
        return len(self._values) - 1

    def _pass_on(self, node: Node, given: Leaves, made: Leaves) -> Leaves:
        """Make values in the memory of `given` that hold this or what was `made` there."""
        shapes = self.parts.leaves(node.instruction.shape)
        if not len(shapes) == len(given) == len(made):
            raise FormatError(
                f"HLO {node.opcode} {node.name!r}: its result has {len(shapes)} arrays, but it is"
                f" passed {len(given)} and gets {len(made)} back"
            )
        pairs = [
            (self._values[old], self._values[new]) for old, new in zip(given, made, strict=True)
        ]
        return tuple(
            [
                self._value(node, shape, old.storage, old.from_input or new.from_input)
                for shape, (old, new) in zip(shapes, pairs, strict=True)
            ]
        )

    def _run(self, node: Node, leaves: Leaves) -> None:
        """Run an op: what it reads is alive until then."""
        instruction = node.instruction
        if instruction.opcode not in _READS_NOTHING:
            for name in node.operands:
                self._use(self.leaves[name])
        if len(leaves) != len(self.parts.leaves(instruction.shape)):
            raise FormatError(
                f"HLO {instruction.opcode} {node.name!r}: its shape {instruction.shape} does not"
                f" have the {len(leaves)} arrays of its result"
            )
        self._order.append(node)
        self.leaves[node.name] = leaves
        self.shapes[node.name] = instruction.shape
        if self._open and self._roots[node.computation] == instruction.name:
            self._open[-1].roots[node.computation] = leaves

    def _use(self, leaves: Leaves) -> None:
        now = len(self._order)
        for number in leaves:
            self._values[number].end = now

    def _keep(self, leaves: Leaves) -> None:
        """Keep values alive until the op that ran last."""
        for number in leaves:
            self._values[number].end = len(self._order) - 1

    def _enter(self, container: _Open, computation: str) -> None:
        self._leave(container)
        container.computation = computation
        called = container.node.instruction
        if called.opcode == "while" and computation == called.called[0]:
            # From here on the memory holds what the body makes of it.
            self._use(container.operands[0])

    def _leave(self, container: _Open) -> None:
        """Keep a computation's result to its end."""
        self._keep(container.roots.get(container.computation, ()))

    def _close(self, container: _Open) -> None:
        """Run a container, after all that it holds."""
        self._leave(container)
        node = container.node
        roots = [container.roots[computation] for computation in node.instruction.called]
        self._run(node, _RESULTS[node.opcode](self, container, roots))

    def _find(self, storage: int) -> int:
        same = self._same
        while same[storage] != storage:
            same[storage] = same[same[storage]]
            storage = same[storage]
        return storage

    def _join(self, first: Leaves, second: Leaves) -> None:
        """Place values in the same memory, pair by pair."""
        for one, other in zip(first, second, strict=True):
            low, high = sorted(
                (self._find(self._values[one].storage), self._find(self._values[other].storage))
            )
            self._same[high] = low

    def _donate(self, donation: Alias, argument: Instruction, root: str) -> None:
        """Place a part of the result in the memory of an argument."""
        made = self.parts.part(self.shapes[root], donation.output_index)
        given = self.parts.part(argument.shape, donation.operand_index)
        if len(made) != len(given):
            raise FormatError(
                f"HLO module {self._module.name!r}: a result of {len(made)} arrays cannot take the"
                f" memory of {argument.name!r}, which has {len(given)}"
            )
        self._join(
            self.leaves[root][made.start : made.stop],
            self._arguments[donation.operand][given.start : given.stop],
        )


def _forward(tracer: _Tracer, node: Node) -> Leaves:
    return tracer.leaves[_operand(node)]


def _operand(node: Node) -> str:
    if not node.operands:
        raise FormatError(f"HLO {node.opcode} {node.name!r}: it has no operand")
    return node.operands[0]


def _tuple(tracer: _Tracer, node: Node) -> Leaves:
    return tuple([number for name in node.operands for number in tracer.leaves[name]])


def _operand_part(tracer: _Tracer, node: Node, index: int) -> Leaves:
    operand = _operand(node)
    part = tracer.parts.part(tracer.shapes[operand], (index,))
    return tracer.leaves[operand][part.start : part.stop]


_Rule = Callable[[_Tracer, Node], Leaves]


def _start(index: int) -> _Rule:
    """Make the rule of an op that starts a transfer: part `index` of its result is the operand."""

    def rule(tracer: _Tracer, node: Node) -> Leaves:
        shape = node.instruction.shape
        if index >= len(shape.elements):
            return tracer.make(node)
        part = tracer.parts.part(shape, (index,))
        sent = _tuple(tracer, node)
        if len(sent) != len(part):
            sent = _forward(tracer, node)
        leaves = tracer.parts.leaves(shape)
        before, after = leaves[: part.start], leaves[part.stop :]
        return tracer.new(node, before) + sent + tracer.new(node, after)

    return rule


def _done(index: int) -> _Rule:
    """Make the rule of an op that waits for a transfer: its result is that part of its operand."""

    def rule(tracer: _Tracer, node: Node) -> Leaves:
        if index >= len(tracer.shapes[_operand(node)].elements):
            return tracer.make(node)
        found = _operand_part(tracer, node, index)
        expected = tracer.parts.leaves(node.instruction.shape)
        return found + tracer.new(node, expected[len(found) :])

    return rule


_FORWARDING = (
    "add-dependency", "all-reduce-done", "async-update", "bitcast", "domain", "opt-barrier"
)  # fmt: skip

_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_FORWARDING, _forward),
    "parameter": _Tracer.parameter,
    "constant": _Tracer.constant,
    "tuple": _tuple,
    "get-tuple-element": lambda tracer, node: _operand_part(
        tracer, node, node.instruction.tuple_index or 0
    ),
    "copy-start": _start(1),
    "all-gather-start": _start(0),
    "collective-permute-start": _start(0),
    "send": _start(0),
    "copy-done": _done(0),
    "recv-done": _done(0),
    "all-gather-done": _done(1),
    "collective-permute-done": _done(1),
    "async-done": _done(1),
}

_RESULTS: Mapping[str, Callable[[_Tracer, _Open, Sequence[Leaves]], Leaves]] = {
    "while": _Tracer.loop_result,
    "conditional": _Tracer.branch_result,
    "call": lambda tracer, container, roots: roots[0],
    "async-start": _Tracer.start_result,
}
