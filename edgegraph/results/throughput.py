"""How many calls a program gets through when the next are queued before the last is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Pipelined throughput of one executable at one queue depth.

    It is not one over the latency: while one call runs, the next are already handed over.

    Attributes:
        queue_depth: Calls that were in flight at most; 1 hands over the next call when the last
            is done.
        batch: Samples in a call; None where the program has no batch.
        calls: Calls that were made,
        windows: in this many windows, each from its first enqueue to its last completion.
        wall_s: Seconds that the windows took together.
        calls_per_s: calls / wall_s.
        samples_per_s: Calls per second times the batch; the calls themselves without a batch.
        relative_iqr: Interquartile range over the median of the windows' times.
        drift: How much slower the second half of the windows was than the first.
        verdict: ``OK``, ``NOISY`` or ``INVALID``.
        reasons: Why the verdict is not ``OK``, one line each.
        cores: Cores that the process could use.
        others_share: Share of the cores' time that other processes took; None where the system
            does not tell.
    """

    queue_depth: int
    batch: int | None
    calls: int
    windows: int
    wall_s: float
    calls_per_s: float
    samples_per_s: float
    relative_iqr: float
    drift: float
    verdict: str
    reasons: tuple[str, ...] = ()
    cores: int
    others_share: float | None = None


def best_throughput(throughputs: tuple[Throughput, ...]) -> Throughput | None:
    """Return the highest throughput of all queue depths; None without any.

    Example:
        >>> best_throughput(()) is None
        True
    """
    return max(throughputs, key=lambda one: one.calls_per_s, default=None)
