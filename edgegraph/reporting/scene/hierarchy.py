"""From ops to nested boxes: scopes, then fusions, loops and calls, then what runs in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

MOST_CHILDREN = 120
"""A group of more is drawn as groups of neighbours in topological order."""

_FLAT = 40
"""So many ops are drawn side by side inside a fusion; more are put into their scopes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An op, as far as its place in the drawing depends on it.

    Attributes:
        path: The scopes that it stands in, outermost first.
        rows: The layer record of every scope, by position; None where it has none.
        parent: Position of the op that it runs in, or None.
        operands: Positions of the ops that it reads, all of one parent with it and before it.
        bytes: Of its value; of several values on one line the largest is named.
        fused: Whether it is a fusion, whose ops stand side by side while they are few and of one
            scope; else it shows its layers as its parts.
        idle: Whether it names a value or hands it on, and takes no time.
    """

    name: str
    path: tuple[str, ...] = ()
    rows: tuple[int | None, ...] = ()
    parent: int | None = None
    operands: tuple[int, ...] = ()
    bytes: int = 0
    fused: bool = False
    idle: bool = False

    @property
    def given(self) -> bool:
        """Whether it is an input or a constant."""
        return self.idle and not self.operands


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What runs from one child to a later one: so many values, of which `op` has the largest."""

    source: int
    target: int
    op: int
    values: int


@dataclass(slots=True, kw_only=True)
class Box:
    """A scope, a number of neighbours or an op, with what is drawn inside it.

    Attributes:
        title: The op's or scope's own name; chains of scopes with one child stand in one box.
        kind: ``scope``, ``run`` (neighbours that have no scope of their own) or ``op``.
        depth: How many scopes lead here, this one counted.
        rows: The layer records of the scope; of a chain those of all its scopes. None where all
            that it holds is idle: what the layer takes is taken elsewhere.
        part, parts: Number of this stay in the layer and how many there are; 1 of 1 for a whole.
        ops: The ops of one parent that it holds; itself for an op.
        children: In topological order.
    """

    title: str
    kind: str
    depth: int = 0
    rows: tuple[int, ...] = ()
    part: int = 1
    parts: int = 1
    op: int | None = None
    ops: Sequence[int] = ()
    children: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


def nest(items: Sequence[Item], title: str = "") -> Box:
    """Put ops into nested boxes: containers come before their contents, operands before users.

    Inputs that nothing reads, such as the state of random numbers, have no box.
    """
    read = {operand for item in items for operand in item.operands}
    alone = {number for number, item in enumerate(items) if item.given and number not in read}
    inside: dict[int | None, list[int]] = {None: []}
    for number, item in enumerate(items):
        inside.setdefault(item.parent, []).append(number)
    inside[None] = [op for op in inside[None] if op not in alone] or inside[None]
    top = Box(title=title, kind="scope", ops=inside[None])
    waiting: list[tuple[Box, int | None]] = [(top, 0)]
    while waiting:
        box, depth = waiting.pop()
        _fill(box, depth, items)
        below = list(box.children)
        while below:
            child = below.pop()
            if child.kind == "run":
                below.extend(child.children)
            elif child.op is None:
                waiting.append((child, child.depth))
            elif child.op in inside:
                held = Box(title="", kind="scope", ops=inside[child.op])
                scopes = {items[op].path for op in held.ops if items[op].path}
                flat = items[child.op].fused and len(held.ops) <= _FLAT and len(scopes) <= 1
                _fill(held, None if flat else _common(items, held.ops), items)
                child.children, child.lines = held.children, held.lines
                below.extend(child.children)
    _settle(top, items)
    return top


def _settle(top: Box, items: Sequence[Item]) -> None:
    """Say which boxes hold a layer's inputs and not its work, and number the parts of a layer."""
    stays: dict[int | tuple[int, str], list[Box]] = {}
    waiting = [(child, top) for child in reversed(top.children)]
    while waiting:
        box, around = waiting.pop()
        waiting.extend((child, box) for child in reversed(box.children))
        if box.kind != "scope":
            continue
        if all(items[op].idle for op in box.ops):
            box.rows = ()
            box.title += " inputs" * all(items[op].given for op in box.ops)
        key = box.rows[-1] if box.rows else (id(around), box.title)
        stays.setdefault(key, []).append(box)
    for found in stays.values():
        for number, box in enumerate(found, start=1):
            box.part, box.parts = number, len(found)


