"""What changed between two versions: settings, layers, ops, and whose change each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edgegraph.compare.result import SAME, Diff, OpChange
from edgegraph.compare.words import facet
from edgegraph.measure.statistics import median
from edgegraph.results.analysis import Analysis
from edgegraph.results.records import OpRecord
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import (
    ESTIMATED,
    FASTER,
    NO_DIFFERENCE,
    SLOWER,
    SMALLEST_CHANGE,
)
from edgegraph.studies.regress.result import (
    BOTH,
    FLAX,
    JAX,
    JAX_OR_FLAX,
    XLA,
    LayerShift,
    OpShift,
    Setting,
)
from edgegraph.studies.regress.turns import (
    CONTROL,
    FIRST,
    SECOND,
    Generation,
    Judged,
    Spent,
    judge_part,
)

MOST_OPS = 30
"""Ops that a study keeps, those that grew most first."""

_ROLES = (FIRST, CONTROL, SECOND)


def settings(
    kind: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[Setting]:
    """Yield what differs in two mappings."""
    for name in sorted({*before, *after}):
        was, now = (str(each[name]) if name in each else None for each in (before, after))
        if was != now:
            yield Setting(kind=kind, name=name, before=was, after=now)


def front_end(packages: Sequence[Setting]) -> str:
    """Return whose code may lower the source otherwise: that of what has another version."""
    names = {each.name for each in packages if each.kind == "package"}
    if "flax" in names:
        return JAX_OR_FLAX if "jax" in names else FLAX
    return JAX


def whose_graph(
    source: Diff, artifact: Diff | None, lowering: str, *, same_lowering: bool = False
) -> str | None:
    """Return whose change it is by the optimised programs.

    What the source's programs differ in and the artifact's do not is of what lowers the source.
    Without an artifact it is XLA's where both lower the source to the same, else not known.
    """
    if source.empty:
        return None
    if artifact is None:
        return XLA if same_lowering else None
    if artifact.empty:
        return lowering
    return BOTH.replace(JAX, lowering) if _differing(source) - _differing(artifact) else XLA


def whose_time(
    source: TimingComparison | None, artifact: TimingComparison | None, lowering: str
) -> str | None:
    """Return whose change it is by the times; None where they do not tell."""
    if source is None or artifact is None or source.verdict not in (SLOWER, FASTER):
        return None
    if artifact.verdict == NO_DIFFERENCE:
        return lowering
    if artifact.verdict != source.verdict:
        return None
    apart = source.interval[0] > artifact.interval[1] or source.interval[1] < artifact.interval[0]
    return BOTH.replace(JAX, lowering) if apart else XLA


def _differing(diff: Diff) -> set[tuple[str, str]]:
    """Return the layers whose ops or counts differ, with their phases."""
    return {(each.layer, each.phase) for each in diff.layer_changes if each.kind != SAME}


def layer_shifts(
    diff: Diff,
    artifact: Diff | None,
    before: Analysis,
    after: Analysis,
    generations: Sequence[Generation],
    lowering: str,
) -> tuple[LayerShift, ...]:
    """Return every layer whose ops or time differ, those that grew most first."""
    traced = [each for each in generations if all(each.spent.get(r, Spent()).ops for r in _ROLES)]
    whole_s = _whole_s(traced)
    of_xla = None if artifact is None else _differing(artifact)
    shifts = []
    for row in diff.layer_changes:
        was = row.before.layer if row.before else None
        now = row.after.layer if row.after else None
        judged = _judged(was, now, row.phase, traced, len(diff.layer_changes), whole_s)
        whose = None
        if row.kind != SAME and of_xla is not None:
            whose = XLA if (row.layer, row.phase) in of_xla else lowering
        judged = judged or _estimated(was, now, row.phase, before, after)
        shifts.append(
            LayerShift(
                layer=row.layer,
                phase=row.phase,
                change=row.kind,
                whose=whose,
                leaf=row.leaf,
                what=tuple(_what(row.layer, row.phase, diff, before, after)),
                **_figures(judged),
            )
        )
    kept = [each for each in shifts if each.change != SAME or _moved(each)]
    return tuple(sorted(kept, key=lambda each: -(each.growth_s or 0.0)))


def _moved(shift: LayerShift) -> bool:
    """Return whether a layer's time differs, as measured or as its compiler says."""
    estimated = shift.verdict == ESTIMATED and abs((shift.ratio or 1.0) - 1.0) > SMALLEST_CHANGE
    return estimated or shift.verdict in (SLOWER, FASTER)


def _estimated(
    was: str | None, now: str | None, phase: str, before: Analysis, after: Analysis
) -> Judged | None:
    """Return what is expected of a layer on a target that is not here; None on this host."""
    if before.target == "cpu":
        return None
    both = [
        next((x for x in side.layer_records if (x.layer, x.phase) == (layer, phase)), None)
        for side, layer in ((before, was), (after, now))
    ]
    for name in ("compiler_time_s", "time_s"):
        one, other = (None if each is None else getattr(each, name) for each in both)
        if one and other:
            return Judged(
                before_s=one, after_s=other, ratio=other / one, interval=None,
                control_interval=None, verdict=ESTIMATED,
            )  # fmt: skip
    return None


def _figures(judged: Judged | None) -> dict[str, Any]:
    names = ("before_s", "after_s", "ratio", "interval", "control_interval", "verdict")
    return {} if judged is None else {name: getattr(judged, name) for name in names}


