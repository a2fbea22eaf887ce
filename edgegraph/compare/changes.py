"""What the ops that have no equal differ in."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from edgegraph.compare.match import Match
from edgegraph.compare.result import (
    ADDED,
    CHANGED,
    FUSED,
    REMOVED,
    REWIRED,
    Facet,
    OpChange,
    OpFigures,
)
from edgegraph.compare.side import Side
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.identity import ATTRIBUTES
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.text import dimension_labels, dot_text, window_text
from edgegraph.results.analysis import OpRecord

_Number = TypeVar("_Number", int, float)

_COUNTED = ("macs", "flops", "transcendentals", "wire_bytes")
_ATTRIBUTES = (
    *(name for name in ATTRIBUTES if name not in ("tuple_index", "literal")),
    "backend_config",
)
_WRITE: Mapping[str, Callable[[Any], str]] = {
    "convolution": dimension_labels, "dot": dot_text, "window": window_text
}  # fmt: skip
_MOST_WRITTEN = 60
"""Characters of an attribute's value; longer ones are cut."""


def op_changes(before: Side, after: Side, found: Match) -> tuple[OpChange, ...]:
    """Return what every op without an equal differs in, in the order of execution.

    Ops that only hand values on are left out, unless they hand on others.

    Args:
        before: The one side.
        after: The other.
        found: How their ops correspond.
    """
    ordered: list[tuple[int, OpChange]] = []
    counterparts = {other: one for one, other in found.same + found.changed}

    def counterpart(position: int) -> str:
        """Return the name before, which tells more than another name for the same."""
        if position in counterparts:
            return before.nodes[counterparts[position]].name
        return after.nodes[position].name

    for one, other in found.rewired:
        facet = Facet(
            name="operands",
            before=", ".join(before.nodes[at].name for at in before.operands[one]),
            after=", ".join(counterpart(at) for at in after.operands[other]),
        )
        ordered.append((other, _change(REWIRED, before, [one], after, [other], (facet,))))
    for one, other in found.changed:
        if before.nodes[one].opcode in opcodes.PLUMBING:
            continue
        ordered.append((other, _changed(before, one, after, other)))
    for lefts, rights in found.fused_differently:
        facets = (*_fused(before, lefts, after, rights), *_costs(before, lefts, after, rights))
        ordered.append((rights[0], _change(FUSED, before, lefts, after, rights, facets)))
    place = _places_of_removed(found)
    ordered += [
        (place(one), _change(REMOVED, before, [one], after, []))
        for one in found.removed
        if before.nodes[one].opcode not in opcodes.COMING_AND_GOING
    ]
    ordered += [
        (other, _change(ADDED, before, [], after, [other]))
        for other in found.added
        if after.nodes[other].opcode not in opcodes.COMING_AND_GOING
    ]
    ordered.sort(key=lambda each: each[0])
    return tuple(change for _, change in ordered)


def count_same(side: Side, found: Match) -> int:
    """Count the ops that are the same, those that only hand values on left out."""
    rewired = {one for one, _ in found.rewired}
    return sum(
        one not in rewired and side.nodes[one].opcode not in opcodes.PLUMBING
        for one, _ in found.same
    )


def _places_of_removed(found: Match) -> Callable[[int], int]:
    """Put what was removed behind the counterpart of the op that stood before it."""
    pairs = sorted(found.same + found.changed)
    firsts = [one for one, _ in pairs]

    def place(position: int) -> int:
        at = bisect_left(firsts, position)
        return pairs[at - 1][1] if at else -1

    return place


def _changed(before: Side, one: int, after: Side, other: int) -> OpChange:
    facets = [*_forms(before, one, after, other)]
    facets += _fused(before, [one], after, [other])
    facets += _costs(before, [one], after, [other])
    facets += _attributes(before.nodes[one].instruction, after.nodes[other].instruction)
    if not facets:
        facets = [Facet(name="attributes", before="", after="others")]
    return _change(CHANGED, before, [one], after, [other], tuple(facets))


def _change(
    kind: str,
    before: Side,
    lefts: Sequence[int],
    after: Side,
    rights: Sequence[int],
    facets: tuple[Facet, ...] = (),
) -> OpChange:
    side, first = (after, rights[0]) if rights else (before, lefts[0])
    return OpChange(
        kind=kind,
        phase=side.record(first).phase,
        before=_figures(before, lefts),
        after=_figures(after, rights),
        facets=facets,
    )


def _figures(side: Side, positions: Sequence[int]) -> OpFigures | None:
    if not positions:
        return None
    records = [side.record(position) for position in positions]
    sources = {record.time_source for record in records}
    return OpFigures(
        names=tuple(record.name for record in records),
        opcode=", ".join(dict.fromkeys(record.opcode for record in records)),
        shape=", ".join(dict.fromkeys(record.shape for record in records)),
        layer=_common([record.layer for record in records]),
        macs=_sum(record.macs for record in records),
        flops=_sum(record.flops for record in records),
        bytes=_sum(map(_bytes, records)),
        time_s=_sum(record.time_s for record in records),
        time_source=sources.pop() if len(sources) == 1 else None,
    )


