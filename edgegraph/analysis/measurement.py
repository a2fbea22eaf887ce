"""What `analyze` measures of a program, and how carefully."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from edgegraph.errors import InputError
from edgegraph.measure.isolated import Depth, check_depth
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.op_trace import OpTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What to measure of a program, and how carefully.

    Attributes:
        latency: Measure the latency of the whole and of every layer alone.
        depth: How finely to time layers: None for every scope's own operations alone, 1 for the
            model's children (its blocks) in one piece each, 2 for theirs; a list for several
            cuts, or ``all``.
        throughput: Run it pipelined: calls per second by the number of calls in flight.
        cold: Measure the latency with cold caches too.
        cores: Measure the latency on this many cores too, compiled for them.
        trace: Measure every op inside the running program, by the profiler. None does so where
            `latency` is set and the trace is of sensible size. A trace that `edgegraph.read_trace`
            returned is used as it is, also for a program that cannot run here.
        trace_dir: Log folder to keep the profile in, for XProf and TensorBoard.
        settings: How long and how carefully to measure; None for the defaults.

    Raises:
        InputError: Layers cannot be cut at `depth`, or `trace_dir` is given and no trace is taken.

    Example:
        >>> Measurement(latency=False, cold=True).runs, Measurement(latency=False).runs
        (True, False)
    """

    latency: bool = True
    depth: Depth = None
    throughput: bool = False
    cold: bool = False
    cores: int | None = None
    trace: bool | OpTrace | None = None
    trace_dir: str | Path | None = None
    settings: MeasurementSettings | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured before anything is compiled."""
        if self.latency:
            check_depth(self.depth)
        if self.trace_dir is not None and not self.takes_trace:
            raise InputError(
                f"trace_dir={str(self.trace_dir)!r} keeps a trace, but none is taken here"
            )

    @property
    def runs(self) -> bool:
        """Whether the program has to run."""
        conditions = self.cold or self.cores is not None
        return self.latency or self.throughput or conditions or self.trace is True

    @property
    def takes_trace(self) -> bool:
        """Whether to run the program under the profiler."""
        return self.trace is True or (self.trace is None and self.latency)


class MeasurementKeywords(TypedDict, total=False):
    """The attributes of a `Measurement` as keywords of `analyze`."""

    depth: Depth
    throughput: bool
    cold: bool
    cores: int | None
    trace: bool | OpTrace | None
    trace_dir: str | Path | None
    settings: MeasurementSettings | None


def requested_measurement(
    measure: bool | Measurement, keywords: MeasurementKeywords
) -> Measurement:
    """Return what `analyze` is asked to measure, by one object or by keywords."""
    unknown = sorted(keywords.keys() - MeasurementKeywords.__optional_keys__)
    if unknown:
        raise TypeError(f"analyze() got an unexpected keyword argument {unknown[0]!r}")
    if not isinstance(measure, Measurement):
        return Measurement(latency=measure, **keywords)
    if keywords:
        raise InputError(
            f"analyze() got a Measurement and {', '.join(keywords)}; set those on the Measurement"
        )
    return measure