def _judged(
    was: str | None,
    now: str | None,
    phase: str,
    traced: Sequence[Generation],
    parts: int,
    whole_s: float,
) -> Judged | None:
    """Judge a layer's time; None where it was not traced."""
    if len(traced) < 3:
        return None
    keys = {FIRST: was, CONTROL: was, SECOND: now}
    least: dict[str, list[float]] = {role: [] for role in _ROLES}
    most: dict[str, list[float]] = {role: [] for role in _ROLES}
    shown: dict[str, list[float]] = {role: [] for role in _ROLES}
    for generation in traced:
        for role, layer in keys.items():
            key, spent = f"{layer}\t{phase}", generation.spent[role]
            alone = spent.layers.get(key, 0.0)
            least[role].append(alone)
            most[role].append(alone + spent.shared.get(key, 0.0))
            shown[role].append(alone + spent.split.get(key, 0.0))
    if not any(any(each) for each in most.values()):
        return None
    judge = partial(judge_part, parts=parts, whole_s=whole_s)
    before_s, after_s = median(shown[FIRST]), median(shown[SECOND])
    # Of kernels that are shared a layer takes all or nothing, whichever speaks against a change.
    slower = judge(most[FIRST], most[CONTROL], least[SECOND])
    faster = judge(least[FIRST], least[CONTROL], most[SECOND])
    for found, verdict in ((slower, SLOWER), (faster, FASTER)):
        if found.verdict == verdict:
            return replace(found, before_s=before_s, after_s=after_s)
    if least == most:
        return slower
    return Judged(
        before_s=before_s, after_s=after_s, ratio=None, interval=None, control_interval=None,
        verdict=None,
    )  # fmt: skip


def _whole_s(traced: Sequence[Generation]) -> float:
    sums = [sum(each.spent[FIRST].ops.values()) for each in traced]
    return min(sums, default=0.0)


def _what(layer: str, phase: str, diff: Diff, before: Analysis, after: Analysis) -> Iterator[str]:
    """Say in which respects a layer's ops differ."""
    counts = [_kinds(each, layer, phase) for each in (before, after)]
    for kind in sorted({*counts[0], *counts[1]}):
        was, now = (each[kind] for each in counts)
        if was != now:
            yield f"{kind} {was} → {now}"
    within = [
        each
        for each in diff.op_changes
        if each.phase == phase and f"{each.layer}/".startswith(f"{layer}/")
    ]
    seen = Counter(facet(each) for change in within for each in change.facets)
    yield from (said for said, _ in seen.most_common(4))


def _kinds(analysis: Analysis, layer: str, phase: str) -> Counter[str]:
    """Count what a layer's kernels are, and what its products are of."""
    found: Counter[str] = Counter()
    for each in analysis.op_records:
        if each.phase != phase or not f"{each.layer}/".startswith(f"{layer}/"):
            continue
        if each.macs and each.opcode in ("dot", "convolution"):
            found[f"{each.opcode} of {each.dtype}"] += 1
        if each.parent is None and each.opcode in _SHOWN:
            found[_SHOWN[each.opcode]] += 1
    return found


_SHOWN = {
    "fusion": "fusions", "custom-call": "library calls", "copy": "copies",
    "transpose": "transposes", "while": "loops", "call": "calls", "convert": "conversions",
}  # fmt: skip


def op_shifts(
    diff: Diff, before: Analysis, after: Analysis, generations: Sequence[Generation]
) -> tuple[OpShift, ...]:
    """Return the ops that differ in form, and kinds of op whose time grew; most growth first."""
    times = [_median_ops(generations, role) for role in (FIRST, SECOND)]
    shifts = [_shift(change, times) for change in diff.op_changes]
    changed = [
        {name for each in diff.op_changes if each.before for name in each.before.names},
        {name for each in diff.op_changes if each.after for name in each.after.names},
    ]
    kinds: dict[tuple[str | None, str], list[float]] = {}
    for number, analysis in enumerate((before, after)):
        for record in analysis.op_records:
            spent = times[number].get(record.name)
            if spent is not None and record.name not in changed[number]:
                kind = kinds.setdefault((record.layer, _kind(record)), [0.0, 0.0])
                kind[number] += spent
    shifts += [
        OpShift(layer=layer, before=text, after=text, before_s=both[0], after_s=both[1])
        for (layer, text), both in kinds.items()
    ]
    ordered = sorted(shifts, key=lambda each: -each.growth_s)
    return tuple(ordered[:MOST_OPS])


def _shift(change: OpChange, times: Sequence[Mapping[str, float]]) -> OpShift:
    texts, spent = [], []
    for side, known in zip((change.before, change.after), times, strict=True):
        texts.append("" if side is None else f"{side.opcode} {side.shape}")
        names = () if side is None else side.names
        found = [known[name] for name in names if name in known]
        spent.append(sum(found) if found or (side is None and known) else None)
    return OpShift(
        layer=change.layer, before=texts[0], after=texts[1], before_s=spent[0], after_s=spent[1]
    )


def _kind(record: OpRecord) -> str:
    return f"{record.opcode} {record.shape}"


def _median_ops(generations: Sequence[Generation], role: str) -> dict[str, float]:
    """Return the median time of every op over the processes that were traced."""
    found: dict[str, list[float]] = {}
    for each in generations:
        for name, spent in each.spent.get(role, Spent()).ops.items():
            found.setdefault(name, []).append(spent)
    return {name: median(values) for name, values in found.items()}
