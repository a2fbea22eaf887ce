"""A version while a study of several goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgegraph.measure.statistics import median
from edgegraph.results.timing import TimingComparison
from edgegraph.studies.regress.changed import settings
from edgegraph.studies.regress.passes import PassKey
from edgegraph.studies.regress.read import Compiled, program_digest
from edgegraph.studies.regress.result import Probe, Setting, VersionRow
from edgegraph.studies.regress.turns import Generation, concluded
from edgegraph.studies.regress.workers import Side, default_flags

Options = Mapping[str, str | int | float | bool]


@dataclass(slots=True, kw_only=True)
class Version:
    """One version while the study goes on."""

    label: str
    options: Options
    side: Side | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    source: Compiled | None = None
    artifact: Compiled | None = None
    error: str | None = None
    artifact_error: str | None = None
    timing: TimingComparison | None = None
    artifact_timing: TimingComparison | None = None
    compile_s: list[float] = field(default_factory=list)
    passes: Mapping[PassKey, float] = field(default_factory=dict)
    apart: Mapping[str, Any] | None = None

    @property
    def artifact_is_source(self) -> bool:
        """Whether it compiles the artifact to the same program as the source."""
        if self.source is None or self.artifact is None:
            return False
        both = (self.source, self.artifact)
        one, other = (program_digest(each.program.module) for each in both)
        return one == other

    @property
    def grown(self) -> Mapping[str, Any] | None:
        """How the time to compile grows with repeated layers; None where that is not known."""
        return None if self.apart is None else self.apart["growth"]

    @property
    def compiled(self) -> Compiled | None:
        """What it made of the source, or else of the artifact."""
        return self.source or self.artifact


@dataclass(slots=True, kw_only=True)
class Pair:
    """Two versions that are held against each other."""

    before: Version
    after: Version
    probes: tuple[Probe, ...]
    began: str | None
    generations: list[Generation] = field(default_factory=list)
    timing: TimingComparison | None = None


def artifact_timing(
    first: Version, second: Version, generations: Sequence[Generation]
) -> TimingComparison | None:
    """Conclude from the times of the artifact, where every generation has them.

    Where both make of it what they make of the source, the times of that are its.
    """
    alike = first.artifact_is_source and second.artifact_is_source
    seen = [each.source if alike else each.artifact for each in generations]
    processes = [each for each in seen if each is not None]
    if not processes or len(processes) < len(generations):
        return None
    return concluded((first.label, second.label), processes)


def version_settings(before: Version, after: Version) -> Iterator[Setting]:
    """Yield what is set differently, packages first."""
    sides = before.about, after.about
    python = [{"python": each["python"], **each["packages"]} for each in sides]
    yield from settings("package", *python)
    yield from settings("option", before.options, after.options)
    yield from settings("setting", *(each["config"] for each in sides))
    pythons = [each.side.python for each in (before, after) if each.side is not None]
    flags = [default_flags(each) for each in dict.fromkeys(pythons)]
    if len(flags) == 2:
        # What one of them does not tell may stand where its list is cut off.
        known = flags[0].keys() & flags[1].keys()
        yield from settings("flag", *({name: each[name] for name in known} for each in flags))


def version_row(version: Version) -> VersionRow:
    """Return what a study keeps of a version."""
    compiled = version.source
    about: dict[str, Any] = {
        "version": version.label,
        "packages": dict(version.about.get("packages", {})),
        "python": version.about.get("python"),
        "options": dict(version.options),
        "error": version.error,
        "artifact_error": version.artifact_error,
        "timing": version.timing,
        "artifact_timing": version.artifact_timing,
    }
    if version.artifact is not None:
        about["artifact"] = program_digest(version.artifact.program.module)
    if compiled is None:
        return VersionRow(**about)
    analysis, memory = compiled.analysis, compiled.program.memory
    return VersionRow(
        **about,
        lower_s=compiled.program.lower_s,
        compile_s=median(version.compile_s),
        kernels=len(analysis.op_tree.kernels),
        flops=analysis.totals.flops,
        bytes=analysis.totals.bytes_read + analysis.totals.bytes_written,
        peak_memory_bytes=None if memory is None else memory.peak_bytes,
        compiler_time_s=analysis.totals.compiler_time_s,
        roofline_time_s=None if analysis.target == "cpu" else analysis.totals.time_s,
        lowered=str(compiled.answer["lowered"]),
        optimized=program_digest(compiled.program.module),
    )
