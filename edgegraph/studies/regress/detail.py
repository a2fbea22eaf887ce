"""What changed between two versions, in detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegraph.base.timing import Progress
from edgegraph.compare.diff import diff
from edgegraph.compare.result import SAME, Diff
from edgegraph.errors import EdgeGraphError
from edgegraph.results.verdicts import FASTER, SLOWER
from edgegraph.studies.regress import changed
from edgegraph.studies.regress.case import Cutter
from edgegraph.studies.regress.result import XLA, Case, LayerShift, OpShift
from edgegraph.studies.regress.versions import Pair, artifact_timing, version_settings
from edgegraph.studies.regress.workers import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the details are of: the user's source, a folder for files, notes to add to."""

    source: Source
    folder: Path
    report: Progress
    notes: list[str]


def details(pair: Pair, asked: Asked) -> dict[str, Any]:
    """Return what changed between two versions."""
    before, after = pair.before, pair.after
    assert before.source is not None
    assert after.source is not None
    asked.report(f"{before.label} against {after.label}: what changed", None)
    source = diff(before.source.analysis, after.source.analysis)
    artifact: Diff | None = None
    if before.artifact is not None and after.artifact is not None:
        artifact = diff(before.artifact.analysis, after.artifact.analysis)
    settings = tuple(version_settings(before, after))
    lowering = changed.front_end(settings)
    by_time = changed.whose_time(
        pair.timing, artifact_timing(before, after, pair.generations), lowering
    )
    same = before.source.answer["lowered"] == after.source.answer["lowered"]
    whose = by_time or changed.whose_graph(source, artifact, lowering, same_lowering=same)
    analyses = before.source.analysis, after.source.analysis
    layers = changed.layer_shifts(source, artifact, *analyses, pair.generations, lowering)
    ops = changed.op_shifts(source, *analyses, pair.generations)
    return {
        "before": before.label,
        "after": after.label,
        "timing": pair.timing,
        "same_program": source.empty,
        "probes": pair.probes,
        "began": pair.began,
        "whose": whose,
        "settings": settings,
        "layers": layers,
        "ops": ops,
        "case": _case(pair, asked, whose, layers, ops),
    }


def _case(
    pair: Pair,
    asked: Asked,
    whose: str | None,
    layers: Sequence[LayerShift],
    ops: Sequence[OpShift],
) -> Case | None:
    """Cut out the smallest part that shows it, where the time changed."""
    timing, before, after = pair.timing, pair.before.side, pair.after.side
    if timing is None or timing.verdict not in (SLOWER, FASTER) or before is None or after is None:
        return None
    moved = [each.layer for each in layers if each.verdict == timing.verdict and each.leaf]
    changes = [each.layer for each in layers if each.change != SAME and each.leaf]
    text = " ".join(f"{each.before} {each.after}" for each in ops[:4])
    text += " ".join(what for each in layers for what in each.what)
    cutter = Cutter(
        sides=(before, after),
        source=asked.source,
        folder=asked.folder,
        layers=moved or changes,
        ops=text,
        report=asked.report,
    )
    try:
        case = cutter.smallest(timing) if whose == XLA else cutter.forms(timing)
    except EdgeGraphError as error:
        asked.notes.append(f"no smallest case was cut ({error})")
        return None
    if case is None:
        asked.notes.append("no single operation and no layer shows it alone by half")
    return case
