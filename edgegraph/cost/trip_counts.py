"""How often the body of a loop runs, from what is constant and what moves in it.

Values are followed backwards from where they are used: through copies, tuples and calls, to
constants or to an element of the loop's state. Only a bounded number of steps is taken; what
takes more is unknown.

XLA writes the trip count into a loop when it optimises. Before that, and where XLA gave up, it
follows from three values if they are constants: what a counter in the loop's state starts
from, what the body adds to it, and what the condition compares it with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from operator import add, mul, sub
from typing import NamedTuple

from edgegraph.errors import InputError
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Instruction, Module

_STEPS = 1000
"""How many instructions are looked at for one question; a usual loop takes under twenty."""

_DEPTH = 60
"""How deep one value may rest on others."""

_RANGES = {"pred": range(2)} | {
    f"{sign}{bits}": range(-(2 ** (bits - 1)), 2 ** (bits - 1)) if sign == "s" else range(2**bits)
    for sign in "su"
    for bits in (8, 16, 32, 64)
}
"""The values of each integer dtype."""

_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "add": add, "subtract": sub, "multiply": mul, "maximum": max, "minimum": min,
}  # fmt: skip

_NEGATED = {"LT": "GE", "GE": "LT", "GT": "LE", "LE": "GT", "EQ": "NE", "NE": "EQ"}


@dataclass(frozen=True, slots=True)
class Counter:
    """``scale * element + offset``, of an element of the state at the start of an iteration."""

    element: int
    scale: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of counters and constants."""

    direction: str
    left: int | Counter
    right: int | Counter
    dtype: str


@dataclass(frozen=True, slots=True)
class _State:
    """The whole state of the loop that is asked about, at the start of an iteration."""


@dataclass(frozen=True, slots=True)
class _LoopResult:
    """The state of another loop, in it or after it: only what it never changes is known."""

    loop: Instruction


@dataclass(frozen=True, slots=True)
class _Tuple:
    """A tuple whose members nobody has asked for yet."""

    members: tuple[str, ...]
    frame: _Frame


_Value = int | Counter | Comparison | _State | _LoopResult | _Tuple | None


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """One computation, and what stands behind its parameters."""

    computation: str
    argument: Callable[[int], _Value]
    known: dict[str, _Value] = field(default_factory=dict)


def fits(value: int, dtype: str) -> bool:
    """Return whether a dtype is an integer one that holds `value` without wrapping around."""
    return value in _RANGES.get(dtype, ())


_Question = Callable[["LoopValues", Instruction, int], int | None]


def _remembered(find: _Question) -> _Question:
    """Ask a question about an element of a loop's state only once."""

    @wraps(find)
    def answer(values: LoopValues, loop: Instruction, element: int) -> int | None:
        key = (find.__name__, loop.name, element)
        if key not in values.answers:
            values.answers[key] = None  # while it is being found
            values.answers[key] = find(values, loop, element)
        return values.answers[key]

    return answer


