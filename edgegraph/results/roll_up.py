"""Ops rolled up by what holds them, and by phase, as a tree whose children add up to parents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgegraph.base.timing import bulk
from edgegraph.device.device import bound, overlapped
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import OWN, UNATTRIBUTED, scope_of
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.columns import add_up
from edgegraph.results.op_trace import OpShare
from edgegraph.results.records import (
    ALL_PHASES,
    LAYER_COLUMNS,
    OP_COLUMNS,
    PHASES,
    LayerRecord,
    OpRecord,
)
from edgegraph.results.timing import LayerLatency, finest_cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters of one layer."""

    count: int = 0
    bytes: int = 0

    def __add__(self, other: Parameters) -> Parameters:
        """Add two layers' parameters."""
        return Parameters(count=self.count + other.count, bytes=self.bytes + other.bytes)


@dataclass(slots=True, kw_only=True)
class _Scope:
    """One scope in one phase while the tree grows."""

    path: str
    ops: list[OpRecord] = field(default_factory=list)
    parameters: Parameters = Parameters()
    traced_s: float | None = None
    children: dict[str, _Scope] = field(default_factory=dict)


@bulk
def roll_up(
    ops: Sequence[OpRecord],
    parameters: Mapping[str, Parameters] | None,
    latencies: Sequence[LayerLatency] = (),
    shares: Sequence[OpShare] = (),
    paths: Mapping[str, str | None] | None = None,
) -> tuple[LayerRecord, ...]:
    """Roll ops up into layers: parents before children, phase by phase, ``(unattributed)`` last.

    Containers are passed over, since their contents carry the cost. `parameters` are by the layer
    that owns them, None where they are unknown; `paths`, by the name of an op, stand in place of
    its layer, whatever its phase. The rows of depth 0 add up to the program, and so do the leaves.
    Where starting small kernels takes most of the time and none was measured, shares are of what
    is expected.
    """

    def place(op: OpRecord | OpShare) -> tuple[str, str]:
        if paths is None:
            return op.layer or UNATTRIBUTED, op.phase
        return paths.get(op.name) or UNATTRIBUTED, ALL_PHASES

    trees: dict[str, _Scope] = {}
    together: dict[tuple[str, str], list[OpRecord]] = {}
    for op in OpTree(ops).leaves:
        together.setdefault(place(op), []).append(op)
    for (layer, phase), members in together.items():
        _scope(trees, layer, phase).ops.extend(members)
    for layer, owned in (parameters or {}).items():
        scope = _scope(trees, layer or UNATTRIBUTED, "forward")
        scope.parameters = scope.parameters + owned
    for share in shares:
        scope = _scope(trees, *place(share))
        scope.traced_s = (scope.traced_s or 0.0) + share.time_s
    measured = _timings(trees, latencies) if latencies or not shares else _traced(trees)
    known = latencies or shares or not any(op.bound == "overhead" for op in ops)
    takes = _takes_s if known else _expected_s
    rows = [
        row
        for phase in sorted(trees, key=[*PHASES, *trees].index)
        for scope in sorted(trees[phase].children.values(), key=lambda s: s.path == UNATTRIBUTED)
        for row in _rows(scope, phase, measured, takes)
    ]
    if parameters is None:
        rows = [replace(row, params=None, param_bytes=None) for row in rows]
    return _with_shares(rows, takes)


def _scope(trees: dict[str, _Scope], layer: str, phase: str) -> _Scope:
    scope = trees.setdefault(phase, _Scope(path=""))
    path = ""
    for part in layer.split("/"):
        path = f"{path}/{part}" if path else part
        scope = scope.children.setdefault(part, _Scope(path=path))
    return scope


def _does_something(scope: _Scope) -> bool:
    """Tell it from a scope that only names values: ops that cost nothing, and no parameters."""
    return (
        bool(scope.parameters.count)
        or bool(scope.traced_s)
        or any(op.opcode not in opcodes.FREE or op.bytes_written for op in scope.ops)
    )


