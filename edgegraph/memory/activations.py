"""How much memory the activations of a program need, by the rules that papers use.

The program is taken as the model was written, before XLA's optimisation. Convolutions, matrix
products, pools, other reductions and sums of two activations are layers; ReLU, batch
normalisation and all that is elementwise happen in place. What XLA really allocates after fusing
stands in the program's memory statistics.

An activation is a value that depends on the program's inputs, the image among them; parameters and
other state of the model are none. Reshapes, transposes, slices and broadcasts are views: the next
op reads them by index, and nothing is stored. Elementwise ops wait: a chain of them, such as
normalisation and GELU, is computed in one pass when an op reads its result that cannot compute it
on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from edgegraph.base.timing import bulk
from edgegraph.errors import InputError
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.module import Module, Shape
from edgegraph.hlo.op_name import parse_op_name, qualify_op_name
from edgegraph.hlo.parameters import model_arguments

Policy = Literal["in_out", "inplace_depthwise", "liveness"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""Which activations a layer needs.

- ``in_out``: a layer needs its inputs and its output. What other layers hold for later, such
  as a residual, is left out. This is the rule of lectures (EfficientML, lecture 2).
- ``inplace_depthwise``: the same, but a depthwise convolution writes each channel over its
  input and needs only the larger of the two (MCUNetV2).
- ``liveness``: everything that a later op still reads is held as well, and an elementwise op
  copies what it may not overwrite.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerActivations:
    """What one layer needs while it runs, by the policy; `name` is that of its op in the graph."""

    name: str
    layer: str | None
    opcode: str
    output_elements: int
    elements: int
    bytes: int


def activation_peaks(module: Module) -> Mapping[Policy, LayerActivations] | None:
    """Find the layer that needs most, by policy; None without layers, or in an optimised module."""
    if any(
        instruction.opcode == "fusion"
        for computation in module.computations.values()
        for instruction in computation.instructions
    ):
        return None
    flow = trace_activations(module)
    every = {policy: activations(flow, policy) for policy in POLICIES}
    if not all(every.values()):
        return None
    return {policy: max(each, key=lambda layer: layer.bytes) for policy, each in every.items()}


def activations(flow: Dataflow, policy: Policy) -> tuple[LayerActivations, ...]:
    """Return what every layer needs under a policy, in order of execution."""
    sizes = [_Size.of(shape) for shape in flow.shapes]
    if policy == "liveness":
        return _held_by_liveness(flow, sizes)
    return _held_by_layer(flow, sizes, inplace_depthwise=policy == "inplace_depthwise")


@dataclass(frozen=True, slots=True, order=True)
class _Size:
    """Size of an activation, or of several together."""

    bytes: int = 0
    elements: int = 0

    @classmethod
    def of(cls, shape: Shape) -> _Size:
        return cls(shape.bytes, sum(leaf.size for leaf in shape.leaves()))

    def __add__(self, other: _Size) -> _Size:
        return _Size(self.bytes + other.bytes, self.elements + other.elements)

    def __sub__(self, other: _Size) -> _Size:
        return _Size(self.bytes - other.bytes, self.elements - other.elements)


_NOTHING = _Size()


def _layer(step: Step, output: _Size, needed: _Size) -> LayerActivations:
    return LayerActivations(
        name=step.name,
        layer=step.layer,
        opcode=step.opcode,
        output_elements=output.elements,
        elements=needed.elements,
        bytes=needed.bytes,
    )


def _is_layer(step: Step) -> bool:
    """Return whether an op is a layer of its own, not one that happens in place."""
    return step.makes is not None and (step.joins or not step.in_place)


def _held_by_layer(
    flow: Dataflow, sizes: list[_Size], *, inplace_depthwise: bool
) -> tuple[LayerActivations, ...]:
    """Return the inputs and the output of every layer."""
    layers = []
    for step in flow.steps:
        if step.makes is None or not _is_layer(step):
            continue
        inputs = sum((sizes[number] for number in step.reads), _NOTHING)
        output = sizes[step.makes]
        if step.in_place:
            needed = inputs
        elif step.depthwise and inplace_depthwise:
            needed = max(inputs, output)
        else:
            needed = inputs + output
        layers.append(_layer(step, output, needed))
    return tuple(layers)


def _held_by_liveness(flow: Dataflow, sizes: list[_Size]) -> tuple[LayerActivations, ...]:
    """Hold every activation from the op that makes it to the last that reads it."""
    last_read = dict.fromkeys(range(len(sizes)), -1)
    for position, step in enumerate(flow.steps):
        last_read.update(dict.fromkeys(step.reads, position))
    last_read.update(dict.fromkeys(flow.outputs, len(flow.steps)))

    buffers = {number: sizes[number] for number in flow.inputs if last_read[number] >= 0}
    live = sum(buffers.values(), _NOTHING)
    layers = []
    for position, step in enumerate(flow.steps):
        dying = [number for number in step.reads if last_read[number] == position]
        made = step.makes
        if made is not None:
            overwritten = _overwritten(step, dying, buffers, sizes[made])
            if overwritten is None:
                buffers[made] = sizes[made]
                live += sizes[made]
            else:
                buffers[made] = buffers.pop(overwritten)
                dying.remove(overwritten)
            if overwritten is None or _is_layer(step):
                layers.append(_layer(step, sizes[made], live))
            if last_read[made] < 0:
                dying.append(made)
        for number in dying:
            live -= buffers.pop(number)
    return tuple(layers)


def _overwritten(
    step: Step, dying: list[int], buffers: Mapping[int, _Size], needed: _Size
) -> int | None:
    """Choose the smallest operand that an op may write over: large enough, and read by no other."""
    if not step.in_place:
        return None
    fitting = [number for number in dying if buffers[number] >= needed]
    return min(fitting, key=lambda number: buffers[number], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One op that reads or makes activations, each once.

    Attributes:
        makes: The activation that it makes; None where it writes into the model's state.
        in_place: Whether it may write its result over an operand.
        joins: Whether it computes each element from several activations, such as a residual sum.
        depthwise: Whether it is a convolution of every channel by itself.
    """

    name: str
    layer: str | None
    opcode: str
    reads: tuple[int, ...]
    makes: int | None
    in_place: bool
    joins: bool
    depthwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataflow:
    """The activations of a program by number, and the ops between them in order of execution."""

    shapes: tuple[Shape, ...]
    inputs: tuple[int, ...]
    outputs: frozenset[int]
    steps: tuple[Step, ...]


