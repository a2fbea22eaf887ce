"""Layers of two analyses side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgegraph.compare.align import OWN, Alignment, scope_of
from edgegraph.compare.times import LayerTimes
from edgegraph.results.analysis import Analysis, LayerRecord
from edgegraph.results.diff import LayerChange, LayerFigures, OpChange

_Key = tuple[int, bool, str]
"""Number of the aligned layer, whether it is its own part, and the phase."""


def layer_changes(
    before: Analysis, after: Analysis, aligned: Alignment, ops: Sequence[OpChange]
) -> tuple[LayerChange, ...]:
    """Put every layer beside its counterpart, in the order of the model after.

    What was removed stands behind the layer that it stood behind.
    """
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
                before=None if left is None else _figures(left, peaks[0]),
                after=None if right is None else _figures(right, peaks[1]),
                op_changes=changed.get(key, 0),
                noise_s=noise_s,
                time_verdict=verdict,
            )
        )
    return tuple(rows)


def _key(row: LayerRecord, numbers: Mapping[str, int]) -> _Key:
    return numbers[scope_of(row.layer)], row.layer.endswith(OWN), row.phase


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
    """Count the changes in every layer, those below it included.

    A change counts once in every layer that either side of it stands in.
    """
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
        own = self._held.get(scope, 0)
        if row.layer.endswith(OWN):
            return own
        below = f"{scope}/"
        return own + sum(held for path, held in self._held.items() if path.startswith(below))


def _figures(row: LayerRecord, peaks: _Peaks) -> LayerFigures:
    return LayerFigures(
        layer=row.layer,
        ops=row.ops,
        params=row.params,
        param_bytes=row.param_bytes,
        macs=row.macs,
        flops=row.flops,
        transcendentals=row.transcendentals,
        bytes_read=row.bytes_read,
        bytes_written=row.bytes_written,
        peak_bytes=peaks.of(row),
        compute_time_s=row.compute_time_s,
        memory_time_s=row.memory_time_s,
        bound=row.bound,
        time_s=row.time_s,
        time_source=row.time_source,
    )
