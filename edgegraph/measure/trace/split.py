"""Whose time it was: what an op took, given to the op or split over the ops inside a fusion.

A fusion is one kernel: the profiler sees it as a whole, and it may span layers. Its time goes to
the layers in it by the time that each took compiled alone, where all of them were timed so, else
by their roofline times, and within a layer always by the latter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgegraph.bulk import bulk
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.analysis import OpRecord
from edgegraph.results.latency import UNATTRIBUTED, LayerLatency, finest_cut
from edgegraph.results.op_trace import OpShare

MEASURED, ESTIMATED = "measured", "estimated"
BY_LAYERS, BY_ROOFLINE, BY_COUNTS = "split by layers", "split by roofline", "split by counts"

Layer = tuple[str, str]
"""Path and phase."""


@bulk
def share_out(
    records: Sequence[OpRecord],
    self_s: Mapping[str, float],
    latencies: Sequence[LayerLatency] = (),
) -> tuple[OpShare, ...]:
    """Distribute the traced time among the ops that it was taken for.

    Args:
        records: All ops, containers before their contents.
        self_s: Self time of every op that the trace saw, by name.
        latencies: Measured times of layers compiled alone.

    Returns:
        In the order of `records`; they add up to all of `self_s`.
    """
    tree = OpTree(records)
    separate = _SeparateTimes(tree, latencies)
    shares: list[OpShare] = []
    for record in records:
        if record.name not in self_s:
            continue
        leaf = tree.is_leaf(record)
        if record.opcode == "fusion" and not leaf:
            shares += separate.split(self_s[record.name], tree.leaves_in(record))
        else:
            shares.append(_share(record, self_s[record.name], MEASURED, holds_ops=not leaf))
    return tuple(shares)


class _SeparateTimes:
    """What is known of layers and ops outside of this trace: their isolated and roofline times."""

    def __init__(self, tree: OpTree[OpRecord], latencies: Sequence[LayerLatency]) -> None:
        self._by_roof = any(record.compute_time_s is not None for record in tree.ops)
        self._piece: dict[Layer, Layer] = {}
        self._time_s: dict[Layer, float] = {}
        for measured in finest_cut(latencies):
            if measured.time_s is not None:
                piece = (measured.layer, measured.phase)
                self._time_s[piece] = self._time_s.get(piece, 0.0) + measured.time_s
                for layer in (measured.layer, *measured.covers):
                    self._piece.setdefault((layer, measured.phase), piece)
        self._whole: dict[Layer, float] = {}
        for record in tree.leaves:
            piece = self._piece_of(record)
            self._whole[piece] = self._whole.get(piece, 0.0) + self._weight(record)

    def _piece_of(self, record: OpRecord) -> Layer:
        layer = (record.layer or UNATTRIBUTED, record.phase)
        return self._piece.get(layer, layer)

    def _weight(self, record: OpRecord) -> float:
        """Return its roofline time; without a device, what it computes and moves."""
        if self._by_roof:
            return max(record.compute_time_s or 0.0, record.memory_time_s or 0.0)
        counts = (record.flops, record.transcendentals, record.bytes_read, record.bytes_written)
        return float(sum(count or 0 for count in counts))

    def split(self, time_s: float, leaves: Sequence[OpRecord]) -> list[OpShare]:
        """Split a fusion's time over the ops inside it."""
        work = [leaf for leaf in leaves if leaf.opcode not in opcodes.FREE] or list(leaves)
        if len(work) == 1:
            return [_share(work[0], time_s, MEASURED)]
        weights = [self._weight(leaf) for leaf in work]
        if not sum(weights):
            weights = [1.0] * len(work)
        source = BY_ROOFLINE if self._by_roof else BY_COUNTS
        groups: dict[Layer, float] = {}
        for leaf, weight in zip(work, weights, strict=True):
            piece = self._piece_of(leaf)
            groups[piece] = groups.get(piece, 0.0) + weight
        isolated = {
            piece: self._time_s[piece] * weight / self._whole[piece] if weight else 0.0
            for piece, weight in groups.items()
            if piece in self._time_s and (self._whole[piece] or not weight)
        }
        if len(groups) > 1 and len(isolated) == len(groups) and any(isolated.values()):
            source = BY_LAYERS
            weights = [
                isolated[piece] * weight / groups[piece] if groups[piece] else 0.0
                for piece, weight in (
                    (self._piece_of(leaf), weight)
                    for leaf, weight in zip(work, weights, strict=True)
                )
            ]
        whole = sum(weights)
        parts = [time_s * weight / whole for weight in weights]
        # What rounding left over goes to the largest, so that the parts are the fusion's time.
        largest = max(range(len(parts)), key=parts.__getitem__)
        parts[largest] += time_s - sum(parts)
        return [_share(leaf, part, source) for leaf, part in zip(work, parts, strict=True)]


def _share(record: OpRecord, time_s: float, source: str, holds_ops: bool = False) -> OpShare:
    flops, moved = own_counts(record, holds_ops=holds_ops)
    return OpShare(
        name=record.name,
        opcode=record.opcode,
        layer=record.layer,
        phase=record.phase,
        source=record.source,
        time_s=time_s,
        time_source=source,
        executions=record.executions,
        flops=flops,
        bytes=moved,
    )


def own_counts(record: OpRecord, *, holds_ops: bool) -> tuple[int | None, int | None]:
    """Return an op's FLOPs and bytes moved, a fusion's whole, but nothing of what a loop runs."""
    if holds_ops and record.opcode != "fusion":
        return 0, 0
    if record.bytes_read is None or record.bytes_written is None:
        return record.flops, None
    return record.flops, record.bytes_read + record.bytes_written
