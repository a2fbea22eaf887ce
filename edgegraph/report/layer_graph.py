"""The graph of layers: boxes in the order in which the data runs through them, without cycles.

A layer's ops make one box, unless the data leaves the layer and comes back to it, as it does
with what a network does between its sublayers (activation, pooling): then every stay is a box.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgegraph.hlo.op_name import parse_op_name, parse_parameter_name
from edgegraph.report.dataflow import DataFlow
from edgegraph.report.names import MOST_CHARACTERS, short_names
from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord
from edgegraph.results.latency import UNATTRIBUTED

INPUTS = "inputs"
OUTPUTS = "outputs"
MOST_BOXES = 160
"""Beyond that the layers are drawn one level higher."""

_OWN = "(own)"
_MOST_FUNCTIONS = 3
_JITTED = re.compile(r"\bp?jit\((\w+)\)")
_FILLERS = frozenset({"broadcast", "iota"})
"""They make the same value anywhere; XLA shares one among layers that have nothing to do with
each other."""

_ARGUMENTS_OF_THE_MODEL = frozenset({"params", "state", "opt_state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A layer, or one stay of the data in a layer.

    Attributes:
        title: Short name of the layer; where it has several boxes, with the number of the part,
            or, for what a layer does itself, the functions that do most of the work.
        layer, phase: As in the layer records; `layer` is ``inputs`` or ``outputs`` for the
            program's own ends.
        record: The layer's record if this box is all of it, else None.
        flops, bytes: Sums over its ops; None if unknown.
        bound: Of the record, or by the sums over its ops.
        ops: Number of ops.
    """

    title: str
    layer: str
    phase: str
    record: LayerRecord | None
    flops: int | None
    bytes: int | None
    bound: str | None
    ops: int

    @property
    def is_end(self) -> bool:
        """Whether it stands for the program's inputs or outputs."""
        return self.layer in (INPUTS, OUTPUTS) and self.ops == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A value that runs along an edge."""

    shape: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGraph:
    """Boxes, each after those it reads from, and the tensors between them.

    Attributes:
        boxes: In topological order.
        edges: Tensors by the positions of their source and target in `boxes`.
        depth: Depth of the layers shown, or None where all leaves are.
    """

    boxes: tuple[Box, ...]
    edges: Mapping[tuple[int, int], tuple[Tensor, ...]]
    depth: int | None


@dataclass(slots=True)
class _Group:
    """A box while it grows."""

    layer: str
    phase: str
    ops: list[OpRecord] = field(default_factory=list)
    works: bool = False
    before: dict[int, set[str]] = field(default_factory=dict)
    """Groups that it reads from, with the ops that made what it reads."""


def layer_graph(analysis: Analysis, most: int = MOST_BOXES) -> LayerGraph:
    """Collapse the graph of ops to a graph of layers.

    Args:
        analysis: Any analysis whose HLO module is there.
        most: Number of boxes from which on layers are shown one level higher.

    Returns:
        A graph whose edges all run from an earlier box to a later one.
    """
    flow = DataFlow(analysis)
    deepest = max((row.depth for row in analysis.layer_records), default=0)
    groups: list[_Group] = []
    shown: int | None = None
    for depth in range(deepest, -1, -1):
        shown = depth if depth < deepest else None
        groups = _without_idle(_groups(analysis, flow, depth))
        if len(groups) <= most:
            break
    return _finish(analysis, flow, groups, shown)


def _groups(analysis: Analysis, flow: DataFlow, depth: int) -> list[_Group]:
    """Put every op into a box of its layer, or a new one where all of those made a cycle."""
    leaves = {(row.layer, row.phase) for row in analysis.layer_records if row.leaf}
    groups = [_Group(INPUTS, "forward")]
    stays: dict[tuple[str, str], list[int]] = {}
    fillers: dict[tuple[str, str], list[OpRecord]] = {}
    home: dict[str, int] = {}
    for op in analysis.op_records:
        if op.opcode == "parameter":
            if op.parent is None and _is_input(op):
                home[op.name] = 0
            continue
        # What is inside a container comes first, one step at a time: a long chain of values
        # must not exhaust Python's stack.
        if op.name in flow.containers or flow.sources(op.name) != {op.name}:
            continue
        place = (_shown_layer(op, leaves, depth), op.phase)
        read = flow.inputs_of(op.name)
        if op.opcode in _FILLERS and not read:
            fillers.setdefault(place, []).append(op)
            continue
        made_by: dict[int, set[str]] = {}
        for source in read:
            if source in home:
                made_by.setdefault(home[source], set()).add(source)
        at = _stay(groups, stays.setdefault(place, []), made_by)
        if at is None:
            at = len(groups)
            stays[place].append(at)
            groups.append(_Group(*place))
        groups[at].ops.append(op)
        # A branch that is not counted costs nothing, and yet it is a way for the data.
        groups[at].works |= _works(op) or op.name in flow.branching
        home[op.name] = at
        for box, names in made_by.items():
            if box != at:
                groups[at].before.setdefault(box, set()).update(names)
    for place, ops in fillers.items():
        if place not in stays:
            stays[place] = [len(groups)]
            groups.append(_Group(*place))
        groups[stays[place][0]].ops.extend(ops)
        groups[stays[place][0]].works |= any(_works(op) for op in ops)
    end = _Group(OUTPUTS, "forward")
    for name in flow.results():
        if name in home:
            end.before.setdefault(home[name], set()).add(name)
    return [*groups, end]


def _stay(
    groups: Sequence[_Group], stays: Sequence[int], made_by: Mapping[int, set[str]]
) -> int | None:
    """Choose among a layer's boxes: one that the op reads from, one beside it, or the latest."""

    def nearness(at: int) -> tuple[bool, bool, int]:
        return (at in made_by, not groups[at].before.keys().isdisjoint(made_by), at)

    ordered = sorted(stays, key=nearness, reverse=True)
    return next((at for at in ordered if not _makes_cycle(groups, at, made_by)), None)


