"""Whether a program keeps within its limits, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgegraph.results.diff import Subject

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
        verdict: ``passed``, ``failed``, or ``undecided`` where that cannot be told.
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
        """Whether no limit was broken, as far as can be told."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The limits that were broken."""
        return tuple(check for check in self.checks if check.verdict == FAILED)

    @property
    def undecided(self) -> tuple[Check, ...]:
        """The limits of which that cannot be told."""
        return tuple(check for check in self.checks if check.verdict == UNDECIDED)

    @property
    def document(self) -> dict[str, Any]:
        """The result as a JSON object; its keys are the attributes' names, and ``passed``."""
        from msgspec import to_builtins

        return {"passed": self.passed, **to_builtins(self)}

    def to_markdown(self) -> str:
        """Return it as Markdown, for a pull request."""
        from edgegraph.report.gate_table import markdown

        return markdown(self)

    def __str__(self) -> str:
        """Return the checks line by line, with the culprits."""
        from edgegraph.report.gate_table import lines

        return "\n".join(lines(self))
