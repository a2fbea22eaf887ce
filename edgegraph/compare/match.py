"""Which op of one module is which of the other."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from edgegraph.compare.side import Side, downwards, upwards
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.identity import Labels

Pair = tuple[int, int]
"""Positions of an op before and after."""

_Key = Callable[[int], Hashable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How the ops of two sides correspond: which do the same, at the same cost, in the same layer.

    Those of them that take other operands are `rewired` as well. Kernels `fused_differently` hold
    ops of each other, not one to one.
    """

    same: list[Pair] = field(default_factory=list)
    rewired: list[Pair] = field(default_factory=list)
    changed: list[Pair] = field(default_factory=list)
    fused_differently: list[tuple[list[int], list[int]]] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    added: list[int] = field(default_factory=list)


class _Open:
    """The ops of both sides that have no counterpart yet, in the order of execution."""

    def __init__(self, before: Side, after: Side) -> None:
        self.before = dict.fromkeys(range(len(before.nodes)))
        self.after = dict.fromkeys(range(len(after.nodes)))

    def pair(self, before_key: _Key, after_key: _Key) -> list[Pair]:
        """Take out ops of equal keys, in order; those whose key is None stay."""
        waiting: dict[Hashable, deque[int]] = {}
        for position in self.after:
            if (key := after_key(position)) is not None:
                waiting.setdefault(key, deque()).append(position)
        pairs = [
            (position, waiting[key].popleft())
            for position in self.before
            if (key := before_key(position)) is not None and waiting.get(key)
        ]
        for one, other in pairs:
            del self.before[one], self.after[other]
        return pairs


def match(before: Side, after: Side, labels: Labels) -> Match:
    """Find the counterpart of every op, the surest first; `labels` made those of both sides.

    Ops that do the same are paired with those that have the same surroundings: everything they
    are computed from and everything computed from them, then one of the two, then their
    neighbours, then none. Of the rest, kernels of the same kind are paired likewise, then those
    that share ops, then ops between the same neighbours, then products, and at last ops that moved
    to another layer.
    """
    found = Match()
    waiting = _Open(before, after)
    sides = before, after
    found.same.extend(
        _pair_alike(sides, labels, waiting, attrgetter("own"), attrgetter("deep"), _near)
    )
    found.rewired.extend(_rewired(before, after, labels, found.same))
    if waiting.before and waiting.after:
        kinds = attrgetter("kinds")
        alike = _pair_alike(
            sides,
            labels,
            waiting,
            kinds,
            kinds,
            lambda side, at: side.record(at).shape,
            lambda side, at: tuple([side.kinds[operand] for operand in side.operands[at]]),
        )
        found.changed.extend(alike)
        for lefts, rights in _sharing(before, after, waiting):
            if len(lefts) == len(rights) == 1:
                found.changed.append((lefts[0], rights[0]))
            else:
                found.fused_differently.append((lefts, rights))
        found.changed.extend(waiting.pair(_spot(before), _spot(after)))
        found.changed.extend(waiting.pair(_product(before), _product(after)))
        found.changed.extend(waiting.pair(_anywhere(before), _anywhere(after)))
    found.removed.extend(waiting.before)
    found.added.extend(waiting.after)
    return found


def _pair_alike(
    sides: Sequence[Side],
    labels: Labels,
    waiting: _Open,
    what: Callable[[Side], Sequence[int]],
    seeds: Callable[[Side], Sequence[int]],
    *more: Callable[[Side, int], Hashable],
) -> Iterator[Pair]:
    """Pair ops of one layer that agree in `what`, those with the same surroundings before others.

    Surroundings are all that an op is computed from, and all that is computed from it, told apart
    by `seeds`; then come those that `more` name, and at last none.
    """
    ups = [upwards(side, seeds(side), labels) for side in sides]
    downs = [downwards(side, seeds(side), labels) for side in sides]
    surroundings: list[list[_Key]] = [
        [lambda at, n=n: (ups[n][at], downs[n][at]) for n in (0, 1)],  # type: ignore[misc]
        [up.__getitem__ for up in ups],
        [down.__getitem__ for down in downs],
    ]
    surroundings += ([partial(each, side) for side in sides] for each in more)
    surroundings.append([lambda at: None, lambda at: None])

    def key(side: Side, around: _Key) -> _Key:
        alike = what(side)
        return lambda at: (side.layer_phases[at], alike[at], around(at))

    for arounds in surroundings:
        yield from waiting.pair(*map(key, sides, arounds))


def _near(side: Side, position: int) -> Hashable:
    """Return what stands directly before and after an op."""
    return (
        tuple([side.own[operand] for operand in side.operands[position]]),
        tuple(sorted([(slot, side.own[user]) for slot, user in side.users[position]])),
    )


def _rewired(before: Side, after: Side, labels: Labels, same: Sequence[Pair]) -> Iterable[Pair]:
    """Find ops whose operands all have a counterpart, but are not each other's.

    Every op is labelled by what it is and all that it is computed from. Where one has no equal
    while all its operands do, it is where the wiring differs; what is computed from it follows.
    """
    ups = [
        upwards(
            side,
            [labels.of(both) for both in zip(side.layer_phases, side.own, strict=True)],
            labels,
        )
        for side in (before, after)
    ]
    known = [set(each) for each in ups]

    def differs_here(side: int, operands: Sequence[int], position: int) -> bool:
        other = known[1 - side]
        return ups[side][position] not in other and all(
            ups[side][operand] in other for operand in operands
        )

    for one, other in same:
        if differs_here(0, before.operands[one], one) and differs_here(
            1, after.operands[other], other
        ):
            yield one, other


