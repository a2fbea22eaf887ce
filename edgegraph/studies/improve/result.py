"""What rewriting a program brought: every change that was tried, and the whole before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from edgegraph.base.shown import shown
from edgegraph.base.units import times
from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.timing import TimingComparison
from edgegraph.studies.improve.trials import (
    Change,
    Donation,
    Estimate,
    OptionTrial,
    OptionValue,
    OutputCheck,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from edgegraph.rewrites.prepared import Split
    from edgegraph.workload import Workload


COLUMNS = columns_of(
    Change, "rule", "scopes", "executions", "plain_s", "form_s", "gain", "saved_s", "difference",
    "kept", "reason", "signature", "time_source", "gain_here",
)  # fmt: skip
"""Of the frame."""

in_document(Change, more=["gain", "saved_s"])


@dataclass(frozen=True, kw_only=True, repr=False)
class Improvement(Study):
    """What was tried to make a program faster, and what it brought.

    Attributes:
        workload: Name of the workload.
        batch: Its batch size, or None.
        target: What it was compiled for: ``cpu``, this host, or a device that is not here.
        environment: Where and with what it was made.
        changes: Every form that was timed, those that save most first.
        outputs: How far each result moved; empty where nothing was kept.
        timing: The improved program against the plain one, in fresh processes, with a control;
            None where nothing was kept, or the study was interrupted.
        untried: Signatures that the time limit left out.
        inputs: With which inputs the results were compared.
        allow: Permissions for forms of lower precision.
        options: Compiler options that were tried.
        donation: The donation of arguments that was tried; None where nothing can be donated, or
            the program donates already.
        prepared: Whether the improved program takes prepared weights; see `prepare`.
        folded: How many batch norms, or other numbers for each channel, are folded into prepared
            weights.
        prepare_s: How long it takes to prepare them, once; None where they are not.
        estimate: What the whole is expected to take on a target that is not here.
        interrupted: What Ctrl-C ended, so that nothing after it was done; None for nothing.
        device: Whose roofs the changes stand under; None where this machine is not calibrated.
    """

    workload: str
    batch: int | None
    target: str
    environment: Environment
    changes: tuple[Change, ...]
    outputs: tuple[OutputCheck, ...] = ()
    timing: TimingComparison | None = None
    untried: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    options: tuple[OptionTrial, ...] = ()
    donation: Donation | None = None
    prepared: bool = False
    folded: int = 0
    prepare_s: float | None = None
    estimate: Estimate | None = None
    interrupted: str | None = None
    device: Device | None = None

    @property
    def decisions(self) -> Mapping[str, str]:
        """The rule for each signature of sites, of the changes that were kept."""
        return {change.signature: change.rule for change in self.changes if change.kept}

    @property
    def compiler_options(self) -> Mapping[str, OptionValue]:
        """The XLA options that were kept, for ``jax.jit(study.function, compiler_options=...)``."""
        return {each.name: each.value for each in self.options if each.kept}

    @property
    def donate_argnums(self) -> tuple[int, ...]:
        """The arguments to donate, for ``jax.jit(study.function, donate_argnums=...)``."""
        donation = self.donation
        return donation.arguments if donation is not None and donation.kept else ()

    def run_notes(self) -> Notes:
        """Return what the run database notes: both times, and how they compare."""
        timing = self.timing
        figures = (("plain_s", "first_s"), ("improved_s", "second_s"), ("ratio", "ratio"))
        return Notes(
            workload=self.workload,
            batch=self.batch,
            target=self.target,
            options=self.compiler_options,
            environment=self.environment,
            metrics=numbers((name, getattr(timing, of, None)) for name, of in figures),
        )

    @property
    def kept(self) -> bool:
        """Whether any change, prepared weights, an option or a donation are kept."""
        whole = (self.compiler_options, self.prepared, self.donate_argnums)
        return bool(self.decisions) or any(whole)

    @property
    def speedup(self) -> float | None:
        """How many times faster the improved program is; None where it was not timed."""
        return None if self.timing is None else 1.0 / self.timing.ratio

    @property
    def faster(self) -> bool:
        """Whether the interval lies at least 1 % below 1, and below that of the control.

        How many times faster it is may still be known only roughly: the interval says so.
        """
        timing = self.timing
        return timing is not None and timing.interval[1] < 0.99 * min(
            1.0, timing.control_interval[0]
        )

    @property
    def error(self) -> float | None:
        """Largest difference of any result, relative to the largest number in it."""
        shares = [each.difference / each.largest for each in self.outputs if each.largest]
        return max(shares, default=None)

    @property
    def improved_workload(self) -> Workload:
        """The workload with the kept changes made, for any other study.

        Raises:
            InputError: The study was read from a file, which holds the decisions and no code.
        """
        from edgegraph.rewrites.decisions import rewritten_workload

        return rewritten_workload(
            self._code, self.decisions, self.compiler_options, self.donate_argnums
        )

    @property
    def _code(self) -> Workload:
        source: Workload | None = getattr(self, "_source", None)
        if source is None:
            raise InputError(
                "a study from a file holds decisions and no code; use applied_to(function)"
            )
        return source

    def prepare(self, *weights: Any) -> Any:
        """Compute what depends on the weights alone, once: transpose, pad, round, scale.

        Args:
            *weights: The first arguments of the function: ``params, state`` of a Flax model.

        Returns:
            A list of arrays, for `prepared_function`.

        Raises:
            InputError: The function has no weights, or the study was read from a file.

        Example:
            >>> prepared = study.prepare(params, state)  # doctest: +SKIP
            >>> outputs = jax.jit(study.prepared_function)(prepared, x)  # doctest: +SKIP
        """
        return self._halves.prepare(*weights)

    @property
    def prepared_function(self) -> Callable[..., Any]:
        """The improved function of prepared weights and data; see `prepare`."""
        return self._halves.run

    @cached_property
    def _halves(self) -> Split:
        from edgegraph.rewrites.decisions import prepared_halves

        call = self._code.call(self.batch or 1)
        if not call.held or call.updates:
            raise InputError(
                f"{self.workload!r} has no weights that stay the same from call to call; say how"
                " many of the first arguments are, as eg.improve(..., weights=1)"
            )
        return prepared_halves(call, self.decisions, bool(self.folded))

    @property
    def function(self) -> Callable[..., Any]:
        """The improved function: jit it, differentiate it, vmap it.

        Raises:
            InputError: The study was read from a file, which holds the decisions and no code.
        """
        return self.improved_workload.call(self.batch or 1).function

    def applied_to(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with the kept changes made, as `edgegraph.rewrite` does.

        Args:
            function: The function that was improved, or one with equal sites.
        """
        from edgegraph.rewrites.rewriter import rewritten

        return rewritten(function, self.decisions)

    def save(self, path: str | Path) -> Path:
        """Write the study, or to ``*.rewrites`` what was decided, for `edgegraph.rewrite`.

        Returns:
            The path written.

        Raises:
            InputError: The folder does not exist or cannot be written.
        """
        from edgegraph.rewrites.decisions import save_decisions

        if str(path).endswith(".rewrites"):
            return save_decisions(self.decisions, path, self.compiler_options, self.donate_argnums)
        return super().save(path)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per change, those that save most first; times are seconds."""
        return frame(self.changes, COLUMNS)

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the study says, in a line each."""
        from edgegraph.studies.improve.words import conclusions

        return conclusions(self)

    @property
    def found(self) -> str:
        """What was gained, in a few words; only figures that the interval supports."""
        if self.interrupted is not None:
            return "interrupted"
        if self.estimate is not None and self.kept:
            return f"{self.estimate.gain:.3g} times as fast, not measured"
        if self.speedup is None:
            return "nothing kept"
        return f"{self.speedup:.3g} times as fast" if self.faster else "no gain that can be told"

    def __repr__(self) -> str:
        """Name the workload and what was gained."""
        at = "" if self.batch is None else f" at batch {self.batch}"
        return f"<Improvement {shown(self.workload)}{at}: {self.found}>"