def _common(items: Sequence[Item], ops: Sequence[int]) -> int:
    """Count the scopes that all of the ops have in common, those without any aside."""
    return len(shared([items[op].path for op in ops if items[op].path]))


def shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the scopes that all paths begin with: those of the first and the last in order."""
    ends = zip(min(paths, default=()), max(paths, default=()), strict=False)
    return tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], ends))


def _fill(box: Box, depth: int | None, items: Sequence[Item]) -> None:
    """Put the ops of a box into boxes of their next scope; without depth, each into its own."""
    at = {op: number for number, op in enumerate(box.ops)}
    operands = [[at[o] for o in items[op].operands if o in at] for op in box.ops]
    while True:
        labels = [
            items[op].path[depth] if depth is not None and len(items[op].path) > depth else None
            for op in box.ops
        ]
        if depth is None or None in labels or len(set(labels)) != 1:
            break
        # A scope that holds nothing but one scope is drawn as one box.
        box.rows += _row(items[box.ops[0]], depth)
        depth += 1
        box.title = f"{box.title}/{labels[0]}" if box.title else str(labels[0])
    parts = split(labels, operands)
    children = _children(box, depth, items, labels, parts)
    lines = _lines(box, items, operands, parts)
    order = topological(len(children), list(lines))
    place = {child: number for number, child in enumerate(order)}
    box.children = [children[child] for child in order]
    box.lines = [
        Line(source=place[source], target=place[target], op=op, values=values)
        for (source, target), (op, values) in lines.items()
    ]
    _bundle(box, items)


def _children(
    box: Box,
    depth: int | None,
    items: Sequence[Item],
    labels: Sequence[str | None],
    parts: Sequence[int],
) -> list[Box]:
    members: list[list[int]] = [[] for _ in range(max(parts, default=-1) + 1)]
    names: list[str | None] = [None] * len(members)
    for op, label, part in zip(box.ops, labels, parts, strict=True):
        members[part].append(op)
        names[part] = label
    children = []
    for name, ops in zip(names, members, strict=True):
        if name is None or depth is None:
            children.append(Box(title=items[ops[0]].name, kind="op", op=ops[0], ops=ops))
        else:
            rows = _row(items[ops[0]], depth)
            children.append(Box(title=name, kind="scope", depth=depth + 1, rows=rows, ops=ops))
    return children


def _row(item: Item, depth: int) -> tuple[int, ...]:
    row = item.rows[depth] if depth < len(item.rows) else None
    return () if row is None else (row,)


def _lines(
    box: Box, items: Sequence[Item], operands: Sequence[Sequence[int]], parts: Sequence[int]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Lift what the ops read to lines between their parts: the largest value, and how many."""
    values: dict[tuple[int, int], set[int]] = {}
    for number, read in enumerate(operands):
        for operand in read:
            if parts[operand] != parts[number]:
                values.setdefault((parts[operand], parts[number]), set()).add(box.ops[operand])
    return {
        line: (max(ops, key=lambda op: (items[op].bytes, -op)), len(ops))
        for line, ops in values.items()
    }


def topological(count: int, lines: Sequence[tuple[int, int]]) -> list[int]:
    """Order nodes so that sources come before targets, and what belongs together near.

    Every node stands right behind what it reads: the order in which a depth-first walk from the
    last nodes backwards leaves them.
    """
    before: list[list[int]] = [[] for _ in range(count)]
    ends = set(range(count))
    for source, target in lines:
        before[target].append(source)
        ends.discard(source)
    order: list[int] = []
    seen = [False] * count
    for end in sorted(ends):
        stack = [(end, iter(sorted(before[end])))]
        seen[end] = True
        while stack:
            node, sources = stack[-1]
            step = next((source for source in sources if not seen[source]), None)
            if step is None:
                stack.pop()
                order.append(node)
            else:
                seen[step] = True
                stack.append((step, iter(sorted(before[step]))))
    return order


