"""The text of an issue about a regression, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from edgegraph.base.units import seconds
from edgegraph.reporting.exports import markdown_row, markdown_text
from edgegraph.studies.regress import words
from edgegraph.studies.regress.result import Case, Regression

_MOST_LINES = 60
"""Of a module that is shown."""


def issue_text(study: Regression) -> str:
    """Return the text: versions, machine, figures, the smallest case, and HLO before and after."""
    return "\n".join(_lines(study)) + "\n"


def _lines(study: Regression) -> Iterator[str]:
    verdict = study.verdict or "another program"
    what = study.case.what if study.case is not None else study.workload
    yield f"# {markdown_text(what)}: {verdict} with jax {study.after} than with {study.before}\n"
    yield from (f"- {markdown_text(line)}" for line in study.conclusions)
    yield ""
    yield from _versions(study)
    here = study.environment
    yield ""
    yield f"Machine: {here.processor}, {here.affinity} of {here.cores} cores, {here.platform}."
    if study.notes:
        yield "Notes: " + "; ".join(map(markdown_text, study.notes)) + "."
    if study.case is not None:
        yield from _case(study.case, study)
    changed = [each for each in study.settings if each.kind != "package"]
    if changed:
        yield "\n## What else differs\n"
        yield from (f"- {each.kind}: `{each}`" for each in changed[:40])


def _versions(study: Regression) -> Iterator[str]:
    yield markdown_row(["jax", "jaxlib", "Python", "time", "compile", "kernels", "verdict"])
    yield "|---|---|---|--:|--:|--:|---|"
    timed = next((row.timing for row in study.versions if row.timing), None)
    for row in study.versions:
        first = timed is not None and timed.first == row.version
        time_s = timed.first_s if first and timed is not None else row.time_s
        cells = [
            row.version,
            row.packages.get("jaxlib", "?"),
            row.python or "?",
            "" if time_s is None else seconds(time_s),
            seconds(row.compile_s) if row.compile_s is not None else "",
            "?" if row.kernels is None else str(row.kernels),
            row.error or row.verdict or "",
        ]
        yield markdown_row([markdown_text(each) for each in cells])


def _case(case: Case, study: Regression) -> Iterator[str]:
    yield f"\n## Smallest case: {markdown_text(case.what)}\n"
    if case.timing is not None:
        yield f"{markdown_text(words.timed(case.timing))}\n"
    if case.script:
        yield f"```python\n{case.script}```\n"
    for title, text in (
        ("HLO before optimisation", case.hlo),
        (f"Optimised by {study.before}", case.optimized_before),
        (f"Optimised by {study.after}", case.optimized_after),
    ):
        lines = text.splitlines()
        cut = [*lines[:_MOST_LINES], f"... {len(lines) - _MOST_LINES} more lines"]
        shown = "\n".join(lines if len(lines) <= _MOST_LINES else cut)
        yield f"\n{title}:\n\n```\n{shown}\n```"
