"""Serving a language model: times to tokens by batch and context, and what decoding waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from edgegraph.base.shown import shown
from edgegraph.base.units import seconds, si
from edgegraph.device.device import Device
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study, numbers
from edgegraph.results.columns import COUNT, Column, columns_of, frame
from edgegraph.results.form import in_document
from edgegraph.results.verdicts import OK
from edgegraph.studies.serve.turn import Turn, find_turn

if TYPE_CHECKING:
    import pandas as pd

MEASURED = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPoint:
    """Prefill and decode at one batch size and context.

    Attributes:
        batch: Sequences that are served together.
        context: Tokens of the prompt, and of the cache that a token is decoded from.
        error: Why figures are missing, in one line; None if all went well.
        time_source: ``measured`` on this host, or ``estimated``: times at the roof, which no
            program undercuts. None where there are none.
        first_token_s: Time to the first token: the median of a prefill.
        output_token_s: Time to each further one: the median of a decode step.
        first_token_p90_s, output_token_p90_s: What nine of ten calls keep; None where that was not
            measured, or of too few samples.
        cache_bytes: Of the arguments of a decode step what grows with batch and context both;
            None where nothing does.
        compute_time_s, memory_time_s: What a decode step needs at least for arithmetic and data.
        bound: What binds the decode step.
        prefill_bound: What binds the prefill.
        peak_memory_bytes: The more that XLA allocates of the two: arguments, results, temporaries.
        fits: Whether that is no more than the device's memory; None if either is unknown.
        verdict: How sound the measurements are: the worse of the two.
    """

    batch: Annotated[int, COUNT]
    context: Annotated[int, COUNT]
    error: str | None = None
    time_source: str | None = None
    first_token_s: Annotated[float | None, Column(heading="first token")] = None
    output_token_s: Annotated[float | None, Column(heading="per token")] = None
    first_token_p90_s: float | None = None
    output_token_p90_s: float | None = None
    cache_bytes: Annotated[int | None, Column(heading="cache")] = None
    compute_time_s: Annotated[float | None, Column(heading="compute")] = None
    memory_time_s: Annotated[float | None, Column(heading="memory")] = None
    bound: Annotated[str | None, Column(heading="decode")] = None
    prefill_bound: Annotated[str | None, Column(heading="prefill")] = None
    peak_memory_bytes: Annotated[int | None, Column(heading="peak")] = None
    fits: bool | None = None
    verdict: str | None = None

    @property
    def tokens_per_s(self) -> Annotated[float | None, Column(heading="tokens/s", write=si)]:
        """Tokens that decoding gives each second: batch / output_token_s."""
        return self.batch / self.output_token_s if self.output_token_s else None

    def keeps(self, first_token_s: float | None, output_token_s: float | None) -> bool:
        """Return whether its times are within both budgets, by the p90 where there is one."""
        held = (
            (self.first_token_p90_s or self.first_token_s, first_token_s),
            (self.output_token_p90_s or self.output_token_s, output_token_s),
        )
        return all(
            time is not None and time <= budget for time, budget in held if budget is not None
        )


COLUMNS = columns_of(
    ServingPoint, "batch", "context", "first_token_s", "output_token_s", "tokens_per_s",
    "time_source", "cache_bytes", "bound", rest=True,
)  # fmt: skip
"""Of the frame."""

in_document(ServingPoint, COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingChoice:
    """The batch for the budgets at one context.

    Attributes:
        context: The context.
        batch: The batch with the most tokens per second of those within the budgets; None where
            there is none, or the measurement is too noisy to say.
        reason: One line: the choice with its numbers, or why there is none.
    """

    context: int
    batch: int | None
    reason: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Serving(Study):
    """A prefill and a decode workload over batch sizes and contexts.

    Attributes:
        prefill, decode: Names of the workloads.
        axis: The axis of both that is the context.
        target: What they were compiled for.
        device: The device whose roofs were used, or None.
        environment: Where and with what it was made.
        max_first_token_s, max_output_token_s: Budgets, or None.
        points: Context by context, batches ascending.
    """

    prefill: str
    decode: str
    axis: str
    target: str
    device: Device | None
    environment: Environment
    max_first_token_s: float | None
    max_output_token_s: float | None
    points: tuple[ServingPoint, ...]

    @property
    def workload(self) -> str:
        """Both names."""
        return f"{self.prefill} and {self.decode}"

    @property
    def contexts(self) -> Mapping[int, tuple[ServingPoint, ...]]:
        """The points by context, batches ascending."""
        found: dict[int, list[ServingPoint]] = {}
        for point in self.points:
            found.setdefault(point.context, []).append(point)
        return {context: tuple(points) for context, points in found.items()}

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The batch at which decoding turns compute-bound, context by context."""
        return tuple(
            turn
            for context, points in self.contexts.items()
            if (turn := find_turn(context, [
                (point.batch, point.compute_time_s, point.memory_time_s) for point in points
            ])) is not None
        )  # fmt: skip

    @property
    def choices(self) -> tuple[ServingChoice, ...]:
        """The batch for the budgets, context by context; none without a budget."""
        if self.max_first_token_s is None and self.max_output_token_s is None:
            return ()
        return tuple(self._choice(*each) for each in self.contexts.items())

    def _choice(self, context: int, points: Sequence[ServingPoint]) -> ServingChoice:
        budgets = self.max_first_token_s, self.max_output_token_s
        known = [point for point in points if point.output_token_s and point.fits is not False]
        within = [point for point in known if point.keeps(*budgets)]
        best = max(within, key=_preference, default=None)
        if best is None:
            return ServingChoice(context=context, batch=None, reason=_why_none(known))
        if best.verdict not in (None, OK):
            said = f"not said, since what was measured at batch {best.batch} is {best.verdict}"
            return ServingChoice(context=context, batch=None, reason=said)
        said = (
            f"batch {best.batch}: {si(best.tokens_per_s or 0.0)} tokens/s, first token"
            f" {seconds(best.first_token_s)}, each further one {seconds(best.output_token_s)},"
            f" {best.time_source}"
        )
        return ServingChoice(context=context, batch=best.batch, reason=said)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per batch and context; times are seconds, unknown is NaN or <NA>."""
        return frame(self.points, COLUMNS)

    def __repr__(self) -> str:
        """Name the workloads and what they were served for."""
        return f"<Serving {shown(self.workload)} on {self.target}: {len(self.points)} points>"

    @property
    def conclusions(self) -> tuple[str, ...]:
        """Where decoding turns compute-bound, and the batch for the budgets, in a line each."""
        lines = [f"decode at {self.axis} {turn.context:,}: {turn.words}" for turn in self.turns]
        lines += [f"budget at {self.axis} {one.context:,}: {one.reason}" for one in self.choices]
        return tuple(lines)

    def run_notes(self) -> Notes:
        """Return what the run database notes: the figures of every point by batch and context."""
        return Notes(
            workload=self.workload,
            target=self.target,
            options={},
            environment=self.environment,
            metrics=numbers(
                (f"{name} (batch {point.batch}, {self.axis} {point.context})", getattr(point, name))
                for point in self.points
                for name in ("first_token_s", "output_token_s", "tokens_per_s", "cache_bytes")
            ),
        )


def _preference(point: ServingPoint) -> tuple[float, int]:
    """Prefer the most tokens per second, of equals the smaller batch."""
    return point.tokens_per_s or 0.0, -point.batch


def _why_none(points: Sequence[ServingPoint]) -> str:
    if not points:
        return "no batch has times, or fits"
    least = min(points, key=lambda point: point.output_token_s or 0.0)
    first, further = seconds(least.first_token_s), seconds(least.output_token_s)
    return (
        f"no batch keeps it; batch {least.batch} has its first token after {first}, each further"
        f" one after {further}"
    )


in_document(Serving, more=["turns", "choices", "conclusions"])
