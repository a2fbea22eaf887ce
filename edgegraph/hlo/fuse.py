"""What one kernel would do, of a module before optimisation: a plain model of fusion.

This host's compiler makes kernels for this host: its libraries may run a small network whole. What
another device moves is better told by a model that is stated:

- Ops element by element, and those that only bring elements to other places, run in the kernel that
  reads them, where it is only one; scalar constants and iotas in each.
- A product, reduction or pooling begins a kernel: it reads its operands once, and its result is
  written once, after the ops that follow it element by element. Two never share a kernel.
- A reduction of fewer than 32 elements, such as a sum over three coordinates, is done for each
  element of its result like any op element by element, as XLA does for GPUs (a warp has 32).
- What a plain reduction adds up is computed while it reads; a product reads its operands in any
  order and dtype. All else before them, and before pooling, is written first.
- A reshape alone does nothing. Calls are inlined; loops and branches hold kernels of their own.
- Sorts, gathers, scatters, Fourier transforms, random bits and library calls stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import count
from math import prod

from edgegraph.hlo import opcodes
from edgegraph.hlo.schema import HloModuleProto, Proto

_TUPLE = 13
"""Element type of tuples (``xla_data.proto``)."""

_BEGINNERS = opcodes.PRODUCTS | opcodes.REDUCTIONS
"""They begin a kernel,"""

_SHORT = 32
"""but not a plain reduction of fewer elements."""

_KERNELS = opcodes.SHARES_A_KERNEL | _BEGINNERS
"""What a kernel may be made of."""

_AS_READ = opcodes.SAME_VALUES | {"dynamic-slice"}
"""Ways in which a product reads its operands."""


def fused(serialized: bytes) -> bytes:
    """Return a HloModuleProto before optimisation with its kernels as fusions.

    Example:
        >>> import jax, edgegraph as eg
        >>> from edgegraph.hlo.decode import decode
        >>> x = jax.ShapeDtypeStruct((8, 8), "float32")
        >>> program = eg.compile(lambda x: jax.numpy.tanh(x @ x) + 1, x, stage="lowered")
        >>> module = decode(fused(program.serialized))
        >>> [each.opcode for each in module.computations[module.entry].instructions]
        ['parameter', 'fusion']
    """
    module = HloModuleProto.FromString(serialized)
    return bytes(_Fuser(module).result().SerializeToString())


class _Fuser:
    """Writes the computations of one module anew, those called before their callers."""

    def __init__(self, module: Proto) -> None:
        self._module = module
        self._bodies = {each.id: each for each in module.computations}
        instructions = [each for body in module.computations for each in body.instructions]
        self._ids = count(max(each.id for each in instructions) + 1)
        self._body_ids = count(max(self._bodies) + 1)
        self._names = {each.name for each in [*instructions, *module.computations]}
        self._numbers: dict[str, Iterator[int]] = {}
        self._written: dict[int, Proto] = {}

    def result(self) -> Proto:
        self._write(self._module.entry_computation_id)
        del self._module.computations[:]
        self._module.computations.extend(self._written.values())
        for body in self._module.computations:
            _renumber(body)
        return self._module

    def _write(self, number: int) -> None:
        """Write a computation that is run, and before it what it calls."""
        body = self._bodies[number]
        instructions, root = self._inlined(body)
        for each in instructions:
            for called in each.called_computation_ids:
                if called not in self._written:
                    if each.opcode in opcodes.CONTAINERS:
                        self._write(called)
                    else:
                        self._written[called] = self._bodies[called]
        kernels = self._kernels(_live(instructions, root), root)
        del body.instructions[:]
        body.instructions.extend(kernels)
        body.root_id = root
        self._written[number] = body

    def _inlined(
        self, body: Proto, operands: Sequence[int] | None = None, scope: str = ""
    ) -> tuple[list[Proto], int]:
        """Return the instructions of a computation without calls, and its root's number.

        They are copies with numbers of their own where it is called itself, with `operands`.
        """
        numbers: dict[int, int] = {}
        found: list[Proto] = []
        for each in body.instructions:
            numbers[each.id] = each.id
            given = [numbers[operand] for operand in each.operand_ids]
            name = each.metadata.op_name
            if operands is not None and not name.startswith(scope):
                name = f"{scope}/{name}" if name else scope
            if each.opcode == "call":
                called = self._bodies[each.called_computation_ids[0]]
                inner, numbers[each.id] = self._inlined(called, given, name)
                found += inner
            elif each.opcode == "parameter" and operands is not None:
                numbers[each.id] = operands[each.parameter_number]
            else:
                made = each if operands is None else self._copied(each)
                made.metadata.op_name = name
                _reads(made, given)
                numbers[each.id] = made.id
                found.append(made)
        return found, numbers[body.root_id]

    def _copied(self, instruction: Proto) -> Proto:
        made = type(instruction)()
        made.CopyFrom(instruction)
        made.id, made.name = next(self._ids), self._name(instruction.name)
        del made.control_predecessor_ids[:]
        return made

    def _name(self, like: str) -> str:
        """Return a name that nothing has, in the way of XLA: ``add.7``."""
        stem, dot, number = like.rpartition(".")
        stem = stem if dot and number.isdigit() else like
        numbers = self._numbers.setdefault(stem, count(1))
        name = next(name for number in numbers if (name := f"{stem}.{number}") not in self._names)
        self._names.add(name)
        return name

    def _kernels(self, instructions: Sequence[Proto], root: int) -> list[Proto]:
        """Return what a computation launches, each kernel of several ops as a fusion."""
        known = {each.id: each for each in instructions}
        anywhere = _made_anywhere(instructions)
        kernel_of = _Grouping(instructions, root, anywhere).kernel_of
        members: dict[int, list[Proto]] = {}
        for each in instructions:
            members.setdefault(kernel_of[each.id], []).append(each)
        order = {each.id: place for place, each in enumerate(instructions)}
        kept: list[Proto] = []
        for number, inside in members.items():
            last = known[number]
            makes = last.opcode in _KERNELS and number not in anywhere
            if makes and (len(inside) > 1 or not anywhere.isdisjoint(last.operand_ids)):
                kept.append(self._fusion(inside, known, anywhere))
            else:
                if last.opcode == "reshape":
                    last.opcode = "bitcast"
                kept.append(last)
        return _live(sorted(kept, key=lambda each: order[each.id]), root)

    def _fusion(
        self, inside: Sequence[Proto], known: Mapping[int, Proto], anywhere: Set[int]
    ) -> Proto:
        """Return one kernel; its last op keeps its name, and the fusion takes its number."""
        root, body = inside[-1], HloModuleProto().computations.add()
        numbers = {int(each.id): int(each.id) for each in inside}
        made: list[Proto] = []
        fusion = type(root)(
            name=self._name("fusion"), opcode="fusion", id=root.id, fusion_kind=_fusion_kind(inside)
        )
        fusion.shape.CopyFrom(root.shape)
        fusion.metadata.CopyFrom(root.metadata)

        def take(operand: int) -> int:
            if operand in numbers:
                return int(numbers[operand])
            outside = known[operand]
            if operand in anywhere:
                copy = self._copied(outside)
                _reads(copy, [take(each) for each in outside.operand_ids])
            else:
                copy = self._parameter(len(fusion.operand_ids), outside.shape)
                fusion.operand_ids.append(operand)
                body.program_shape.parameters.add().CopyFrom(outside.shape)
                body.program_shape.parameter_names.append(copy.name)
            made.append(copy)
            numbers[operand] = copy.id
            return int(copy.id)

        for each in inside:
            _reads(each, [take(operand) for operand in each.operand_ids])
            made.append(each)
        root.id = next(self._ids)
        body.id, body.root_id = next(self._body_ids), root.id
        body.name, body.is_fusion_computation = self._name("fused_computation"), True
        body.program_shape.result.CopyFrom(root.shape)
        body.instructions.extend(made)
        fusion.called_computation_ids.append(body.id)
        self._written[body.id] = body
        return fusion

    def _parameter(self, number: int, shape: Proto) -> Proto:
        made = (
            HloModuleProto()
            .computations.add()
            .instructions.add(name=self._name("param"), opcode="parameter", id=next(self._ids))
        )
        made.parameter_number = number
        made.shape.CopyFrom(shape)
        return made


def _reads(instruction: Proto, operands: Sequence[int]) -> None:
    del instruction.operand_ids[:]
    instruction.operand_ids.extend(operands)


def _renumber(body: Proto) -> None:
    """Number instructions as XLA does: that of the computation, then 32 bits of their own."""
    numbers = {each.id: (body.id << 32) + n for n, each in enumerate(body.instructions, 1)}
    body.root_id = numbers[body.root_id]
    for each in body.instructions:
        _reads(each, [numbers[operand] for operand in each.operand_ids])
        before = [numbers[one] for one in each.control_predecessor_ids if one in numbers]
        del each.control_predecessor_ids[:]
        each.control_predecessor_ids.extend(before)
        each.id = numbers[each.id]


def _live(instructions: Sequence[Proto], root: int) -> list[Proto]:
    """Leave out what no result needs."""
    needed, found = {root}, []
    for each in reversed(instructions):
        if each.id in needed or each.opcode in opcodes.HAS_EFFECTS:
            needed.update(each.operand_ids)
            found.append(each)
    return found[::-1]


def _made_anywhere(instructions: Sequence[Proto]) -> Set[int]:
    """Return what takes nothing to make: scalar constants, what fills an array with one, iotas."""
    found: set[int] = set()
    for each in instructions:
        scalar = each.opcode == "constant" and not each.shape.dimensions
        filled = each.opcode == "broadcast" and found.issuperset(each.operand_ids)
        if (scalar and each.shape.element_type != _TUPLE) or filled or each.opcode == "iota":
            found.add(each.id)
    return found


class _Grouping:
    """Decides in which kernel each op runs, named by the number of the last op of that kernel.

    All that reads an op of a kernel, but for the last one, is in it: so none waits for another that
    waits for it.
    """

    def __init__(self, instructions: Sequence[Proto], root: int, anywhere: Set[int]) -> None:
        self._root, self._anywhere = root, anywhere
        self._known = {each.id: each for each in instructions}
        self._readers: dict[int, list[Proto]] = {each.id: [] for each in instructions}
        for each in instructions:
            for operand in each.operand_ids:
                self._readers[operand].append(each)
        self.kernel_of = {each.id: each.id for each in instructions}
        self._beginners = {each.id for each in instructions if self._begins(each)}
        self._begun = set(self._beginners)
        for each in reversed(instructions):
            self._follow(each)
        held: dict[int, list[Proto]] = {}
        for each in instructions:
            held.setdefault(self.kernel_of[each.id], []).append(each)
        for each in reversed(instructions):
            if each.id in held and each.id not in self._begun:
                self._precede(held[each.id])

    def _into(self, each: Proto) -> int | None:
        """Return the only kernel that reads an op, if it may be part of one."""
        kernels = {self.kernel_of[reader.id] for reader in self._readers[each.id]}
        alone = each.id == self._root or not self._may_share(each)
        if alone or each.shape.element_type == _TUPLE or len(kernels) != 1:
            return None
        (kernel,) = kernels
        return kernel if self._may_share(self._known[kernel]) else None

    def _begins(self, each: Proto) -> bool:
        if each.opcode != "reduce":
            return each.opcode in _BEGINNERS
        return _size(self._known[each.operand_ids[0]]) >= _SHORT * _size(each)

    def _may_share(self, each: Proto) -> bool:
        return each.opcode in _KERNELS and each.id not in self._anywhere

    def _follow(self, each: Proto) -> None:
        """Put an op into the kernel of those that follow it element by element."""
        kernel, begins = self._into(each), each.id in self._beginners
        if kernel is None or any(one.id in self._beginners for one in self._readers[each.id]):
            return
        if begins and (kernel in self._begun or _size(each) != _size(self._known[kernel])):
            return
        self.kernel_of[each.id] = kernel
        if begins:
            self._begun.add(kernel)

    def _precede(self, members: Sequence[Proto]) -> None:
        """Put a kernel of loops into that of the product or reduction which reads it."""
        kernel = self._into(members[-1])
        readers = self._readers[members[-1].id]
        by = {each.opcode for each in readers if each.id in self._beginners}
        as_read = all(each.opcode in _AS_READ for each in members)
        if kernel is None or by & opcodes.WINDOWED or (by & opcodes.PRODUCTS and not as_read):
            return
        self.kernel_of.update({each.id: kernel for each in members})


def _size(instruction: Proto) -> int:
    return prod(instruction.shape.dimensions)


def _fusion_kind(inside: Sequence[Proto]) -> str:
    found = {each.opcode for each in inside}
    if found & opcodes.PRODUCTS:
        return "kOutput"
    return "kInput" if found & opcodes.REDUCTIONS else "kLoop"
