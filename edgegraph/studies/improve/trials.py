"""What was tried: forms of single sites, compiler options, and how far results moved."""

from __future__ import annotations

from dataclasses import dataclass

LOWER = "lower precision"

PREPARED = "prepared weights"
"""Names the preparation of weights among the rules."""

FOLDED = "folded weights"
"""Names the folding of batch norms into the weights before them among the rules."""

DONATED = "donated arguments"
"""Names the donation of arguments among the rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One form for all equal sites of a program, timed alone against the plain form.

    Attributes:
        rule: Name of the rule.
        title: What becomes what.
        exactness: ``exact``, ``reassociating`` or ``lower precision``.
        signature: What tells these sites apart from others.
        scopes: Where they stand in the model.
        executions: How often they run in one call.
        plain_s: Median time of the plain form, compiled alone.
        form_s: Median time of this form.
        difference: Largest difference of the results, relative to the largest of them.
        kept: Whether it is part of the improved program.
        reason: Why not; None where it is kept.
        whole_ratio: Time of the whole without the changes of this rule, over that with all of
            them; None where that was not tried.
        time_source: ``measured`` on this host; of a device that is not here as `Estimate.source`.
        gain_here: Of such a device's changes, how many times faster the form is on this host, where
            that was measured before.
        flops: What one site computes in its plain form; None where it is not kept, or unknown.
        plain_bytes, form_bytes: What the plain form and this one read and write, likewise.
    """

    rule: str
    title: str
    exactness: str
    signature: str
    scopes: tuple[str, ...]
    executions: int
    plain_s: float
    form_s: float
    difference: float
    kept: bool
    reason: str | None = None
    whole_ratio: float | None = None
    time_source: str = "measured"
    gain_here: float | None = None
    flops: int | None = None
    plain_bytes: int | None = None
    form_bytes: int | None = None

    @property
    def gain(self) -> float:
        """How many times faster it is alone."""
        return self.plain_s / self.form_s if self.form_s else float("inf")

    @property
    def saved_s(self) -> float:
        """Seconds that it saves in one call, if it is as fast in the program as alone."""
        return (self.plain_s - self.form_s) * self.executions


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What two programs are expected to take on a device that is not here.

    Attributes:
        before_s: The plain one.
        after_s: The changed one.
        source: Of both: ``compiler``, its own cycles; ``estimated`` by us; or ``roof``, the least
            that the device's figures allow.
    """

    before_s: float
    after_s: float
    source: str

    @property
    def gain(self) -> float:
        """How many times faster the changed one is."""
        return self.before_s / self.after_s


OptionValue = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionTrial:
    """One XLA compiler option, tried on the whole with all kept changes.

    Attributes:
        name: Of the option.
        value: What it was set to.
        ratio: Time of the whole with it over that without; None where it was not timed.
        kept: Whether the improved program is compiled with it.
        reason: Why not; None where it is kept.
    """

    name: str
    value: OptionValue
    ratio: float | None = None
    kept: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Donation:
    """Donated arguments, tried on the whole with all kept changes.

    Attributes:
        arguments: Their positions; each has results of its shapes and dtypes to take its place.
        before_bytes, after_bytes: Peak of memory by XLA's own statistics, without and with it;
            None where XLA does not tell.
        ratio: Time of the whole with it over that without; None where it was not timed.
        kept: Whether the improved program donates them.
        reason: Why not; None where it does.
    """

    arguments: tuple[int, ...]
    before_bytes: int | None = None
    after_bytes: int | None = None
    ratio: float | None = None
    kept: bool = False
    reason: str | None = None


ROUNDING = 1e-6
"""Share of its largest number that a result may move by the order of sums alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """How far one result of the program moved, and how far it moves by itself.

    Attributes:
        name: Its path in the results.
        largest: Its largest number.
        difference: Largest difference between the plain and the improved program; where one of
            them is finite and the other is not, the largest number there is in float32.
        sensitivity: Largest difference of the plain program from itself when its inputs change
            by one unit in the last place, up or down.
        inputs: With which inputs it moved furthest, as a share of what is allowed.
        tolerance: Share of its largest number that it may move besides.
    """

    name: str
    largest: float
    difference: float
    sensitivity: float
    inputs: str = "given"
    tolerance: float = ROUNDING

    @property
    def allowed(self) -> float:
        """Four times the sensitivity, and the tolerated share of the largest number."""
        return 4.0 * self.sensitivity + self.tolerance * self.largest

    @property
    def share(self) -> float:
        """How much of what is allowed it moved."""
        if self.difference == 0.0:
            return 0.0
        return self.difference / self.allowed if self.allowed else float("inf")

    @property
    def agrees(self) -> bool:
        """Whether it moved no further than is allowed."""
        return self.difference <= self.allowed