def _is_input(op: OpRecord) -> bool:
    """Tell the data that the program is called with from the model's own arrays."""
    argument = op.op_name.partition("[")[0]
    return argument not in _ARGUMENTS_OF_THE_MODEL and parse_parameter_name(op.op_name) is None


def _shown_layer(op: OpRecord, leaves: set[tuple[str, str]], depth: int) -> str:
    if op.layer is None:
        return UNATTRIBUTED
    scopes = op.layer.split("/")
    if len(scopes) > depth:
        # What a layer does itself is a part of it where those below it are not shown.
        return "/".join(scopes[: depth + 1])
    own = f"{op.layer}/{_OWN}"
    return own if (own, op.phase) in leaves else op.layer


def _makes_cycle(groups: Sequence[_Group], at: int, made_by: Iterable[int]) -> bool:
    """Tell whether one of the sources already depends on the group `at`."""
    new = [source for source in made_by if source != at and source not in groups[at].before]
    seen: set[int] = set()
    while new:
        source = new.pop()
        if source == at:
            return True
        if source not in seen:
            seen.add(source)
            new.extend(groups[source].before)
    return False


def _without_idle(groups: list[_Group]) -> list[_Group]:
    """Take out boxes that neither compute nor move, and hand their inputs on; sort the rest."""
    kept: dict[int, _Group] = {}
    through: dict[int, dict[int, set[str]]] = {}
    last = len(groups) - 1
    for at in _topological(groups):
        group = groups[at]
        before: dict[int, set[str]] = {}
        for source, names in group.before.items():
            handed = {source: names} if source in kept else through.get(source, {})
            for origin, values in handed.items():
                before.setdefault(origin, set()).update(values)
        if at in (0, last) or group.works:
            kept[at] = group
            group.before = before
        else:
            through[at] = before
    position = {at: number for number, at in enumerate(kept)}
    for group in kept.values():
        group.before = {position[at]: names for at, names in group.before.items()}
    return list(kept.values())