in_document(Improvement, more=["speedup", "error", "conclusions"])


def _difference(share: float) -> str:
    return f"{share:.0e}" if share else "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChanges:
    """What one rule brought, kept and not kept apart.

    Attributes:
        title: What becomes what.
        executions: How often its sites run in one call.
        plain_s, form_s: Time of all of them in one call, before and after, timed alone.
        difference: The largest of any.
        kept: Whether they are part of the improved program.
        reason: Why not, of the site that takes longest.
        gain_here: Of a device that is not here, the least gain of any on this host; None where that
            is not known.
    """

    title: Annotated[str, Column(heading="change")]
    executions: Annotated[int, replace(COUNT, heading="sites")]
    plain_s: Annotated[float, Column(heading="before")]
    form_s: Annotated[float, Column(heading="after")]
    difference: Annotated[float, Column(heading="error", write=_difference)]
    kept: bool
    reason: str | None
    gain_here: Annotated[float | None, Column(heading="here", write=times)] = None

    @property
    def gain(self) -> Annotated[float, Column(write=times)]:
        """How many times faster they are, timed alone."""
        return self.plain_s / self.form_s

    @property
    def verdict(self) -> Annotated[str, Column(heading="kept")]:
        """Whether they are kept, and why not."""
        return "yes" if self.kept else f"no: {self.reason}"


def by_rule(study: Improvement) -> tuple[RuleChanges, ...]:
    """Add the changes up by rule, kept ones first, those that save most at the top."""
    groups: dict[tuple[bool, str], list[Change]] = {}
    for change in study.changes:
        groups.setdefault((change.kept, change.title), []).append(change)
    rows = [
        RuleChanges(
            title=title,
            executions=sum(each.executions for each in group),
            plain_s=sum(each.plain_s * each.executions for each in group),
            form_s=sum(each.form_s * each.executions for each in group),
            difference=max(each.difference for each in group),
            kept=kept,
            reason=max(group, key=lambda each: each.plain_s * each.executions).reason,
            gain_here=min((each.gain_here for each in group if each.gain_here), default=None),
        )
        for (kept, title), group in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: (not row.kept, row.form_s - row.plain_s)))
