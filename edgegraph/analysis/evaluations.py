"""How often XLA's CPU compiler computes a value inside a fusion of loops, and how.

Such a fusion keeps nothing between its ops: what is read at two places of the result is computed
for each (XLA's `FusionNodeIndexingEvaluation` counts the same, to stop fusing where it grows). Read
at the same place, it is computed once; broadcast along the innermost dimensions, once for all
of these, since LLVM takes it out of the loop. What stands below a pad, gather or update in place is
computed where a condition says so, one value at a time and not as many as fit a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Shape

ONE_BY_ONE = 5.0
"""Times as long as by vectors (of eight f32) functions took below a pad, gather or update."""

PERHAPS_ONE_BY_ONE = 2.2
"""Below a concatenation of what is read elsewhere, too, LLVM made vectors of two cases of four: the
root of `ONE_BY_ONE`, which is as far off in one case as in the other."""

_MOST_PATHS = 64

_Path = tuple[str, ...]
"""The ops that change the index on the way to a value: equal where it is read at one place."""

_MANY: _Path = ("many",)


class Evaluated(NamedTuple):
    """How often each value of an op is computed, and how many times as long each takes."""

    times: float = 1.0
    slowed: float = 1.0


ONCE = Evaluated()


def evaluations(ops: Sequence[Node], shapes: Mapping[str, Shape]) -> Mapping[str, Evaluated]:
    """Return how each op of a fusion is computed, by its name.

    Args:
        ops: What stands in the fusion, operands before what reads them.
        shapes: Of all ops, by name.
    """
    inside = {node.name: node for node in ops}
    reads: dict[str, dict[_Path, float]] = {}
    slow: dict[str, float] = {}
    found: dict[str, Evaluated] = {}
    for node in reversed(ops):
        size = max(1, node.instruction.shape.size)
        # What nothing reads is the result, or a part of it.
        paths = reads.get(node.name) or {(): float(size)}
        slowed = slow.get(node.name, 1.0)
        if len(paths) > 1 and any("concatenate" in part for path in paths for part in path):
            slowed = max(slowed, PERHAPS_ONE_BY_ONE)
        found[node.name] = Evaluated(sum(paths.values()) / size, slowed)
        if node.opcode in opcodes.GUARDED:
            slowed = ONE_BY_ONE
        steps = {(name, _step(node, at, shapes)) for at, name in enumerate(node.operands)}
        for name, step in steps:
            if name in inside:
                slow[name] = max(slow.get(name, 1.0), slowed)
                _add(reads.setdefault(name, {}), paths, step)
    return found


class _Step(NamedTuple):
    """From an op to an operand: what it adds to the path, and values read for each of its own."""

    part: str | None
    ratio: float


def _step(node: Node, position: int, shapes: Mapping[str, Shape]) -> _Step:
    instruction = node.instruction
    size, operand = max(1, instruction.shape.size), shapes[node.operands[position]]
    if node.opcode in opcodes.ELEMENTWISE or node.opcode in opcodes.FREE:
        return _Step(None, 1.0)
    part = f"{node.opcode} {node.name} {position}"
    if node.opcode == "broadcast":
        extents, dimensions = instruction.shape.dimensions, instruction.dimensions
        innermost = max((at for at in dimensions if extents[at] > 1), default=-1)
        return _Step(part, prod(extents[: innermost + 1]) / size)
    if node.opcode in ("reduce", "concatenate", "pad"):
        return _Step(part, operand.size / size)
    if node.opcode == "reduce-window":
        return _Step(part, float(prod(each.size for each in instruction.window)))
    if node.opcode == "dynamic-update-slice" and position == 1:
        return _Step(part, operand.size / size)
    return _Step(part, 1.0)


def _add(held: dict[_Path, float], paths: Mapping[_Path, float], step: _Step) -> None:
    """Add what an op reads to what others read: at one place, a value is computed once.

    Beyond `_MOST_PATHS` all places count as different.
    """
    for path, count in paths.items():
        longer = path if step.part is None else (*path, step.part)
        if path == _MANY or (len(held) >= _MOST_PATHS and longer not in held):
            held[_MANY] = held.get(_MANY, 0.0) + count * step.ratio
        else:
            held[longer] = max(held.get(longer, 0.0), count * step.ratio)