def _spot(side: Side) -> _Key:
    """Pair what stands between the same neighbours and gives a result of the same shape."""

    def key(position: int) -> Hashable:
        node = side.nodes[position]
        if node.opcode in opcodes.IDLE:
            return None
        return side.layer_phases[position], node.instruction.shape.dimensions, _near(side, position)

    return key


def _product(side: Side) -> _Key:
    """Pair what multiplies in a layer, whatever carries the product out."""

    def key(position: int) -> Hashable:
        record = side.record(position)
        holds = record.opcode in opcodes.PLUMBING | opcodes.CONTROL_FLOW
        return side.layer_phases[position] if record.macs and not holds else None

    return key


def _anywhere(side: Side) -> _Key:
    """Pair what does the same work in another layer."""

    def key(position: int) -> Hashable:
        slight = {
            node.opcode for node in side.primitives(position)
        } <= opcodes.SLIGHT | opcodes.PLUMBING
        return None if slight else side.own[position]

    return key


def _sharing(before: Side, after: Side, waiting: _Open) -> Iterable[tuple[list[int], list[int]]]:
    """Group kernels by the ops that they share; those that share none stay open.

    Ops are paired by layer, opcode and shape, then without the number type, then without the
    shape. Two kernels belong together where they share half of the smaller one's.
    """
    sides = (before, after)
    kernels = [
        [at for at in each if side.nodes[at].opcode not in opcodes.IDLE]
        for side, each in zip(sides, (waiting.before, waiting.after), strict=True)
    ]
    held = [
        [(node, at) for at in each for node in side.primitives(at)]
        for side, each in zip(sides, kernels, strict=True)
    ]
    shared: Counter[Pair] = Counter()
    for exactness in (_written_out, _without_dtype, _opcode_only):
        rights: dict[Hashable, deque[tuple[Node, int]]] = {}
        for node, at in held[1]:
            rights.setdefault(exactness(after, node), deque()).append((node, at))
        left: list[tuple[Node, int]] = []
        for node, at in held[0]:
            candidates = rights.get(exactness(before, node))
            if candidates:
                shared[at, candidates.popleft()[1]] += 1
            else:
                left.append((node, at))
        held = [left, [each for group in rights.values() for each in group]]
    sizes = [
        {at: len(side.primitives(at)) for at in each}
        for side, each in zip(sides, kernels, strict=True)
    ]
    links = [
        pair
        for pair, count in shared.items()
        if 2 * count >= min(sizes[0][pair[0]], sizes[1][pair[1]])
    ]
    groups = _connected(links)
    for number, own in enumerate((waiting.before, waiting.after)):
        for group in groups:
            for at in group[number]:
                del own[at]
    _absorb_small_kernels(sides, groups, waiting)
    return groups


def _absorb_small_kernels(
    sides: tuple[Side, Side], groups: Sequence[tuple[list[int], list[int]]], waiting: _Open
) -> None:
    """Add open kernels of one slight op (a broadcast, a copy) that the other side's hold."""
    for number, own in enumerate((waiting.before, waiting.after)):
        side, other = sides[number], sides[1 - number]
        alone: dict[Hashable, deque[int]] = {}
        for at in own:
            works = [n for n in side.primitives(at) if n.opcode not in opcodes.FREE]
            if len(works) == 1 and works[0].opcode in opcodes.SLIGHT:
                alone.setdefault(_written_out(side, works[0]), deque()).append(at)
        for group in groups if alone else ():
            lacking = _slight_inside(other, group[1 - number])
            lacking.subtract(_slight_inside(side, group[number]))
            for key, count in lacking.items():
                for _ in range(min(count, len(alone.get(key, ())))):
                    at = alone[key].popleft()
                    del own[at]
                    group[number].append(at)
            group[number].sort()


def _slight_inside(side: Side, kernels: Iterable[int]) -> Counter[Hashable]:
    return Counter(
        _written_out(side, node)
        for at in kernels
        for node in side.inside.get(side.nodes[at].name, ())
        if node.opcode in opcodes.SLIGHT
    )


def _written_out(side: Side, node: Node) -> Hashable:
    return side.layer_phase_of(node), node.opcode, side.records[node.name].shape


def _without_dtype(side: Side, node: Node) -> Hashable:
    return side.layer_phase_of(node), node.opcode, node.instruction.shape.dimensions


def _opcode_only(side: Side, node: Node) -> Hashable:
    return side.layer_phase_of(node), node.opcode


def _connected(links: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    """Return the connected groups of a bipartite graph, both sides of each in order."""
    neighbours: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for one, other in links:
        neighbours.setdefault((0, one), []).append((1, other))
        neighbours.setdefault((1, other), []).append((0, one))
    groups = []
    seen: set[tuple[int, int]] = set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        seen.add(start)
        group, todo = [], [start]
        while todo:
            group.append(todo.pop())
            for each in neighbours[group[-1]]:
                if each not in seen:
                    seen.add(each)
                    todo.append(each)
        sides = [sorted(at for each, at in group if each == side) for side in (0, 1)]
        groups.append((sides[0], sides[1]))
    return groups
