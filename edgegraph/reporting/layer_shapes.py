"""What goes into a layer and what comes out of it: shapes, without its parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from edgegraph.hlo import opcodes
from edgegraph.hlo.parameters import model_arguments
from edgegraph.reporting.graph_plot import unfused
from edgegraph.reporting.scene.items import ops_of
from edgegraph.results.analysis import Analysis, OpRecord

_MOST = 2
"""Shapes that stand in a cell; the larger ones."""

Key = tuple[str, str]
"""Layer and phase."""


def layer_shapes(analysis: Analysis) -> Mapping[Key, tuple[str, str]]:
    """Return, by layer and phase, what the layer reads of others and what others read of it.

    They are written as XLA does (``f32[1,28,28,32]``), several with a plus between, and are those
    of the program that was analysed: a compiler may turn them. Parameters and constants are left
    out.
    """
    if not analysis.op_records:
        return {}
    ops = ops_of(analysis)
    parameters = model_arguments(ops.nodes).held
    numbers, _, reads = unfused(ops, analysis)
    records = [analysis.op_records[number] for number in numbers]
    taken: dict[Key, set[OpRecord]] = defaultdict(set)
    given: dict[Key, set[OpRecord]] = defaultdict(set)
    unread = set(range(len(records)))
    for user, found in zip(records, reads, strict=True):
        unread.difference_update(found)
        for value in (records[number] for number in found):
            inside = set(_scopes(value))
            if value.name not in parameters and value.opcode not in opcodes.MADE_ANYWHERE:
                for key in set(_scopes(user)) - inside:
                    taken[key].add(value)
            for key in inside - set(_scopes(user)):
                given[key].add(value)
    for number in unread:  # what the program gives
        for key in _scopes(records[number]):
            given[key].add(records[number])
    return {key: (_written(taken[key]), _written(given[key])) for key in taken.keys() | given}


def _scopes(record: OpRecord) -> Iterator[Key]:
    """Yield the layer of an op and those around it, with its phase; arguments come from outside."""
    outside = record.layer is None or record.opcode == "parameter"
    parts = [] if outside else (record.layer or "").split("/")
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count]), record.phase


def _written(values: Iterable[OpRecord]) -> str:
    shapes = {each.shape: each.bytes_written or 0 for each in values if each.shape[:1] != "("}
    largest = sorted(shapes, key=lambda shape: (-shapes[shape], shape))
    return " + ".join(largest[:_MOST]) + " + …" * (len(largest) > _MOST)