def _rows(
    top: _Scope, phase: str, measured: Mapping[tuple[str, str], _Timing], takes: _Takes
) -> list[LayerRecord]:
    """Return the row of a scope and those of everything below it; none where nothing is done."""
    waiting, scopes = [(top, 0)], []
    while waiting:
        scopes.append(waiting.pop())
        scope, depth = scopes[-1]
        waiting += [(child, depth + 1) for child in scope.children.values()]
    made: dict[int, list[LayerRecord]] = {}
    for scope, depth in reversed(scopes):  # children before parents
        below = [row for child in scope.children.values() for row in made.pop(id(child))]
        made[id(scope)] = _with_below(scope, phase, depth, measured, below, takes)
    return made[id(top)]


def _with_below(
    scope: _Scope,
    phase: str,
    depth: int,
    measured: Mapping[tuple[str, str], _Timing],
    below: list[LayerRecord],
    takes: _Takes,
) -> list[LayerRecord]:
    """Return the row of a scope, and the rows of what is below it."""
    own = _does_something(scope)
    if not below:
        return [_leaf(scope, scope.path, phase, depth, measured)] if own else []
    if own:
        below.append(_leaf(scope, f"{scope.path}/{OWN}", phase, depth + 1, measured))
    direct = [row for row in below if row.depth == depth + 1]
    parent = _sum(scope.path, phase, depth, direct)
    leaves = [measured.get((scope_of(row.layer), phase)) for row in below if row.leaf]
    # The rows below share the time of a piece that was measured as a whole.
    if all(timing is not None and timing.pieces == {scope.path} for timing in leaves):
        parent = replace(parent, time_source="measured")
        parent = replace(parent, efficiency=_efficiency(parent))
    return [replace(parent, bound=_bound(parent, launched=_is_launched(below, takes))), *below]


_FROM_OPS = [column for name, column in OP_COLUMNS.items() if column.adds and name in LAYER_COLUMNS]
_ROOFS = [OP_COLUMNS[name] for name in ("compute_time_s", "memory_time_s", "network_time_s")]


def _leaf(
    scope: _Scope, name: str, phase: str, depth: int, measured: Mapping[tuple[str, str], _Timing]
) -> LayerRecord:
    """Add up the ops of one scope."""
    ops = scope.ops
    timing = measured.get((scope.path, phase)) or _Timing(_estimate(ops), "estimated")
    row = LayerRecord(
        layer=name,
        phase=phase,
        depth=depth,
        leaf=True,
        ops=sum(op.opcode not in opcodes.FREE for op in ops),
        params=scope.parameters.count,
        param_bytes=scope.parameters.bytes,
        bound=None,
        time_s=timing.time_s,
        time_source=None if timing.time_s is None else timing.source,
        share=None,
        efficiency=None,
        traced_time_s=scope.traced_s,
        **add_up(ops, _FROM_OPS),
    )
    launched = timing.overhead or _of_small_kernels(ops)
    return replace(row, bound=_bound(row, launched=launched), efficiency=_efficiency(row))


def _sum(layer: str, phase: str, depth: int, children: Sequence[LayerRecord]) -> LayerRecord:
    """Return the row of a parent: the sum of its direct children."""
    sources = {child.time_source for child in children if child.time_source is not None}
    row = LayerRecord(
        layer=layer,
        phase=phase,
        depth=depth,
        leaf=False,
        bound=None,
        time_source=sources.pop() if len(sources) == 1 else "estimated" if sources else None,
        share=None,
        efficiency=None,
        **add_up(children, LAYER_COLUMNS.values()),
    )
    return replace(row, efficiency=_efficiency(row))


def _of_small_kernels(ops: Sequence[OpRecord]) -> bool:
    """Return whether starting kernels is most of what ops take, which says so of each."""
    measured = any(op.time_source != "estimated" for op in ops)
    times_s = [(op.time_s if measured else op.expected_time_s) or 0.0 for op in ops]
    small = [time_s for op, time_s in zip(ops, times_s, strict=True) if op.bound == "overhead"]
    return bool(small) and sum(small) > sum(times_s) / 2


_Takes = Callable[[LayerRecord], float | None]
"""Returns the time by which rows are weighed."""


def _takes_s(row: LayerRecord) -> float | None:
    return row.time_s


