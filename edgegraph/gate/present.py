"""A gate's verdict: at the terminal, as lines, as Markdown."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si
from edgegraph.compare.words import relative
from edgegraph.gate.gate import FAILED, PASSED, UNDECIDED, Check, Culprit, GateResult
from edgegraph.gate.limits import METRICS
from edgegraph.reporting.exports.tables import markdown_row, markdown_text

HEADINGS = ("limit of", "before", "after", "change", "limit", "verdict")
STYLE = {PASSED: "green", FAILED: "bold red", UNDECIDED: "yellow"}


def headline(result: GateResult) -> str:
    """Return whether it passed, and what did not."""
    said = f"{result.after.title}: {'passed' if result.passed else 'failed'}"
    if result.failed:
        said += f" ({', '.join(METRICS[check.metric].title for check in result.failed)})"
    if result.undecided:
        said += (
            f", undecided: {', '.join(METRICS[check.metric].title for check in result.undecided)}"
        )
    return said


def gate_table(result: GateResult) -> RenderableType:
    """Show every limit with its verdict, and what broke it; readable at 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if 0 < number < 5 else "left", no_wrap=True)
    for check in result.checks:
        *cells, verdict = _cells(check)
        table.add_row(*cells, Text(verdict, style=STYLE[verdict]))
    parts: list[RenderableType] = [Text(headline(result), style="bold"), table]
    parts += [Text(line) for line in explanations(result)]
    return Group(*parts)


def lines(result: GateResult) -> list[str]:
    """Return the verdict as plain lines, such as a test prints that fails."""
    said = [headline(result)]
    for check in result.checks:
        name, before, after, change, limit, verdict = _cells(check)
        was = f"{before} → {after} ({change})" if before else after
        said.append(f"  {verdict}: {name} {was}, limit {limit}")
    return said + [f"  {line}" for line in explanations(result)]


def explanations(result: GateResult) -> list[str]:
    """Describe what broke limits, why others are undecided, and what to know."""
    said = []
    for check in result.failed:
        if check.culprits:
            what = "largest" if result.before is None else "grew"
            named = "; ".join(_culprit(each, check) for each in check.culprits)
            said.append(f"{METRICS[check.metric].title}, {what}: {named}")
    said += [f"{METRICS[check.metric].title}: {check.reason}" for check in result.undecided]
    return said + list(result.notes)


def markdown(result: GateResult) -> str:
    """Return the verdict as Markdown, for a pull request."""
    text = [f"**{markdown_text(headline(result))}**", ""]
    text += [markdown_row(HEADINGS), "|---|--:|--:|--:|--:|---|"]
    text += [markdown_row([*map(markdown_text, _cells(check))]) for check in result.checks]
    said = [f"- {markdown_text(line)}" for line in explanations(result)]
    return "\n".join([*text, *([""] if said else []), *said]) + "\n"


def _cells(check: Check) -> tuple[str, str, str, str, str, str]:
    return (
        METRICS[check.metric].title,
        "" if check.before is None else _value(check, check.before),
        _value(check, check.after),
        relative(check.before, check.after),
        check.limit,
        check.verdict,
    )


def _culprit(culprit: Culprit, check: Check) -> str:
    phase = "" if culprit.phase == "forward" else f" ({culprit.phase})"
    after = _value(check, culprit.after)
    if culprit.before is None:
        return f"{culprit.layer}{phase} {after}" + ("" if check.before is None else " (new)")
    change = relative(culprit.before, culprit.after)
    return f"{culprit.layer}{phase} {_value(check, culprit.before)} → {after} ({change})"


def _value(check: Check, value: float | int | None) -> str:
    if check.unit == "s":
        return seconds(value)
    return f"{value:,}" if not check.unit and value is not None else si(value, check.unit)