class LoopValues:
    """Answers questions about the values in the loops of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._home: dict[str, str] = {}
        self._instructions: dict[str, Instruction] = {}
        self._callers: dict[str, list[Instruction]] = {}
        for computation in module.computations.values():
            for instruction in computation.instructions:
                self._home[instruction.name] = computation.name
                self._instructions[instruction.name] = instruction
                for called in instruction.called:
                    self._callers.setdefault(called, []).append(instruction)
        self._steps_left = 0
        self._depth = 0
        self.answers: dict[tuple[str, str, int], int | None] = {}

    def condition(self, loop: Instruction) -> Comparison | None:
        """Return what the loop's condition compares; begins a question about this loop."""
        self._steps_left = _STEPS
        value = self._inside(loop.called[1], loop)
        return value if isinstance(value, Comparison) else None

    @_remembered
    def start(self, loop: Instruction, element: int) -> int | None:
        """Return the constant that an element of the state starts from."""
        frame = self._outer_frame(self._home[loop.name])
        value = self._evaluate(loop.operands[0], frame)
        if loop.shape.dtype == "tuple":
            value = self._member(value, element)
        return value if isinstance(value, int) else None

    @_remembered
    def step(self, loop: Instruction, element: int) -> int | None:
        """Return the constant that the body adds to an element of the state; 0 if it keeps it."""
        value = self._inside(loop.called[0], loop)
        if loop.shape.dtype == "tuple":
            value = self._member(value, element)
        if isinstance(value, Counter) and (value.element, value.scale) == (element, 1):
            return value.offset
        return None

    def _inside(self, computation: str, loop: Instruction) -> _Value:
        """Evaluate the result of a loop's body or condition."""
        state: _Value = _State() if loop.shape.dtype == "tuple" else Counter(0)
        frame = _Frame(computation, lambda _: state)
        return self._evaluate(self._module.computations[computation].root, frame)

    def _outer_frame(self, computation: str) -> _Frame:
        return _Frame(computation, lambda number: self._passed_in(computation, number))

    def _passed_in(self, computation: str, number: int) -> _Value:
        """Return what all callers of a computation pass as its parameter `number`."""
        found: list[_Value] = []
        for caller in self._callers.get(computation, ()):
            frame = self._outer_frame(self._home[caller.name])
            if caller.opcode in opcodes.INLINED | {"async-start"}:
                found.append(self._evaluate(caller.operands[number], frame))
            elif caller.opcode == "while":
                found.append(_LoopResult(caller))
            elif caller.opcode == "conditional":
                branches = enumerate(caller.called, start=1)
                operands = [caller.operands[i] for i, name in branches if name == computation]
                found += [self._evaluate(operand, frame) for operand in operands]
            else:
                return None
        first = found[0] if found else None
        same = all(isinstance(value, int) and value == first for value in found)
        return first if len(found) == 1 or same else None

    def _evaluate(self, name: str, frame: _Frame) -> _Value:
        if name in frame.known:
            return frame.known[name]
        if self._steps_left <= 0 or self._depth >= _DEPTH:
            return None
        self._steps_left -= 1
        self._depth += 1
        try:
            value = self._compute(self._instructions[name], frame)
        finally:
            self._depth -= 1
        if isinstance(value, int) and not fits(value, self._instructions[name].shape.dtype):
            value = None  # it wraps around
        frame.known[name] = value
        return value

    def _compute(self, instruction: Instruction, frame: _Frame) -> _Value:
        opcode, operands = instruction.opcode, instruction.operands
        if opcode == "constant":
            return instruction.literal
        if opcode == "parameter":
            return frame.argument(instruction.parameter_number or 0)
        if opcode == "tuple":
            return _Tuple(operands, frame)
        if opcode == "while":
            return _LoopResult(instruction)
        if opcode in opcodes.INLINED:
            inner = _Frame(instruction.called[0], lambda i: self._evaluate(operands[i], frame))
            return self._evaluate(self._module.computations[inner.computation].root, inner)
        if opcode == "get-tuple-element":
            value = self._evaluate(operands[0], frame)
            return self._member(value, instruction.tuple_index or 0)
        if opcode in opcodes.SAME_NUMBER and len(operands) == 1:
            value = self._evaluate(operands[0], frame)
            numeric = isinstance(value, int | Counter)
            return value if not numeric or instruction.shape.dtype in _RANGES else None
        if opcode == "not" and len(operands) == 1:
            value = self._evaluate(operands[0], frame)
            if isinstance(value, Comparison) and value.direction in _NEGATED:
                return replace(value, direction=_NEGATED[value.direction])
            return None
        computes = len(operands) == 2 and (opcode == "compare" or opcode in _ARITHMETIC)
        return self._of_two(instruction, frame) if computes else None

    def _of_two(self, instruction: Instruction, frame: _Frame) -> _Value:
        left, right = (self._evaluate(operand, frame) for operand in instruction.operands)
        if instruction.opcode != "compare":
            return _arithmetic(instruction.opcode, left, right)
        if isinstance(left, int | Counter) and isinstance(right, int | Counter):
            dtype = self._instructions[instruction.operands[0]].shape.dtype
            return Comparison(instruction.comparison or "", left, right, dtype)
        return None

    def _member(self, value: _Value, index: int) -> _Value:
        if isinstance(value, _State):
            return Counter(index)
        if isinstance(value, _Tuple) and index < len(value.members):
            return self._evaluate(value.members[index], value.frame)
        if isinstance(value, _LoopResult) and value.loop.shape.dtype == "tuple":
            keeps = self.step(value.loop, index) == 0
            return self.start(value.loop, index) if keeps else None
        return None