def _works(op: OpRecord) -> bool:
    return op.flops != 0 or op.bytes_read != 0 or op.bytes_written != 0


def _topological(groups: Sequence[_Group]) -> list[int]:
    """Order groups so that every one comes after those it reads from, else as they are."""
    order: list[int] = []
    done: set[int] = set()
    for start in range(len(groups)):
        stack = [start]
        while stack:
            at = stack[-1]
            waiting = [source for source in sorted(groups[at].before) if source not in done]
            if at in done or not waiting:
                stack.pop()
                if at not in done:
                    done.add(at)
                    order.append(at)
            else:
                stack.extend(reversed(waiting))
    return order


def _finish(
    analysis: Analysis, flow: DataFlow, groups: Sequence[_Group], depth: int | None
) -> LayerGraph:
    rows = {(row.layer, row.phase): row for row in analysis.layer_records}
    pieces = Counter((group.layer, group.phase) for group in groups)
    names = short_names(analysis.layer_records)
    parts: Counter[tuple[str, str]] = Counter()
    boxes = []
    for number, group in enumerate(groups):
        place = (group.layer, group.phase)
        parts[place] += 1
        whole = pieces[place] == 1 and number not in (0, len(groups) - 1)
        title = names.get(place, group.layer)
        if group.layer == UNATTRIBUTED or group.layer.endswith(f"/{_OWN}"):
            title = _functions(group.ops) or title
        elif pieces[place] > 1:
            title += f" ({parts[place]} of {pieces[place]})"
        boxes.append(_box(group, rows.get(place) if whole else None, title))
    edges = {
        (source, target): tuple(
            sorted(
                (
                    Tensor(shape=flow.graph.nodes[n]["shape"], bytes=flow.graph.nodes[n]["bytes"])
                    for n in made
                ),
                key=lambda tensor: (-tensor.bytes, tensor.shape),
            )
        )
        for target, group in enumerate(groups)
        for source, made in sorted(group.before.items())
    }
    used = {end for edge in edges for end in edge} | set(range(1, len(boxes) - 1))
    keep = [number for number in range(len(boxes)) if number in used]
    at = {number: place for place, number in enumerate(keep)}
    return LayerGraph(
        boxes=tuple(boxes[number] for number in keep),
        edges={(at[source], at[target]): made for (source, target), made in edges.items()},
        depth=depth,
    )


def _box(group: _Group, record: LayerRecord | None, title: str) -> Box:
    compute = _sum_times(op.compute_time_s for op in group.ops)
    memory = _sum_times(op.memory_time_s for op in group.ops)
    bound = "compute" if compute >= memory else "memory"
    return Box(
        title=title,
        layer=group.layer,
        phase=group.phase,
        record=record,
        flops=_sum_counts(op.flops for op in group.ops),
        bytes=_sum_counts(count for op in group.ops for count in (op.bytes_read, op.bytes_written)),
        bound=record.bound if record is not None else bound if compute or memory else None,
        ops=len(group.ops),
    )


def _functions(ops: Iterable[OpRecord]) -> str:
    """Name the functions that do most of the work, in the order in which they run."""
    work: Counter[str] = Counter()
    for op in ops:
        work[_function(op)] += (op.flops or 0) + (op.bytes_read or 0) + (op.bytes_written or 0)
    ranked = [name for name, amount in work.most_common(_MOST_FUNCTIONS) if amount]
    while len(ranked) > 1 and len(", ".join(ranked)) > MOST_CHARACTERS:
        ranked.pop()
    return ", ".join(name for name in work if name in ranked)


def _function(op: OpRecord) -> str:
    """Name the jitted function that an op comes from (``relu``), or else its primitive."""
    jitted = _JITTED.findall(op.op_name)
    # The outermost one is the whole program.
    if len(jitted) > 1:
        return str(jitted[-1]).lstrip("_")
    return parse_op_name(op.op_name).primitive or op.opcode


def _sum_counts(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


def _sum_times(times: Iterable[float | None]) -> float:
    return sum(time or 0.0 for time in times)
