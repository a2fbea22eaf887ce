"""How often the body of a loop runs.

XLA writes the trip count into a loop when it optimises. Before that, and where XLA gave up, it
follows from three values if they are constants: what a counter in the loop's state starts
from, what the body adds to it, and what the condition compares it with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from edgegraph.cost.loop_values import Counter, LoopValues, fits
from edgegraph.hlo.module import Instruction, Module

_KNOWN_TRIP_COUNT = re.compile(r'"known_trip_count"\s*:\s*\{\s*"n"\s*:\s*"(\d{1,19})"')

_MIRRORED = {"GT": "LT", "GE": "LE", "LT": "GT", "LE": "GE"}


def trip_counts(module: Module) -> Mapping[str, int | None]:
    """Return the number of iterations of every while loop.

    Args:
        module: A module before or after optimisation.

    Returns:
        By instruction name; None where the end depends on data or is not understood.

    Example:
        >>> from edgegraph import xla
        >>> from edgegraph.hlo.decode import decode
        >>> trip_counts(decode(xla.parse_text('''HloModule m
        ... body { a = (s32[]) parameter(0)
        ...   b = s32[] get-tuple-element(a), index=0
        ...   one = s32[] constant(1)
        ...   c = s32[] add(b, one)
        ...   ROOT d = (s32[]) tuple(c) }
        ... condition { e = (s32[]) parameter(0)
        ...   f = s32[] get-tuple-element(e), index=0
        ...   end = s32[] constant(12)
        ...   ROOT g = pred[] compare(f, end), direction=LT }
        ... ENTRY main { start = s32[] constant(0)
        ...   h = (s32[]) tuple(start)
        ...   ROOT loop = (s32[]) while(h), body=body, condition=condition }''')))
        {'loop': 12}
    """
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
    """Count how often ``start + step * trip`` compares with 0 as `direction` says.

    >>> _trips_until_false("LT", -10, 3), _trips_until_false("GE", 10, -5)
    (4, 3)
    >>> _trips_until_false("NE", -9, 2) is None  # passes zero by, and wraps around
    True
    """
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
