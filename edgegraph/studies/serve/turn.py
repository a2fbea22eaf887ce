"""The batch at which a decode step turns from waiting for memory to computing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgegraph.studies.sweep.growth import CLOSE, crossing, fit, value_at

_LARGEST = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where arithmetic takes as long as data at the roof, at one context.

    Each sequence adds its arithmetic, and the bytes of its cache; weights are read once for all.
    So both times are lines in the batch, which are fitted to the batches that were swept.

    Attributes:
        context: The context.
        batch: The batch at which both take as long; None where there is none, or no line fits.
        computed: Whether it follows from lines beyond the batches that were swept.
        bound: What binds at the smallest batch and, where there is no such batch, at all of them.
    """

    context: int
    batch: float | None
    computed: bool
    bound: str | None

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        if self.batch is not None:
            beyond = ", beyond the batches swept" if self.computed else ""
            return (
                f"memory-bound up to batch {self.batch:,.0f}, compute-bound from there on{beyond}"
            )
        if self.bound == "memory":
            return (
                "memory-bound at any batch: the bytes that a sequence adds take longer than its"
                " arithmetic"
            )
        if self.bound == "compute":
            return "compute-bound from the smallest batch on"
        return "where it turns compute-bound cannot be said: no lines fit its times"


def find_turn(context: int, times: Sequence[tuple[int, float | None, float | None]]) -> Turn | None:
    """Return where a decode step turns compute-bound; None with fewer than two batches.

    `times` are batch, compute time and memory time, batches ascending.
    """
    known = [(batch, compute, memory) for batch, compute, memory in times if compute and memory]
    if len(known) < 2:
        return None
    batches = [batch for batch, _, _ in known]
    (compute, off_compute), (memory, off_memory) = (
        fit(batches, [each[place] for each in known], [CLOSE], highest=1) for place in (1, 2)
    )
    if max(off_compute, off_memory) > CLOSE:
        return Turn(context=context, batch=None, computed=False, bound=None)

    def lead(batch: float) -> float:
        return value_at(compute, batch) - value_at(memory, batch)

    first, last = float(batches[0]), float(batches[-1])
    if lead(first) > 0:
        return Turn(context=context, batch=None, computed=False, bound="compute")
    turn = crossing(lead, first, _LARGEST)
    return Turn(
        context=context, batch=turn, computed=turn is not None and turn > last, bound="memory"
    )