@bulk
def trace_activations(module: Module) -> Dataflow:
    """Follow activations through a module before optimisation, not inside loops and branches."""
    nodes = flatten(module)
    tracer = _Tracer(module, model_arguments(nodes).held)
    for node in nodes:
        tracer.visit(node)
    outputs = tracer.store(tracer.held[module.computations[module.entry].root])
    return Dataflow(
        shapes=tuple(tracer.shapes),
        inputs=tuple(tracer.inputs),
        outputs=frozenset(outputs),
        steps=tuple(tracer.steps),
    )


@dataclass(slots=True, eq=False)
class _Waiting:
    """The result of elementwise ops, by the last of them; it has a number once it is stored."""

    node: Node
    reads: tuple[int, ...]
    number: int | None = None


_Held = int | _Waiting


@dataclass(slots=True)
class _Tracer:
    """What is known after the nodes visited so far."""

    module: Module
    kept: frozenset[str]
    """Arguments that are no activations: parameters and state."""
    shapes: list[Shape] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    held: dict[str, tuple[_Held, ...]] = field(default_factory=dict)
    """Activations behind each node's result; empty for weights and constants."""
    members: dict[str, tuple[tuple[_Held, ...], ...]] = field(default_factory=dict)
    """The same for each element of a tuple."""
    calls: dict[str, Node] = field(default_factory=dict)
    op_names: dict[str, str] = field(default_factory=dict)
    """Complete op_names of the calls."""
    hidden: set[str] = field(default_factory=set)
    """Loops and conditionals, and the nodes inside them."""

    def visit(self, node: Node) -> None:
        """Take the next node in order of execution."""
        opcode = node.opcode
        if node.parent in self.hidden:
            self.hidden.add(node.name)
        elif opcode == "fusion":
            raise InputError(
                f"module {self.module.name!r} is optimised: its fusion {node.name!r} hides which"
                " values are stored; give the module of stage='lowered'"
            )
        elif opcode == "call":
            self.calls[node.name] = node
            self.op_names[node.name] = self._op_name(node)
        elif opcode == "parameter":
            self._take_parameter(node)
        elif opcode == "tuple":
            members = tuple(self.held[operand] for operand in node.operands)
            self._define(node, _distinct(members), members)
        elif opcode == "get-tuple-element":
            self._take_element(node)
        else:
            self._compute(node)

    def store(self, held: Sequence[_Held]) -> tuple[int, ...]:
        """Return the numbers of activations, and number what was only waiting."""
        numbers = []
        for one in held:
            if isinstance(one, _Waiting):
                if one.number is None:
                    one.number = self._new(one.node.instruction.shape)
                    self._step(one.node, one.reads, one.number, in_place=True)
                one = one.number
            numbers.append(one)
        return tuple(dict.fromkeys(numbers))

    def _read_through(self, held: Sequence[_Held]) -> tuple[int, ...]:
        """Return the stored activations that all of these can be computed from."""
        numbers: list[int] = []
        for one in held:
            if isinstance(one, int):
                numbers.append(one)
            elif one.number is not None:
                numbers.append(one.number)
            else:
                numbers.extend(one.reads)
        return tuple(dict.fromkeys(numbers))

    def _take_parameter(self, node: Node) -> None:
        instruction = node.instruction
        if node.parent is not None:
            number = instruction.parameter_number
            assert number is not None  # it is a parameter
            operand = self.calls[node.parent].operands[number]
            self._define(node, self.held[operand], self.members.get(operand))
        elif node.name in self.kept:
            self._define(node, ())
        else:
            self.inputs.append(self._new(instruction.shape))
            self._define(node, (self.inputs[-1],))

    def _take_element(self, node: Node) -> None:
        (operand,) = node.operands
        members, index = self.members.get(operand), node.instruction.tuple_index
        known = self.held[operand] if members is None or index is None else members[index]
        self._define(node, known)

    def _compute(self, node: Node) -> None:
        opcode = node.opcode
        if opcode in opcodes.CONTAINERS:
            self.hidden.add(node.name)
        held = _distinct(self.held[operand] for operand in node.operands)
        if not held or opcode in opcodes.VIEWS:
            self._define(node, held)
        elif opcode in opcodes.ELEMENTWISE:
            waiting = _Waiting(node, self._read_through(held))
            if self._joins(node, waiting.reads):
                # Were sums to wait too, all that a residual stream ever added would have to be
                # held.
                self.store((waiting,))
            self._define(node, (waiting,))
        elif opcode == "dynamic-update-slice" and not self.held[node.operands[0]]:
            # A cache that is updated is state, and stays state.
            self._step(node, self._read_through(held), None, in_place=True)
            self._define(node, ())
        else:
            updates = opcode == "dynamic-update-slice"
            through = updates or opcode in opcodes.READS_THROUGH
            reads = self._read_through(held) if through else self.store(held)
            made = self._new(node.instruction.shape)
            self._step(node, reads, made, in_place=updates)
            self._define(node, (made,))

    def _joins(self, node: Node, reads: tuple[int, ...]) -> bool:
        size = node.instruction.shape.size
        return sum(self.shapes[number].size >= size for number in reads) > 1

    def _step(
        self, node: Node, reads: tuple[int, ...], makes: int | None, *, in_place: bool
    ) -> None:
        self.steps.append(
            Step(
                name=node.name,
                layer=parse_op_name(self._op_name(node)).layer,
                opcode=node.opcode,
                reads=reads,
                makes=makes,
                in_place=in_place,
                joins=in_place and makes is not None and self._joins(node, reads),
                depthwise=_is_depthwise(node),
            )
        )

    def _define(
        self,
        node: Node,
        held: tuple[_Held, ...],
        members: tuple[tuple[_Held, ...], ...] | None = None,
    ) -> None:
        """Set what a node holds, and with it what a call holds whose result it is."""
        while True:
            self.held[node.name] = held
            if members is not None:
                self.members[node.name] = members
            root = self.module.computations[node.computation].root
            if node.parent is None or node.instruction.name != root:
                return
            node = self.calls[node.parent]

    def _new(self, shape: Shape) -> int:
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def _op_name(self, node: Node) -> str:
        container = "" if node.parent is None else self.op_names[node.parent]
        return qualify_op_name(node.instruction.op_name, container)


def _is_depthwise(node: Node) -> bool:
    """Return whether a convolution has as many groups as input and output channels."""
    instruction = node.instruction
    if instruction.opcode != "convolution" or instruction.convolution is None:
        return False
    outputs = instruction.shape.dimensions[instruction.convolution.output_feature]
    return instruction.feature_group_count == outputs > 1


def _distinct(groups: Iterable[Sequence[_Held]]) -> tuple[_Held, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group))
