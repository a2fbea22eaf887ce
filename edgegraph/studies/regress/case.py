"""The smallest part of a program that shows what changed, cut out as a script and as a module."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import msgspec

from edgegraph.base.timing import Progress
from edgegraph.errors import EdgeGraphError
from edgegraph.reporting.labels import shorten
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import FASTER, SLOWER
from edgegraph.studies.regress.cuts import Candidate
from edgegraph.studies.regress.result import Case
from edgegraph.studies.regress.script import (
    MOST_LINES,
    Script,
    function_of,
    lines_of,
    whole_text,
)
from edgegraph.studies.regress.turns import SOURCE, Programs, concluded, run_generation
from edgegraph.studies.regress.workers import Agent, Side, Source

MOST_TRIED = 6
"""Single operations that are timed before layers are."""

GENERATIONS, SECONDS = 3, 0.6

_METADATA = re.compile(
    r", (?:metadata|backend_config|frontend_attributes)=\{(?:[^{}]|\{[^{}]*\})*\}"
)
_TABLES = re.compile(
    r"^(FileNames|FunctionNames|FileLocations|StackFrames)\n(?:.+\n)*\n?", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutter:
    """Cuts parts out of a program and tries them in both versions.

    Attributes:
        sides: The two versions.
        source: What the program is made from.
        folder: For files.
        layers: Where its time changed, the worst first; all layers where none is known.
        ops: Text in which the opcodes stand that changed.
    """

    sides: tuple[Side, Side]
    source: Source
    folder: Path
    layers: Sequence[str]
    ops: str
    report: Progress

    def smallest(self, whole: TimingComparison) -> Case | None:
        """Return the first part that shows half of what the whole does; None where none does.

        The same code in both versions shows what XLA does otherwise.
        """
        found = self._cut_anywhere()
        single = [each for each in found if not each.whole][:MOST_TRIED]
        for candidate in (*single, *(each for each in found if each.whole)):
            forms = (candidate.script, candidate.script)
            case = self._tried(candidate, forms, self.sides, whole)
            if case is not None:
                return case
        return None

    def forms(self, whole: TimingComparison) -> Case | None:
        """Return a layer in the forms that both versions lower it to, both run in the second.

        That shows what jax or Flax does otherwise.
        """
        before = {each.layer: each.script for each in self._cut(self.sides[0]) if each.whole}
        for each in self._cut(self.sides[1]):
            was = before.get(each.layer)
            if not each.whole or was is None or was == each.script:
                continue
            if [one[1:] for one in was.arguments] == [one[1:] for one in each.script.arguments]:
                sides = (self.sides[1], self.sides[1])
                case = self._tried(each, (was, each.script), sides, whole)
                if case is not None:
                    return case
        return None

    def _cut_anywhere(self) -> list[Candidate]:
        """Cut the program where EdgeGraph's modules run: in a version, else in jax as it is here.

        Raises:
            EdgeGraphError: It cannot be traced here either.
        """
        for side in self.sides:
            with suppress(EdgeGraphError):
                return self._cut(side)
        return self._cut(Side(label="here", python=Path(sys.executable)))

    def _cut(self, side: Side) -> list[Candidate]:
        """Have a version trace the source and cut it."""
        self.report(f"the smallest case: {side.label} cuts the program", None)
        with Agent(side, self.folder) as agent:
            agent.load(SOURCE, self.source.request(side))
            found = agent.inside(SOURCE, "cuts", "cut_scripts", list(self.layers), self.ops)
        return msgspec.convert(found, list[Candidate])

    def _tried(
        self,
        candidate: Candidate,
        forms: tuple[Script, Script],
        sides: tuple[Side, Side],
        whole: TimingComparison,
    ) -> Case | None:
        self.report(f"the smallest case: trying {shorten(candidate.what, 60)}", None)
        try:
            sources = [self._source(form, number) for number, form in enumerate(forms)]
            timing = self._timed(sources, sides)
            return self._case(candidate, forms, sources, timing) if shows(timing, whole) else None
        except EdgeGraphError:  # of a part alone: another may do
            return None

    def _source(self, script: Script, number: int) -> Source:
        path = self.folder / f"case{number}.py"
        path.write_text(whole_text(f=script), "utf-8")
        return Source(spec=f"{path}:f", args=script.texts)

    def _timed(self, sources: Sequence[Source], sides: tuple[Side, Side]) -> TimingComparison:
        # Both may be the same version; then what each loads is told by the object.
        pair = (sides[0], Side(label=self.sides[1].label, python=sides[1].python,
                               options=sides[1].options))  # fmt: skip

        def request(side: Side) -> Mapping[str, Any]:
            return sources[side is not pair[0]].request(side)

        programs = Programs(requests={SOURCE: lambda side: dict(request(side))})
        seen = [
            run_generation(
                pair, programs, self.folder, seed=number, budget_s=SECONDS, read_trace=None,
                progress=lambda message, fraction: None,
            )
            for number in range(GENERATIONS)
        ]  # fmt: skip
        names = (self.sides[0].label, self.sides[1].label)
        return concluded(names, [each.source for each in seen if each.source is not None])

    def _case(
        self,
        candidate: Candidate,
        forms: tuple[Script, Script],
        sources: Sequence[Source],
        timing: TimingComparison,
    ) -> Case:
        optimized = []
        for side, source in zip(self.sides, sources, strict=True):
            with Agent(side, self.folder) as agent:
                text = self.folder / "case.txt"
                agent.load(SOURCE, {**source.request(side), "text": str(text)})
                optimized.append(bare(text.read_text("utf-8")))
        same = forms[0] == forms[1]
        written = whole_text(f=forms[0]) if same else whole_text(before=forms[0], after=forms[1])
        modules = [lowered_text(form) for form in dict.fromkeys(forms)]
        return Case(
            layer=candidate.layer,
            what=candidate.what,
            script=written if lines_of(written) <= MOST_LINES else "",
            hlo="\n".join(map(bare, modules)),
            optimized_before=optimized[0],
            optimized_after=optimized[1],
            timing=timing,
        )


def shows(part: TimingComparison, whole: TimingComparison) -> bool:
    """Return whether a part differs as the whole does, by half of it at least."""
    if part.verdict not in (SLOWER, FASTER) or part.verdict != whole.verdict:
        return False
    return abs(math.log(part.ratio)) >= 0.5 * abs(math.log(whole.ratio))


def lowered_text(script: Script) -> str:
    """Return the module of a script's function before optimisation, as XLA writes it."""
    lowered = jax.jit(function_of(script)).lower(*script.structs)
    return str(lowered.as_text(dialect="hlo"))


def bare(text: str) -> str:
    """Return HLO text without names of layers, source positions and the backend's settings."""
    return _METADATA.sub("", _TABLES.sub("", text)).strip() + "\n"
