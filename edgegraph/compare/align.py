"""Which layer of one model is which of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from edgegraph.hlo import opcodes
from edgegraph.results.analysis import Analysis
from edgegraph.results.diff import NAME, ORDER, PATH, SIGNATURE
from edgegraph.results.latency import UNATTRIBUTED

OWN = "/(own)"
"""Ends the row of what a layer does itself, beside those of the layers in it."""


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
    """Numbers for layers: those of both models that are one another's counterpart share one.

    Attributes:
        before, after: Number by path.
        how: How the pair of that number was found: `PATH`, `NAME`, `SIGNATURE` or `ORDER`.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    how: Mapping[int, str]


def align_layers(before: Analysis, after: Analysis) -> Alignment:
    """Align the layers of two analyses, from the outermost inwards.

    Layers of one path are each other's counterpart. Of the others, those of one name in layers
    that are; then those whose ops are the same, and then those with the same kinds of products
    (dense layers, convolutions), both in the model's order.

    Returns:
        Every path of either analysis has a number, also where it has no counterpart.
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


def scope_of(layer: str | None) -> str:
    """Return the scope that a record's layer stands for.

    Example:
        >>> scope_of("Net/block/(own)"), scope_of(None)
        ('Net/block', '(unattributed)')
    """
    return UNATTRIBUTED if layer is None else layer.removesuffix(OWN)


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
    keys: list[tuple[Callable[[_Layer], Hashable], str]] = [
        (lambda each: each.signature, SIGNATURE),
        (lambda each: each.kind, ORDER),
    ]
    for key, by in keys:
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
