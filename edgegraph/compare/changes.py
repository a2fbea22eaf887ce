"""What the ops that have no equal differ in."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple, TypeVar, cast

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
from edgegraph.hlo.identity import ATTRIBUTES, in_order
from edgegraph.hlo.module import Collective, Instruction, Shape
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.hlo.text import braces, dimension_labels, dot_text, window_text
from edgegraph.reporting.words import plural
from edgegraph.results.analysis import OpRecord

_Number = TypeVar("_Number", int, float)

_COUNTED = ("macs", "flops", "transcendentals", "wire_bytes", "bytes")
_ATTRIBUTES = (
    *(name for name in ATTRIBUTES if name not in ("tuple_index", "literal")),
    "backend_config",
)
_MOST_WRITTEN = 60
"""Characters of an attribute's value; longer ones are cut."""


class _Ops(NamedTuple):
    """Some ops of one side, by their positions."""

    side: Side
    at: Sequence[int]

    @property
    def records(self) -> list[OpRecord]:
        return [self.side.record(position) for position in self.at]


def op_changes(before: Side, after: Side, found: Match) -> tuple[OpChange, ...]:
    """Return what every op without an equal differs in, in the order of execution.

    Ops that only hand values on are left out, unless they hand on others.
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
        change = _change(REWIRED, _Ops(before, [one]), _Ops(after, [other]), (facet,))
        ordered.append((other, change))
    for one, other in found.changed:
        if before.nodes[one].opcode not in opcodes.PLUMBING:
            ordered.append((other, _changed(before, one, after, other)))
    for lefts, rights in found.fused_differently:
        left, right = _Ops(before, lefts), _Ops(after, rights)
        facets = (*_fused(left, right), *_costs(left, right))
        ordered.append((rights[0], _change(FUSED, left, right, facets)))
    place = _places_of_removed(found)
    ordered += [
        (place(one), _change(REMOVED, _Ops(before, [one]), _Ops(after, [])))
        for one in found.removed
        if before.nodes[one].opcode not in opcodes.COMING_AND_GOING
    ]
    ordered += [
        (other, _change(ADDED, _Ops(before, []), _Ops(after, [other])))
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
    left, right = _Ops(before, [one]), _Ops(after, [other])
    facets = [*_forms(before, one, after, other), *_fused(left, right), *_costs(left, right)]
    facets += _attributes(before.nodes[one].instruction, after.nodes[other].instruction)
    if not facets:
        facets = [Facet(name="attributes", before="", after="others")]
    return _change(CHANGED, left, right, tuple(facets))


def _change(kind: str, left: _Ops, right: _Ops, facets: tuple[Facet, ...] = ()) -> OpChange:
    return OpChange(
        kind=kind,
        phase=(right.records or left.records)[0].phase,
        before=_figures(left.records),
        after=_figures(right.records),
        facets=facets,
    )


def _figures(records: Sequence[OpRecord]) -> OpFigures | None:
    if not records:
        return None
    sources = {record.time_source for record in records}
    return OpFigures(
        names=tuple(record.name for record in records),
        opcode=", ".join(dict.fromkeys(record.opcode for record in records)),
        shape=", ".join(dict.fromkeys(record.shape for record in records)),
        layer=_common([record.layer for record in records]),
        macs=_sum(record.macs for record in records),
        flops=_sum(record.flops for record in records),
        bytes=_sum(record.bytes for record in records),
        time_s=_sum(record.time_s for record in records),
        time_source=sources.pop() if len(sources) == 1 else None,
    )


def _common(layers: Sequence[str | None]) -> str | None:
    """Return the scope that holds all layers."""
    if None in layers:
        return None
    paths = zip(*[layer.split("/") for layer in layers if layer is not None], strict=False)
    shared = takewhile(lambda parts: len(set(parts)) == 1, paths)
    return "/".join(parts[0] for parts in shared) or None


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    """Add up; None where one is unknown."""
    held = list(values)
    known = [value for value in held if value is not None]
    return None if len(known) < len(held) else cast(_Number, sum(known))


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


def _fused(left: _Ops, right: _Ops) -> Iterator[Facet]:
    """Compare the ops that kernels consist of, and how many kernels there are."""
    if len(left.at) != len(right.at):
        yield Facet(name="kernels", before=str(len(left.at)), after=str(len(right.at)))
    before, after = (
        # What computes something, or moves it.
        Counter(
            node.opcode
            for at in ops.at
            for node in ops.side.primitives(at)
            if node.opcode not in opcodes.SLIGHT
        )
        for ops in (left, right)
    )
    gone, come = before - after, after - before
    holds_others = any(
        ops.side.inside.get(record.name) for ops in (left, right) for record in ops.records
    )
    if (gone or come) and holds_others:
        yield Facet(name="fused ops", before=_counted(gone), after=_counted(come))


def _counted(ops: Counter[str]) -> str:
    return ", ".join(
        opcode if count == 1 else f"{count} {opcode}" for opcode, count in sorted(ops.items())
    )


def _costs(left: _Ops, right: _Ops) -> Iterator[Facet]:
    sides = left.records, right.records
    if len(left.at) == len(right.at) == 1:
        yield from _count("executions", *(records[0].executions for records in sides))
    if {record.opcode for records in sides for record in records} & opcodes.CALLERS:
        return
    for name in _COUNTED:
        sums = (_sum(getattr(record, name) for record in records) for records in sides)
        yield from _count(name, *sums)


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
        if name == "backend_config":
            one, other = (in_order(each.encode()).decode() for each in (one, other))
        if one != other:
            yield Facet(name=name, before=_written(name, one), after=_written(name, other))


def _collective(found: Collective) -> str:
    """Describe which devices take part: ``groups of 4 devices, channel 1``."""
    members = "replicas" if found.channel_id is None else "devices"
    pairs = [f"{source} to {target}" for source, target in found.source_target_pairs]
    groups = f"all {members}"
    if found.group_size is not None:
        groups = f"groups of {plural(found.group_size, members.removesuffix('s'))}"
    numbered = ["numbered over all replicas"] * found.use_global_device_ids
    channel = [] if found.channel_id is None else [f"channel {found.channel_id}"]
    return ", ".join([*(pairs or [groups]), *numbered, *channel])


_WRITE: Mapping[str, Callable[[Any], str]] = {
    "collective": _collective, "convolution": dimension_labels, "dimensions": braces,
    "dot": dot_text, "fft_lengths": braces, "window": window_text,
}  # fmt: skip


def _written(name: str, value: Any) -> str:
    text = "" if value in (None, ()) else _WRITE.get(name, str)(value)
    return text if len(text) <= _MOST_WRITTEN else text[: _MOST_WRITTEN - 1] + "…"
