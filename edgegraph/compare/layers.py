"""Which layer of one model is which of the other, and how they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import SequenceMatcher
from math import hypot
from operator import attrgetter

from edgegraph.compare.result import LayerChange, LayerFigures, OpChange
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import is_own, lies_in, scope_of
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.timing import Latency, finest_cut
from edgegraph.results.verdicts import ESTIMATED, OK, noise, verdict_of

PATH = "path"
"""The layers have one path."""
NAME = "name"
"""They have one name, in layers that are each other's counterpart."""
SIGNATURE = "signature"
"""Their ops are the same, and they stand in the same order."""
ORDER = "order"
"""Both multiply, and they stand in the same order."""


@dataclass(slots=True)
class _Layer:
    """A scope, what the ops in and below it are, and the scopes in it."""

    path: str
    ops: Counter[tuple[str, str]] = field(default_factory=Counter)
    multiplies: bool = False
    children: dict[str, _Layer] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def signature(self) -> Hashable:
        return frozenset(self.ops.items()) or None

    @property
    def kind(self) -> Hashable:
        return (bool(self.children), "multiplies") if self.multiplies else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Numbers of layers by path, shared by counterparts; and by number, `how` these were found."""

    before: Mapping[str, int]
    after: Mapping[str, int]
    how: Mapping[int, str]


def align_layers(before: Analysis, after: Analysis) -> Alignment:
    """Align the layers of two analyses, from the outermost inwards; each gets a number.

    Layers of one path are each other's counterpart. Of the others, those of one name in layers
    that are; then those whose ops are the same, and then those with the same kinds of products
    (dense layers, convolutions), both in the model's order.
    """
    numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
    how: dict[int, str] = {}

    def pair(left: _Layer, right: _Layer, found_by: str) -> None:
        number = len(how)
        numbers[0][left.path] = numbers[1][right.path] = number
        how[number] = PATH if left.path == right.path else found_by
        children = [list(each.children.values()) for each in (left, right)]
        for pairs, by in _counterparts(children[0], children[1]):
            for one, other in pairs:
                pair(one, other, by)

    trees = [_tree(analysis) for analysis in (before, after)]
    pair(trees[0], trees[1], PATH)
    for tree, known in zip(trees, numbers, strict=True):
        for layer in _walk(tree):
            if layer.path not in known:
                known[layer.path] = len(how)
                how[len(how)] = ""
    return Alignment(before=numbers[0], after=numbers[1], how=how)


def _tree(analysis: Analysis) -> _Layer:
    """Build the tree of scopes, in the order in which they do work."""
    root = _Layer("")
    branches: dict[str, list[_Layer]] = {}
    for op in analysis.op_tree.leaves:
        if op.opcode in opcodes.FREE:
            continue
        scope = scope_of(op.layer)
        if scope not in branches:
            branches[scope] = _branch(root, scope)
        for layer in branches[scope]:
            layer.ops[op.opcode, op.shape] += 1
            layer.multiplies |= bool(op.macs)
    idle = [op.layer for op in analysis.op_records] + [row.layer for row in analysis.layer_records]
    for layer_path in dict.fromkeys(idle):
        _branch(root, scope_of(layer_path))
    return root


def _branch(root: _Layer, path: str) -> list[_Layer]:
    """Return the scopes along a path, made where they are not there yet."""
    branch, upto = [root], ""
    for part in path.split("/"):
        upto = f"{upto}/{part}" if upto else part
        children = branch[-1].children
        if part not in children:
            children[part] = _Layer(upto)
        branch.append(children[part])
    return branch


def _walk(layer: _Layer) -> Iterable[_Layer]:
    yield layer
    for child in layer.children.values():
        yield from _walk(child)


_Pairs = list[tuple[_Layer, _Layer]]


def _counterparts(left: Sequence[_Layer], right: Sequence[_Layer]) -> Iterable[tuple[_Pairs, str]]:
    by_name = {each.name: each for each in right}
    pairs = [(each, by_name[each.name]) for each in left if each.name in by_name]
    yield pairs, NAME
    named = {one.name for one, _ in pairs}
    lefts = [each for each in left if each.name not in named]
    rights = [each for each in right if each.name not in named]
    for key, by in ((attrgetter("signature"), SIGNATURE), (attrgetter("kind"), ORDER)):
        pairs = _in_order(lefts, rights, key)
        yield pairs, by
        taken = {id(each) for both in pairs for each in both}
        lefts = [each for each in lefts if id(each) not in taken]
        rights = [each for each in rights if id(each) not in taken]


def _in_order(
    left: Sequence[_Layer], right: Sequence[_Layer], key: Callable[[_Layer], Hashable]
) -> _Pairs:
    """Pair those of equal keys along the longest runs that both sides have in common."""
    lefts = [each for each in left if key(each) is not None]
    rights = [each for each in right if key(each) is not None]
    matcher = SequenceMatcher(None, [*map(key, lefts)], [*map(key, rights)], autojunk=False)
    return [
        (lefts[block.a + offset], rights[block.b + offset])
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    ]


def compare_latencies(before: Latency | None, after: Latency | None) -> tuple[float, str] | None:
    """Return the noise of a difference and the verdict; None where one was not measured."""
    if before is None or after is None:
        return None
    noise_s = hypot(noise([(before, 1)]), noise([(after, 1)]))
    sound = before.verdict == after.verdict == OK
    return noise_s, verdict_of(before.median_s, after.median_s, noise_s, sound=sound)


class LayerTimes:
    """Compares the times of layers of two analyses."""

    def __init__(self, before: Analysis, after: Analysis) -> None:
        """Remember how every layer was timed."""
        self._timed = [
            [
                (each.layer, each.phase, each.latency, each.executions)
                for each in finest_cut(analysis.layer_latencies)
            ]
            for analysis in (before, after)
        ]
        self._same_device = before.device == after.device and before.device is not None

    def compare(
        self, before: LayerRecord | None, after: LayerRecord | None
    ) -> tuple[float | None, str | None]:
        """Return the noise of the difference and the verdict, None where there is none."""
        if before is None or after is None or before.time_s is None or after.time_s is None:
            return None, None
        if before.time_source != after.time_source:
            return None, None
        if before.time_source != "measured":
            return None, ESTIMATED if self._same_device else None
        timed = self._of(0, before), self._of(1, after)
        if not all(timed):
            return None, None
        noise_s = hypot(*map(noise, timed))
        sound = all(latency.verdict == OK for side in timed for latency, _ in side)
        return noise_s, verdict_of(before.time_s, after.time_s, noise_s, sound=sound)

    def _of(self, side: int, row: LayerRecord) -> list[tuple[Latency, int]]:
        """Return what was measured of a layer, with all below it unless the row is its own part."""
        scope, own = scope_of(row.layer), is_own(row.layer)
        return [
            (latency, executions)
            for layer, phase, latency, executions in self._timed[side]
            if phase == row.phase and (layer == scope if own else lies_in(layer, scope))
        ]


_Key = tuple[int, bool, str]
"""Number of the aligned layer, whether it is its own part, and the phase."""


def layer_changes(
    before: Analysis, after: Analysis, aligned: Alignment, ops: Sequence[OpChange]
) -> tuple[LayerChange, ...]:
    """Pair layers in the order of the model after, what was removed behind what it stood behind."""
    lefts = {_key(row, aligned.before): row for row in before.layer_records}
    rights = {_key(row, aligned.after): row for row in after.layer_records}
    peaks = (_Peaks(before), _Peaks(after))
    times = LayerTimes(before, after)
    changed = _count(ops, aligned)
    rows = []
    for key in _merged(list(lefts), list(rights)):
        left, right = lefts.get(key), rights.get(key)
        present = right or left
        if present is None:
            continue
        noise_s, verdict = times.compare(left, right)
        rows.append(
            LayerChange(
                phase=present.phase,
                depth=present.depth,
                leaf=present.leaf,
                aligned_by=aligned.how[key[0]] if left and right else None,
                before=_figures(left, peaks[0]),
                after=_figures(right, peaks[1]),
                op_changes=changed.get(key, 0),
                noise_s=noise_s,
                time_verdict=verdict,
            )
        )
    return tuple(rows)


def _key(row: LayerRecord, numbers: Mapping[str, int]) -> _Key:
    return numbers[scope_of(row.layer)], is_own(row.layer), row.phase


def _merged(before: Sequence[_Key], after: Sequence[_Key]) -> Iterable[_Key]:
    """Yield the keys of `after`, each followed by those that only `before` has behind it."""
    present = set(after)
    behind: dict[_Key | None, list[_Key]] = {}
    last: _Key | None = None
    for key in before:
        if key in present:
            last = key
        else:
            behind.setdefault(last, []).append(key)
    yield from behind.get(None, ())
    for key in after:
        yield key
        yield from behind.get(key, ())


def _count(ops: Sequence[OpChange], aligned: Alignment) -> dict[_Key, int]:
    """Count the changes in every layer and those below it, once in each that either side is in."""
    counts: dict[_Key, int] = {}
    for change in ops:
        keys: set[_Key] = set()
        for figures, numbers in ((change.before, aligned.before), (change.after, aligned.after)):
            if figures is None:
                continue
            scope = scope_of(figures.layer)
            parts = scope.split("/")
            if scope in numbers:
                keys.add((numbers[scope], True, change.phase))
            keys.update(
                (numbers[path], False, change.phase)
                for end in range(1, len(parts) + 1)
                if (path := "/".join(parts[:end])) in numbers
            )
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
    return counts


class _Peaks:
    """Bytes of what each layer made and is alive at the program's peak."""

    def __init__(self, analysis: Analysis) -> None:
        self._known = analysis.live_memory is not None
        self._held: dict[str, int] = {}
        for buffer in () if analysis.live_memory is None else analysis.live_memory.peak_buffers:
            scope = scope_of(buffer.layer)
            self._held[scope] = self._held.get(scope, 0) + buffer.bytes
        self._first: dict[str, str] = {}
        for row in analysis.layer_records:
            self._first.setdefault(row.layer, row.phase)

    def of(self, row: LayerRecord) -> int | None:
        """Return them for a row; 0 for the later phases of a layer."""
        if not self._known:
            return None
        if self._first[row.layer] != row.phase:
            return 0
        scope = scope_of(row.layer)
        if is_own(row.layer):
            return self._held.get(scope, 0)
        return sum(held for path, held in self._held.items() if lies_in(path, scope))


def _figures(row: LayerRecord | None, peaks: _Peaks) -> LayerFigures | None:
    if row is None:
        return None
    return LayerFigures(peak_bytes=peaks.of(row), **{name: getattr(row, name) for name in _ON_ROW})


_ON_ROW = tuple(field.name for field in fields(LayerFigures) if field.name != "peak_bytes")
"""Figures that stand on the layer's row already."""