def _expected_s(row: LayerRecord) -> float | None:
    return row.expected_time_s


def _bound(row: LayerRecord, *, launched: bool) -> str | None:
    roof = bound(row.compute_time_s, row.memory_time_s, row.network_time_s)
    return "overhead" if launched else roof


def _is_launched(rows: Sequence[LayerRecord], takes: _Takes) -> bool:
    """Return whether leaves bound by launches take over half of the time of all among `rows`."""
    leaves = [row for row in rows if row.leaf]
    launched_s = sum(takes(row) or 0.0 for row in leaves if row.bound == "overhead")
    return launched_s > sum(takes(row) or 0.0 for row in leaves) / 2


@dataclass(frozen=True, slots=True)
class _Timing:
    """The time of a scope's own ops, if launching dominates it, what `pieces` were timed as one."""

    time_s: float | None
    source: str
    overhead: bool = False
    pieces: frozenset[str] = frozenset()

    def __add__(self, other: _Timing) -> _Timing:
        """Add what the same layer does elsewhere, in a loop for instance."""
        larger = max(self, other, key=lambda timing: timing.time_s or 0.0)
        both = {self.source, other.source}
        return _Timing(
            (self.time_s or 0.0) + (other.time_s or 0.0),
            "measured" if both == {"measured"} else "estimated",
            larger.overhead,
            self.pieces | other.pieces,
        )


_NOTHING = _Timing(0.0, "measured")


def _traced(trees: Mapping[str, _Scope]) -> dict[tuple[str, str], _Timing]:
    """Return the time of every scope's own ops in a trace, where no layer was timed alone."""
    found: dict[tuple[str, str], _Timing] = {}
    for phase, root in trees.items():
        waiting = [root]
        while waiting:
            scope = waiting.pop()
            found[scope.path, phase] = _Timing(scope.traced_s or 0.0, "measured")
            waiting += scope.children.values()
    return found


def _timings(
    trees: Mapping[str, _Scope], latencies: Sequence[LayerLatency]
) -> dict[tuple[str, str], _Timing]:
    """Return the measured time of every scope's own ops, from the finest cut.

    Layers that were timed as one piece share its time by their roofline times, which makes each
    part an estimate.
    """
    found: dict[tuple[str, str], _Timing] = {}
    for measured in finest_cut(latencies):
        net, overhead = measured.time_s, measured.latency.is_launch
        if net is None:
            continue
        own = (measured.layer, measured.phase)
        parts = {
            key: _estimate(_ops_of(trees, key)) or 0.0
            for key in (own, *((layer, measured.phase) for layer in measured.covers))
        }
        whole = sum(parts.values())
        shared = bool(measured.covers and whole)
        times = {key: net * part / whole for key, part in parts.items()} if shared else {own: net}
        for key, time_s in times.items():
            found[key] = found.get(key, _NOTHING) + _Timing(
                time_s, "estimated" if shared else "measured", overhead, frozenset({measured.layer})
            )
    return found


def _ops_of(trees: Mapping[str, _Scope], key: tuple[str, str]) -> Sequence[OpRecord]:
    layer, phase = key
    scope = trees.get(phase)
    for part in layer.split("/"):
        scope = scope.children.get(part) if scope is not None else None
    return scope.ops if scope is not None else ()


def _estimate(ops: Iterable[OpRecord]) -> float | None:
    """Return the time under perfect overlap: the largest of the roofline times."""
    return overlapped(**add_up(ops, _ROOFS))


def _efficiency(row: LayerRecord) -> float | None:
    """Roofline time over measured time."""
    if row.time_source != "measured" or not row.time_s or row.roof_time_s is None:
        return None
    return row.roof_time_s / row.time_s


def _with_shares(rows: Sequence[LayerRecord], takes: _Takes) -> tuple[LayerRecord, ...]:
    times_s = [takes(row) for row in rows]
    whole = sum(t for row, t in zip(rows, times_s, strict=True) if row.leaf and t is not None)
    if not whole:
        return tuple(rows)
    return tuple(
        row if time_s is None else replace(row, share=time_s / whole)
        for row, time_s in zip(rows, times_s, strict=True)
    )