def _bundle(box: Box, items: Sequence[Item]) -> None:
    """Put neighbours together until no group has too many children.

    Neighbours in topological order have no way out and back in, so no cycle comes up.
    """
    while len(box.children) > MOST_CHILDREN:
        count = len(box.children)
        runs = math.ceil(count / min(MOST_CHILDREN, math.ceil(math.sqrt(count))))
        run_of = [number * runs // count for number in range(count)]
        first = [run_of.index(run) for run in range(runs)]
        bundled = []
        for run, start in enumerate(first):
            members = box.children[start : first[run + 1] if run + 1 < runs else count]
            named = [child for child in members if child.op is None] or members
            bundled.append(
                Box(
                    title=f"{named[0].title} … {named[-1].title}",
                    kind="run",
                    ops=[op for child in members for op in child.ops],
                    children=members,
                )
            )
        between: dict[tuple[int, int], list[Line]] = {}
        for line in box.lines:
            source, target = run_of[line.source], run_of[line.target]
            if source != target:
                between.setdefault((source, target), []).append(line)
                continue
            start = first[source]
            inside = replace(line, source=line.source - start, target=line.target - start)
            bundled[source].lines.append(inside)
        box.children = bundled
        box.lines = [
            Line(
                source=source,
                target=target,
                op=max((line.op for line in lines), key=lambda op: (items[op].bytes, -op)),
                values=sum(line.values for line in lines),
            )
            for (source, target), lines in between.items()
        ]


_CANDIDATES = 16
"""Only so many of a scope's latest parts are tried, so that many parts cost no more than few."""


def split(labels: Sequence[str | None], operands: Sequence[Sequence[int]]) -> list[int]:
    """Return for every op, operands before users, the number of its part, by where parts begin.

    A scope, the label, is one part unless its ops lie before and after another's; then every op
    goes to the part that it reads from, or the latest, that closes no cycle, else to a new one. An
    op without a label is a part by itself.
    """
    return _Splitter().split(labels, operands)


class _Splitter:
    """Knows which parts lie before which, as sets of bits.

    Parts of a single op never grow, so what they read through stays as it was when they came;
    only parts with a label are followed.
    """

    def __init__(self) -> None:
        self._before: list[int] = []
        """By part with a label: the labelled parts with a way into it."""

    def split(self, labels: Sequence[str | None], operands: Sequence[Sequence[int]]) -> list[int]:
        parts: list[int] = []
        numbers: dict[int, int] = {}
        stays: dict[str, list[int]] = {}
        home: list[int | None] = []
        through: list[int] = []
        count = 0
        for label, read in zip(labels, operands, strict=True):
            inside, outside = 0, 0
            for operand in read:
                part = home[operand]
                if part is None:
                    outside |= through[operand]
                else:
                    inside |= 1 << part
            if label is None:
                home.append(None)
                through.append(inside | outside)
                parts.append(count)
                count += 1
                continue
            at = self._place(stays.setdefault(label, []), inside, outside)
            if at not in numbers:
                numbers[at] = count
                count += 1
            home.append(at)
            through.append(0)
            parts.append(numbers[at])
        return parts

    def _place(self, stays: list[int], inside: int, outside: int) -> int:
        """Choose the part for an op that reads from members of `inside` and from `outside`."""
        sources = list(_bits(inside | outside))
        candidates = sorted(stays[-_CANDIDATES:], key=lambda at: (inside >> at & 1, at))
        for at in reversed(candidates):
            if not outside >> at & 1 and not any(
                self._before[source] >> at & 1 for source in sources if source != at
            ):
                self._add(at, sources)
                return at
        at = len(self._before)
        self._before.append(0)
        stays.append(at)
        self._add(at, sources)
        return at

    def _add(self, at: int, sources: Sequence[int]) -> None:
        before = self._before[at]
        for source in sources:
            if source != at:
                before |= self._before[source] | 1 << source
        if before != self._before[at]:
            self._before[at] = before
            for after, known in enumerate(self._before):
                if known >> at & 1:
                    self._before[after] = known | before


def _bits(number: int) -> list[int]:
    found = []
    while number:
        lowest = number & -number
        found.append(lowest.bit_length() - 1)
        number ^= lowest
    return found