def _arithmetic(opcode: str, left: _Value, right: _Value) -> _Value:
    if isinstance(left, int) and isinstance(right, int):
        return _ARITHMETIC[opcode](left, right)
    if isinstance(left, int) and isinstance(right, Counter):
        if opcode == "subtract":
            return Counter(right.element, -right.scale, left - right.offset)
        if opcode in ("add", "multiply"):
            left, right = right, left
    if isinstance(left, Counter) and isinstance(right, int):
        if opcode == "multiply":
            return Counter(left.element, left.scale * right, left.offset * right)
        if opcode in ("add", "subtract"):
            return Counter(left.element, left.scale, _ARITHMETIC[opcode](left.offset, right))
    return None


_KNOWN_TRIP_COUNT = re.compile(r'"known_trip_count"\s*:\s*\{\s*"n"\s*:\s*"(\d{1,19})"')

_MIRRORED = {"GT": "LT", "GE": "LE", "LT": "GT", "LE": "GE"}


def trip_counts(module: Module) -> Mapping[str, int | None]:
    """Return the iterations of every while loop, by name; None where its end is not understood."""
    values: LoopValues | None = None
    counts: dict[str, int | None] = {}
    for computation in module.computations.values():
        for instruction in computation.instructions:
            if instruction.opcode == "while":
                known = _KNOWN_TRIP_COUNT.search(instruction.backend_config)
                if known:
                    counts[instruction.name] = int(known.group(1))
                else:
                    values = values or LoopValues(module)
                    counts[instruction.name] = _derive(instruction, values)
    return counts


def with_given(
    counts: Mapping[str, int | None], given: Mapping[str, int]
) -> Mapping[str, int | None]:
    """Put the trips that somebody says in place of those that the module does not tell.

    Raises:
        InputError: There is no such loop, it has a trip count, or what is said is none.
    """
    open_loops = [name for name, trips in counts.items() if trips is None]
    for name, trips in given.items():
        if name not in open_loops:
            known = counts.get(name)
            why = "is no loop of this program" if known is None else f"runs {known} times"
            asked = ", ".join(open_loops) or "none"
            raise InputError(f"trips of {name!r}: it {why}; loops of unknown length: {asked}")
        if isinstance(trips, bool) or not isinstance(trips, int) or not 0 <= trips < 1 << 63:
            raise InputError(
                f"trips of {name!r} must be how often the loop runs in a call, not {trips!r}"
            )
    return {**counts, **given}


def _derive(loop: Instruction, values: LoopValues) -> int | None:
    """Count the iterations until the loop's condition fails."""
    condition = values.condition(loop)
    if condition is None:
        return None
    left = _follow(loop, condition.left, values)
    right = _follow(loop, condition.right, values)
    if left is None or right is None:
        return None
    trips = _trips_until_false(
        condition.direction, left.start - right.start, left.step - right.step
    )
    if trips is None:
        return None
    inside = all(
        fits(start, dtype) and fits(start + step * trips, dtype)
        for side in (left, right)
        for start, step, dtype in (
            (side.start, side.step, condition.dtype),
            (side.element_start, side.element_step, side.element_dtype),
        )
    )
    return trips if inside else None


class _Side(NamedTuple):
    """A side of the comparison, and the element of the state that it is computed from."""

    start: int
    step: int
    element_start: int
    element_step: int
    element_dtype: str


def _follow(loop: Instruction, side: int | Counter, values: LoopValues) -> _Side | None:
    """Find what a side of the comparison starts from, and what an iteration adds to it."""
    if isinstance(side, int):
        return _Side(side, 0, 0, 0, "s32")
    start, step = values.start(loop, side.element), values.step(loop, side.element)
    if start is None or step is None:
        return None
    state = loop.shape.elements or (loop.shape,)
    if side.element >= len(state):
        return None
    dtype = state[side.element].dtype
    return _Side(side.scale * start + side.offset, side.scale * step, start, step, dtype)


def _trips_until_false(direction: str, start: int, step: int) -> int | None:
    """Count how often ``start + step * trip`` compares with 0 as `direction` says."""
    if direction in ("GT", "GE"):
        return _trips_until_false(_MIRRORED[direction], -start, -step)
    if direction == "LE":
        return _trips_until_false("LT", start - 1, step)
    if direction == "LT":
        if start >= 0:
            return 0
        return -(start // step) if step > 0 else None
    if direction == "NE":
        if start == 0:
            return 0
        return -start // step if step and start % step == 0 and -start // step > 0 else None
    if direction == "EQ":
        return 0 if start else (1 if step else None)
    return None
