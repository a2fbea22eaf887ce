"""The registry of rules that price custom calls."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from edgegraph.cost.cost import Cost
from edgegraph.errors import InputError
from edgegraph.hlo.module import Instruction, Shape

_MODULES = ("attention", "convolution", "eigenvalues", "kernels", "lapack", "markers", "matmul",
            "selection")  # fmt: skip
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
        """The arrays that the call gives back, tuples taken apart."""
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
"""Returns the cost of one execution of a call, or None where that cannot be told."""


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

    def register(rule: Rule) -> Rule:
        _registered.update(dict.fromkeys(targets, rule))
        return rule

    return register


def built_in(*targets: str) -> Callable[[Rule], Rule]:
    """Register the decorated function among the rules that EdgeGraph brings along."""

    def register(rule: Rule) -> Rule:
        _built_in.update(dict.fromkeys(targets, rule))
        return rule

    return register


def price_custom_call(instruction: Instruction, operands: Sequence[Shape]) -> Cost | None:
    """Return the cost of one execution of a custom call.

    Args:
        instruction: A ``custom-call``.
        operands: Shapes of its operands, by position.

    Returns:
        What its rule says; None where there is no rule, or the rule cannot tell.
    """
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
    if _rule(target) is None:
        return (
            f"custom call {target}: no rule prices it; register one with"
            f' eg.register_custom_call("{target}")'
        )
    return (
        f"custom call {target}: its cost depends on what HLO does not show; a rule of your own"
        f' can say it: eg.register_custom_call("{target}")'
    )


def built_in_targets() -> frozenset[str]:
    """Name all targets that EdgeGraph has a rule for."""
    _load_built_in()
    return frozenset(_built_in)


def _rule(target: str) -> Rule | None:
    _load_built_in()
    return _registered.get(target) or _built_in.get(target)


@cache
def _load_built_in() -> None:
    for name in _MODULES:
        importlib.import_module(f"edgegraph.cost.custom_calls.{name}")
