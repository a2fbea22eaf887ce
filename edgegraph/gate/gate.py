"""check(): hold a program against its limits; and how its verdict is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.shown import shown
from edgegraph.base.units import seconds, si
from edgegraph.compare.diff import diff, given_analysis, subject
from edgegraph.compare.result import Diff, Subject
from edgegraph.compare.words import relative
from edgegraph.errors import InputError
from edgegraph.gate.limits import DEFAULT_LIMITS, LATENCY, METRICS, Limit, parse_limit
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.reporting.exports import markdown_row, markdown_text
from edgegraph.results import verdicts
from edgegraph.results.analysis import Analysis
from edgegraph.results.timing import Latency

PASSED = "passed"
FAILED = "failed"
UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """A layer that has a part in a limit that was not kept.

    Attributes:
        layer, phase: As on `LayerRecord`.
        before: What it came to in the baseline; None where it was not there, or without one.
        after: What it comes to now; None where it is not there any more.
    """

    layer: str
    phase: str
    before: float | int | None
    after: float | int | None

    @property
    def growth(self) -> float | int:
        """How much it grew."""
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One limit, held against one figure.

    Attributes:
        metric: ``flops``, ``bytes``, ``peak_memory``, ``latency``, ...
        unit: ``FLOP``, ``MAC``, ``B``, ``s``, or "" for a plain count.
        limit: As it was given: ``+1%``, ``+64MiB``, ``3ms``.
        before: Of the baseline; None without one.
        after: Of what is checked; None where unknown.
        allowed: The most that the limit allows; None where unknown.
        noise: Of a time: how far it may be off, both measurements taken together.
        verdict: ``passed``, ``failed``, or ``undecided`` where the noise leaves it open.
        reason: Why it is undecided; None otherwise.
        culprits: Layers that grew, those that grew most first; without a baseline the largest.
    """

    metric: str
    unit: str
    limit: str
    before: float | int | None
    after: float | int | None
    allowed: float | int | None
    noise: float | None = None
    verdict: str
    reason: str | None = None
    culprits: tuple[Culprit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """Every limit, and whether it was kept.

    Attributes:
        before: The baseline; None without one.
        after: What was checked.
        checks: One for every limit.
        notes: What to know about the comparison, one line each.
    """

    before: Subject | None
    after: Subject
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no limit was broken, as far as is known."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The limits that were broken."""
        return tuple(check for check in self.checks if check.verdict == FAILED)

    @property
    def undecided(self) -> tuple[Check, ...]:
        """The limits whose outcome is unknown."""
        return tuple(check for check in self.checks if check.verdict == UNDECIDED)

    @property
    def document(self) -> dict[str, Any]:
        """The result as a JSON object; its keys are the attributes' names, and ``passed``."""
        from msgspec import to_builtins

        return {"passed": self.passed, **to_builtins(self)}

    def to_markdown(self) -> str:
        """Return it as Markdown, for a pull request."""
        return markdown(self)

    def __str__(self) -> str:
        """Return the checks line by line, with the culprits."""
        return "\n".join(map(shown, lines(self)))


MOST_CULPRITS = 5


def check(
    analysis: Analysis | str | Path,
    *,
    baseline: Analysis | str | Path | None = None,
    **limits: str | int | float,
) -> GateResult:
    """Hold a program against limits, of its own or of growth over a baseline.

    Counts are exact. A latency fails only where it lies beyond its limit by more than the noise
    of both measurements, and both are sound; else that is left undecided.

    Args:
        analysis: What to check, or the file it was saved to.
        baseline: What to hold it against, for limits of growth.
        limits: ``max_flops="+1%"``, ``max_peak_memory="64MiB"``, ``max_latency="3ms"``; one of
            ``flops macs bytes peak_memory temp_memory params param_bytes ops kernels wire_bytes
            latency``. Where none is given: FLOPs +1 %, bytes +2 %, peak memory +5 %.

    Returns:
        A `GateResult`; ``.passed`` unless a limit is broken, with the layers that did it.

    Raises:
        InputError: A limit cannot be read, or needs a baseline that is not there or of another
            batch size, target or stage.

    Example:
        >>> import jax, jax.numpy as jnp, edgegraph as eg
        >>> x = jax.ShapeDtypeStruct((8, 8), "float32")
        >>> once = eg.analyze(lambda x: x @ x, args=(x,), name="once")
        >>> twice = eg.analyze(lambda x: x @ x @ x, args=(x,), name="twice")
        >>> eg.check(once, max_macs="1kMAC").passed
        True
        >>> eg.check(twice, baseline=once, max_macs="+1%").passed
        False
    """
    wanted = {name: parse_limit(name, str(text)) for name, text in _named(limits).items()}
    after = given_analysis(analysis)
    before = None if baseline is None else given_analysis(baseline)
    if not wanted:
        wanted = {name: parse_limit(name, text) for name, text in DEFAULT_LIMITS.items()}
    lacking = [name for name, limit in wanted.items() if limit.needs_baseline and before is None]
    if lacking:
        raise InputError(
            f"the limit {wanted[lacking[0]].text} of {lacking[0]} is one of growth and needs a"
            " baseline; name a saved analysis, or write the most that is allowed"
        )
    now = subject(after)
    then = None if before is None else subject(before)
    if then is not None:
        _check_comparable(then, now)
    notes: tuple[str, ...] = ()
    if then is not None and then.jaxlib != now.jaxlib:
        notes = (
            f"the baseline was compiled by jaxlib {then.jaxlib}, this by {now.jaxlib}, which may"
            " count and fuse otherwise",
        )
    changes = None if before is None else diff(before, after)
    checks = tuple(_check(name, limit, before, after, changes) for name, limit in wanted.items())
    return GateResult(before=then, after=now, checks=checks, notes=notes)


def _named(limits: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    named: dict[str, str | int | float] = {}
    for key, text in limits.items():
        if not key.startswith("max_") or key.removeprefix("max_") not in METRICS:
            known = ", ".join(f"max_{name}" for name in METRICS)
            raise InputError(f"{key!r} is not a limit; choose from: {known}")
        named[key.removeprefix("max_")] = text
    return named


def _check_comparable(then: Subject, now: Subject) -> None:
    for name in ("batch", "target", "stage"):
        one, other = getattr(then, name), getattr(now, name)
        if one != other:
            raise InputError(
                f"the baseline is of {name} {one}, and what is checked of {name} {other}; make the"
                " baseline anew, or analyse the same"
            )


def _check(
    name: str, limit: Limit, before: Analysis | None, after: Analysis, changes: Diff | None
) -> Check:
    metric = METRICS[name]
    then, now = None if before is None else metric.value(before), metric.value(after)
    allowed = limit.allowed(then)
    verdict, reason, noise = PASSED, None, None
    if now is None:
        verdict, reason = UNDECIDED, _unknown(name, "what is checked")
    elif allowed is None:
        verdict, reason = UNDECIDED, _unknown(name, "the baseline")
    elif name == LATENCY:
        verdict, reason, noise = _timed(limit, before, after, allowed)
    elif now > allowed:
        verdict = FAILED
    return Check(
        metric=name,
        unit=metric.unit,
        limit=limit.text,
        before=then,
        after=now,
        allowed=allowed,
        noise=noise,
        verdict=verdict,
        reason=reason,
        culprits=tuple(_culprits(name, after, changes)) if verdict == FAILED else (),
    )


def _unknown(name: str, of: str) -> str:
    if name == LATENCY:
        return f"{of} was not measured"
    return f"{name} of {of} is not known"


def _spread_s(latency: Latency) -> float:
    """Return the interquartile range: another process differs by more than the interval says."""
    return latency.relative_iqr * latency.median_s


def _timed(
    limit: Limit, before: Analysis | None, after: Analysis, allowed: float
) -> tuple[str, str | None, float | None]:
    """Hold a latency against its limit, as far as the measurements carry that."""
    now = after.latency
    then = before.latency if before is not None and limit.needs_baseline else None
    if now is None:
        return UNDECIDED, _unknown(LATENCY, "what is checked"), None
    factor = 1 + (limit.share or 0.0)
    earlier = 0.0 if then is None else factor * _spread_s(then)
    noise = hypot(_spread_s(now), earlier)
    for latency, of in ((now, "the measurement"), (then, "the baseline's measurement")):
        if latency is not None and latency.verdict != verdicts.OK:
            reasons = "; ".join(latency.reasons) or "it spreads too far"
            return UNDECIDED, f"{of} is {latency.verdict} ({reasons})", noise
    if then is not None and before is not None:
        machines = [subject(each).machine for each in (before, after)]
        if machines[0] != machines[1]:
            return UNDECIDED, f"the baseline was measured on another machine: {machines[0]}", noise
    if now.median_s <= allowed:
        return PASSED, None, noise
    if now.median_s - allowed <= noise:
        return UNDECIDED, "it lies beyond the limit by less than the noise", noise
    return FAILED, None, noise


def _culprits(name: str, after: Analysis, changes: Diff | None) -> list[Culprit]:
    """Name the layers that grew most; without a baseline, the largest."""
    of_layer = METRICS[name].of_layer
    if name == "kernels":
        grown = _grown_kernels(changes)
    elif of_layer is None:
        return []
    else:
        # Held against itself, every layer is there; what it was before does not matter.
        rows = (diff(after, after) if changes is None else changes).layer_changes
        grown = []
        for row in rows:
            then, now = row.both(of_layer)
            before = None if changes is None else then
            if row.leaf:
                grown.append(Culprit(layer=row.layer, phase=row.phase, before=before, after=now))
    grown = sorted((each for each in grown if each.growth > 0), key=lambda each: -each.growth)
    return grown[:MOST_CULPRITS]


def _grown_kernels(changes: Diff | None) -> list[Culprit]:
    """Count the kernels that came and went, by layer."""
    gone: Counter[tuple[str, str]] = Counter()
    come: Counter[tuple[str, str]] = Counter()
    for change in () if changes is None else changes.op_changes:
        where = change.layer or UNATTRIBUTED, change.phase
        for counts, figures in ((gone, change.before), (come, change.after)):
            counts[where] += 0 if figures is None else figures.computed
    return [
        Culprit(layer=where[0], phase=where[1], before=gone[where], after=come[where])
        for where in come
    ]


HEADINGS = ("limit of", "before", "after", "change", "limit", "verdict")
STYLE = {PASSED: "green", FAILED: "bold red", UNDECIDED: "yellow"}


def headline(result: GateResult) -> str:
    """Return whether it passed, and what did not."""
    said = f"{result.after.title}: {'passed' if result.passed else 'failed'}"
    failed, undecided = (
        ", ".join(METRICS[check.metric].title for check in checks)
        for checks in (result.failed, result.undecided)
    )
    return said + f" ({failed})" * bool(failed) + f", undecided: {undecided}" * bool(undecided)


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
