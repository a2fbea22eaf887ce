"""The registry of rules that price custom calls, and how rules read a call."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from edgegraph.cost.cost import Cost
from edgegraph.errors import InputError
from edgegraph.hlo.module import Instruction, Shape

_MODULES = ("kernels", "lapack", "products")
"""The modules of this package that hold rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCall:
    """A call of something that XLA does not know.

    Attributes:
        target: Name of what is called.
        operands: Shapes of the operands, by position.
        result: Shape of the result; a tuple where there are several.
        instruction: The HLO instruction, with its ``backend_config`` and, of a convolution,
            its window and dimension numbers.
    """

    target: str
    operands: tuple[Shape, ...]
    result: Shape
    instruction: Instruction

    @property
    def results(self) -> tuple[Shape, ...]:
        """The arrays that the call returns, tuples taken apart."""
        return self.result.leaves()

    def cost(
        self,
        *,
        flops: int | None = 0,
        macs: int | None = 0,
        transcendentals: int | None = 0,
        bytes_read: int | None = None,
        bytes_written: int | None = None,
        wire_bytes: int | None = 0,
    ) -> Cost:
        """Make the cost of this call.

        Args:
            flops: Operations, a multiply-add counting as two.
            macs: Multiply-accumulates of a matrix product or convolution.
            transcendentals: exp, log, tanh and the like.
            bytes_read: Bytes read; all operands once where None.
            bytes_written: Bytes written; all results once where None.
            wire_bytes: Bytes sent to other devices.
        """
        if bytes_read is None:
            bytes_read = sum(operand.bytes for operand in self.operands)
        return Cost(
            macs=macs,
            flops=flops,
            transcendentals=transcendentals,
            bytes_read=bytes_read,
            bytes_written=self.result.bytes if bytes_written is None else bytes_written,
            wire_bytes=wire_bytes,
        )


Rule = Callable[[CustomCall], Cost | None]
"""Returns the cost of one execution of a call, or None where that is unknown."""


class UnknownFormError(Exception):
    """A call does not look as its rule expects; its cost stays unknown."""


_registered: dict[str, Rule] = {}
_built_in: dict[str, Rule] = {}