def _common(layers: Sequence[str | None]) -> str | None:
    """Return the scope that holds all layers."""
    paths = [layer.split("/") for layer in layers if layer is not None]
    if len(paths) < len(layers):
        return None
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) or None


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    """Add up; None where one is unknown."""
    held = list(values)
    known = [value for value in held if value is not None]
    return None if len(known) < len(held) else cast(_Number, sum(known))


def _bytes(record: OpRecord) -> int | None:
    return _sum((record.bytes_read, record.bytes_written))


def _forms(before: Side, one: int, after: Side, other: int) -> Iterator[Facet]:
    """Compare opcode, layer, phase, shape, number type and layout."""
    left, right = before.record(one), after.record(other)
    if left.opcode != right.opcode:
        yield Facet(name="opcode", before=left.opcode, after=right.opcode)
    if before.layer_phases[one] != after.layer_phases[other]:
        yield Facet(name="layer", before=_layer_and_phase(left), after=_layer_and_phase(right))
    shapes = [side.nodes[at].instruction.shape for side, at in ((before, one), (after, other))]
    leaves = [shape.leaves() for shape in shapes]
    if [leaf.dimensions for leaf in leaves[0]] != [leaf.dimensions for leaf in leaves[1]]:
        yield Facet(name="shape", before=left.shape, after=right.shape)
    elif left.shape != right.shape:
        yield Facet(name="dtype", before=_dtypes(leaves[0]), after=_dtypes(leaves[1]))
    elif shapes[0] != shapes[1]:
        yield Facet(name="layout", before=_layouts(leaves[0]), after=_layouts(leaves[1]))


def _layer_and_phase(record: OpRecord) -> str:
    layer = record.layer or UNATTRIBUTED
    return layer if record.phase == "forward" else f"{layer} ({record.phase})"


def _dtypes(leaves: Sequence[Shape]) -> str:
    return ", ".join(dict.fromkeys(leaf.dtype for leaf in leaves))


def _layouts(leaves: Sequence[Shape]) -> str:
    return ", ".join(
        "{"
        + ",".join(map(str, leaf.layout or ()))
        + "}"
        + f" S({leaf.memory_space})" * bool(leaf.memory_space)
        for leaf in leaves
    )


def _fused(
    before: Side, lefts: Sequence[int], after: Side, rights: Sequence[int]
) -> Iterator[Facet]:
    """Compare the ops that kernels consist of, and how many kernels there are."""
    if len(lefts) != len(rights):
        yield Facet(name="kernels", before=str(len(lefts)), after=str(len(rights)))
    counts = [
        Counter(node.opcode for at in each for node in _work(side, at))
        for side, each in ((before, lefts), (after, rights))
    ]
    gone, come = counts[0] - counts[1], counts[1] - counts[0]
    both_plain = not any(
        side.inside.get(side.nodes[at].name)
        for side, each in ((before, lefts), (after, rights))
        for at in each
    )
    if (gone or come) and not both_plain:
        yield Facet(name="fused ops", before=_counted(gone), after=_counted(come))


def _work(side: Side, position: int) -> Sequence[Node]:
    """Return the ops of a kernel that compute something, or move it."""
    return [node for node in side.primitives(position) if node.opcode not in opcodes.SLIGHT]


def _counted(ops: Counter[str]) -> str:
    return ", ".join(
        opcode if count == 1 else f"{count} {opcode}" for opcode, count in sorted(ops.items())
    )


def _costs(
    before: Side, lefts: Sequence[int], after: Side, rights: Sequence[int]
) -> Iterator[Facet]:
    left = [before.record(at) for at in lefts]
    right = [after.record(at) for at in rights]
    if len(left) == len(right) == 1:
        yield from _count("executions", left[0].executions, right[0].executions)
    if {record.opcode for record in left + right} & opcodes.CALLERS:
        return
    for name in _COUNTED:
        sums = (_sum(getattr(record, name) for record in each) for each in (left, right))
        yield from _count(name, *sums)
    yield from _count("bytes", *(_sum(map(_bytes, each)) for each in (left, right)))


def _count(name: str, *counts: int | None) -> Iterator[Facet]:
    """Yield a facet where a count differs."""
    one, other = counts
    if one != other:
        before, after = ("?" if count is None else f"{count:,}" for count in counts)
        yield Facet(name=name, before=before, after=after)


def _attributes(left: Instruction, right: Instruction) -> Iterator[Facet]:
    """Compare what else EdgeGraph reads of an instruction."""
    if left.opcode != right.opcode:
        return
    if left.opcode == "constant" and left.literal != right.literal:
        yield Facet(name="value", before=str(left.literal), after=str(right.literal))
    for name in _ATTRIBUTES:
        one, other = getattr(left, name), getattr(right, name)
        if one != other:
            yield Facet(name=name, before=_written(name, one), after=_written(name, other))


def _written(name: str, value: Any) -> str:
    text = "" if value in (None, ()) else _WRITE.get(name, str)(value)
    return text if len(text) <= _MOST_WRITTEN else text[: _MOST_WRITTEN - 1] + "…"
