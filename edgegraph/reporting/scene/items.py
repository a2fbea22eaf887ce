"""The ops of an analysis as the hierarchy takes them: where each stands and what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.op_name import OWN, UNATTRIBUTED
from edgegraph.reporting.scene.hierarchy import Item, shared
from edgegraph.results.analysis import Analysis, OpRecord

_MOST_PAIRS = 256
"""An op between more scopes belongs to none of them."""

_PHASES = {"forward": 0, "rematerialised": 1, "backward": 1, "update": 2}
_DRAWN = ("forward", "backward", "update")

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ops:
    """The ops of an analysis, by position in its records.

    Attributes:
        outer: Of a parameter inside a fusion, loop or call: the op outside that gives it.
        rows: The layer record that counts each, or None.
    """

    nodes: Sequence[Node]
    items: Sequence[Item]
    outer: Sequence[int | None]
    rows: Sequence[int | None]


def ops_of(analysis: Analysis) -> Ops:
    """Read the ops of an analysis and what stands in its module about them."""
    records = analysis.op_records
    at = {record.name: number for number, record in enumerate(records)}
    by_name = {node.name: node for node in flatten(analysis.module)} if records else {}
    nodes = [by_name[record.name] for record in records]
    operands = [tuple(at[name] for name in node.operands if name in at) for node in nodes]
    layers = _Layers(analysis)
    paths = _paths(records, operands, layers)
    items = []
    for number, (record, node) in enumerate(zip(records, nodes, strict=True)):
        parent = None if record.parent is None else at[record.parent]
        path, rows = paths[number], layers.rows(paths[number])
        if parent is not None and len(nodes[parent].instruction.called) > 1:
            # Body and condition of a loop, or branches, are distinguished; of their scopes only
            # those below the loop's own are new.
            common = len(shared([path, paths[parent]]))
            role = _role(nodes[parent], node)
            path, rows = (role, *path[common:]), (None, *rows[common:])
        items.append(
            Item(
                name=record.name.rpartition("/")[2],
                path=path,
                rows=rows,
                parent=parent,
                operands=operands[number],
                bytes=node.instruction.shape.bytes,
                fused=record.opcode == "fusion",
                idle=record.opcode in opcodes.FREE,
            )
        )
    return Ops(
        nodes=nodes,
        items=items,
        outer=[_outer(node, item, nodes, items) for node, item in zip(nodes, items, strict=True)],
        rows=[layers.leaf(record) for record in records],
    )


class _Layers:
    """The layer records by scope; the phase is the outermost scope where there are several."""

    def __init__(self, analysis: Analysis) -> None:
        self._at = {
            (row.layer, row.phase): number for number, row in enumerate(analysis.layer_records)
        }
        phases = {_PHASES[record.phase] for record in analysis.op_records}
        self._phased = len(phases) > 1
        self._phase = _DRAWN[min(phases, default=0)]
        self._known: dict[Path, tuple[int | None, ...]] = {(): ()}

    def path(self, record: OpRecord, phase: int) -> Path:
        scopes = () if record.layer is None else tuple(record.layer.split("/"))
        return (_DRAWN[phase], *scopes) if self._phased and scopes else scopes

    def rows(self, path: Path) -> tuple[int | None, ...]:
        if path not in self._known:
            phase, scopes = (path[0], path[1:]) if self._phased else (self._phase, path)
            found = tuple(
                self._at.get(("/".join(scopes[: count + 1]), phase)) for count in range(len(scopes))
            )
            self._known[path] = (None, *found) if self._phased else found
        return self._known[path]

    def leaf(self, record: OpRecord) -> int | None:
        """Find the record that counts the op, or of what costs nothing the nearest around it."""
        layer = UNATTRIBUTED if record.layer is None else record.layer
        scopes = layer.split("/")
        names = [f"{layer}/{OWN}", *("/".join(scopes[:n]) for n in range(len(scopes), 0, -1))]
        places = ((name, record.phase) for name in names)
        return next((self._at[place] for place in places if place in self._at), None)


def _paths(
    records: Sequence[OpRecord], operands: Sequence[Sequence[int]], layers: _Layers
) -> list[Path]:
    """Return the scopes of every op; those without stand with what they read or what reads them."""
    phases = _phases(records, operands)
    paths = [layers.path(*found) for found in zip(records, phases, strict=True)]
    for number, record in enumerate(records):
        if record.layer is None and record.opcode in opcodes.HANDED_ON and operands[number]:
            paths[number] = paths[operands[number][0]]
    readers: list[Path | None] = [None] * len(records)
    loose = [
        not operands[number] and (record.layer is None or record.opcode in opcodes.MADE_ANYWHERE)
        for number, record in enumerate(records)
    ]
    for number, read in enumerate(operands):
        if read and records[number].opcode in opcodes.MADE_ANYWHERE:
            loose[number] = all(loose[operand] for operand in read)
    for number in reversed(range(len(records))):
        if loose[number]:
            paths[number] = readers[number] or ()
        for operand in operands[number]:
            if loose[operand]:
                known, path = readers[operand], paths[number]
                common = path if known is None else shared([known, path])
                readers[operand] = common
    _draw_in(records, operands, paths, loose)
    return paths


def _draw_in(
    records: Sequence[OpRecord],
    operands: Sequence[Sequence[int]],
    paths: list[Path],
    loose: Sequence[bool],
) -> None:
    """Move an op into a scope below its own from which it reads and which reads from it.

    A fusion across layers counts to what they have in common; drawn there, it would cut the
    layer that it serves in two.
    """
    users: list[list[int]] = [[] for _ in records]
    for number, read in enumerate(operands):
        for operand in read:
            users[operand].append(number)
    for number, own in enumerate(paths):
        given = {
            paths[operand]
            for operand in operands[number]
            if not loose[operand] and records[operand].opcode != "parameter"
        }
        wanted = {paths[user] for user in users[number]} if given else set()
        if not own or len(given) * len(wanted) > _MOST_PAIRS:
            continue
        for source in given:
            for target in wanted:
                common = shared([source, target])
                if len(common) > len(paths[number]) and common[: len(own)] == own:
                    paths[number] = common


def _phases(records: Sequence[OpRecord], operands: Sequence[Sequence[int]]) -> list[int]:
    """Return the phase in which an op is drawn: never before one that it reads from.

    A fusion counts to the phase of most of what it does, and may yet wait for a later one.
    """
    phases = [_PHASES[record.phase] for record in records]
    for number, read in enumerate(operands):
        phases[number] = max([phases[number], *(phases[operand] for operand in read)])
    return phases


def _role(parent: Node, node: Node) -> str:
    number = parent.instruction.called.index(node.computation)
    if parent.opcode == "while":
        return ("body", "condition")[number]
    return f"branch {number}"


def _outer(node: Node, item: Item, nodes: Sequence[Node], items: Sequence[Item]) -> int | None:
    """Find what a parameter inside a container gets its value from."""
    number = node.instruction.parameter_number
    if number is None or item.parent is None:
        return None
    container = nodes[item.parent].instruction
    given = items[item.parent].operands
    if container.opcode == "while":
        number = 0
    elif container.opcode == "conditional":
        number = 1 + container.called.index(node.computation)
    return given[number] if number < len(given) else None