def register_custom_call(*targets: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule that prices calls of `targets`.

    It comes before a rule that EdgeGraph has, and before one registered earlier.

    Args:
        targets: Names of custom call targets, as ``custom_call_target`` in HLO writes them.

    Raises:
        InputError: No target is named.

    Example:
        A kernel that multiplies every element by itself and adds one:

        >>> import edgegraph as eg
        >>> @eg.register_custom_call("square_plus_one")
        ... def square_plus_one(call: eg.CustomCall) -> eg.Cost:
        ...     return call.cost(flops=2 * call.result.size)
    """
    if not targets or not all(isinstance(target, str) for target in targets):
        raise InputError(
            f"register_custom_call got the targets {targets!r}; name at least one, such as"
            ' @eg.register_custom_call("my_kernel")'
        )

    return _register(_registered, targets)


def built_in(*targets: str) -> Callable[[Rule], Rule]:
    """Register the decorated function among the rules that EdgeGraph brings along."""
    return _register(_built_in, targets)


def _register(rules: dict[str, Rule], targets: Sequence[str]) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        rules.update(dict.fromkeys(targets, rule))
        return rule

    return register


def price_custom_call(instruction: Instruction, operands: Sequence[Shape]) -> Cost | None:
    """Return the cost of one execution; None where there is no rule, or the rule cannot tell."""
    target = instruction.custom_call_target or ""
    rule = _rule(target)
    if rule is None:
        return None
    call = CustomCall(
        target=target, operands=tuple(operands), result=instruction.shape, instruction=instruction
    )
    try:
        return rule(call)
    except UnknownFormError:
        return None


def why_unpriced(target: str) -> str:
    """Return why calls of `target` have no cost, and what to do about it."""
    register = f'eg.register_custom_call("{target}")'
    if _rule(target) is None:
        return f"custom call {target}: no rule prices it; register one with {register}"
    return (
        f"custom call {target}: its cost depends on what HLO does not show; a rule of your own"
        f" can say it: {register}"
    )


@cache
def built_in_rules() -> Mapping[str, Rule]:
    """Return the rules that EdgeGraph brings along, by target."""
    for name in _MODULES:
        importlib.import_module(f"edgegraph.cost.custom_calls.{name}")
    return _built_in


def _rule(target: str) -> Rule | None:
    return _registered.get(target) or built_in_rules().get(target)


_ATTRIBUTE = re.compile(r"(\w+) = (?:(-?\d{1,19})(?: : \w+)?|(true|false))\b")
"""``uplo = 76 : ui8`` or ``lower = true``, as MLIR writes attributes."""

WORKSPACE_DTYPES = ("s8", "u8")


class Matrix(NamedTuple):
    """A batch of matrices."""

    batch: int
    rows: int
    columns: int


def operand(call: CustomCall, number: int) -> Shape:
    """Return the shape of an operand."""
    return _shape(call, "operand", call.operands, number)


def result(call: CustomCall, number: int) -> Shape:
    """Return the shape of a result."""
    return _shape(call, "result", call.results, number)


def _shape(call: CustomCall, what: str, shapes: Sequence[Shape], number: int) -> Shape:
    if number >= len(shapes):
        raise UnknownFormError(f"{call.target} has no {what} {number}")
    return shapes[number]


def matrix(shape: Shape) -> Matrix:
    """Take the last two dimensions as rows and columns, the ones before as batch."""
    if len(shape.dimensions) < 2:
        raise UnknownFormError(f"{shape} is no matrix")
    *batch, rows, columns = shape.dimensions
    return Matrix(math.prod(batch), rows, columns)


def square(shape: Shape) -> Matrix:
    """Take a batch of square matrices."""
    found = matrix(shape)
    if found.rows != found.columns:
        raise UnknownFormError(f"{shape} is not square")
    return found


def attributes(call: CustomCall) -> Mapping[str, int]:
    """Read the attributes of a typed call: ``{mode = 83 : ui8, lower = true}``."""
    return {
        name: int(number) if number else int(truth == "true")
        for name, number, truth in _ATTRIBUTE.findall(call.instruction.backend_config)
    }


def attribute(call: CustomCall, name: str) -> int:
    """Read an attribute that a typed call must have."""
    found = attributes(call)
    if name not in found:
        raise UnknownFormError(f"{call.target} has no attribute {name!r}")
    return found[name]


def letter(call: CustomCall, name: str) -> str:
    """Read an attribute that holds a character, as LAPACK's options do: 83 is ``S``."""
    code = attribute(call, name)
    if not 0 < code < 128:
        raise UnknownFormError(f"{call.target}: attribute {name!r} is no character but {code}")
    return chr(code)


def configuration(call: CustomCall, *path: str) -> Mapping[str, Any]:
    """Read the object at `path` in a backend configuration in JSON; its last key may be missing."""
    try:
        found = json.loads(call.instruction.backend_config)
    except (ValueError, RecursionError):
        found = None
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise UnknownFormError(f"{call.target}: its configuration has no {'.'.join(path)}")
    return found


def integers(values: object) -> tuple[int, ...]:
    """Read a list of integers, which JSON of protobufs writes as strings."""
    try:
        if isinstance(values, list):
            found = tuple(int(value) for value in values)
            if all(abs(value) < 1 << 63 for value in found):
                return found
    except (OverflowError, TypeError, ValueError):
        pass
    raise UnknownFormError(f"expected a list of integers, found {values!r}")


def integer(value: object) -> int:
    """Read an integer, which JSON of protobufs writes as a string."""
    return integers([value])[0]


def bytes_without_workspace(call: CustomCall) -> int:
    """Return the bytes of the results, without the scratch memory that a library asks for.

    It stands last in the result, as ``s8[4194304]`` or ``u8[0]``. XLA does not count it either:
    that would reward an algorithm for using more of it (``gpu_hlo_cost_analysis.cc``).
    """
    results = call.results
    last = results[-1] if len(results) > 1 else None
    if last is not None and last.dtype in WORKSPACE_DTYPES and len(last.dimensions) == 1:
        results = results[:-1]
    return sum(shape.bytes for shape in results)
