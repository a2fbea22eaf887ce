"""What can be limited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgegraph.compare.figures import kernel_count
from edgegraph.results.analysis import Analysis
from edgegraph.results.diff import LayerFigures

Value = Callable[[Analysis], "int | float | None"]
LayerValue = Callable[[LayerFigures], "int | float | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that can be limited.

    Attributes:
        unit: As on `Check`.
        value: Returns it of an analysis; None where unknown.
        of_layer: Returns a layer's part of it; None where layers have none.
    """

    unit: str
    value: Value
    of_layer: LayerValue | None = None


def _total(name: str) -> Value:
    def value(analysis: Analysis) -> int | float | None:
        found = analysis.totals[name]
        return None if isinstance(found, str) else found

    return value


def _bytes(analysis: Analysis) -> int:
    return analysis.totals.bytes_read + analysis.totals.bytes_written


def _peak(analysis: Analysis) -> int | None:
    """Return what XLA sets aside; of a module from a file what is alive at most."""
    if analysis.memory is not None:
        return analysis.memory.peak_bytes
    return None if analysis.live_memory is None else analysis.live_memory.peak_bytes


def _temporary(analysis: Analysis) -> int | None:
    return None if analysis.memory is None else analysis.memory.temp_bytes


def _latency(analysis: Analysis) -> float | None:
    return None if analysis.latency is None else analysis.latency.median_s


LATENCY = "latency"

METRICS: Mapping[str, Metric] = {
    "flops": Metric(unit="FLOP", value=_total("flops"), of_layer=lambda layer: layer.flops),
    "macs": Metric(unit="MAC", value=_total("macs"), of_layer=lambda layer: layer.macs),
    "bytes": Metric(unit="B", value=_bytes, of_layer=lambda layer: layer.bytes),
    "peak_memory": Metric(unit="B", value=_peak, of_layer=lambda layer: layer.peak_bytes),
    "temp_memory": Metric(unit="B", value=_temporary),
    "params": Metric(unit="", value=_total("params"), of_layer=lambda layer: layer.params),
    "param_bytes": Metric(
        unit="B", value=_total("param_bytes"), of_layer=lambda layer: layer.param_bytes
    ),
    "ops": Metric(unit="", value=_total("ops"), of_layer=lambda layer: layer.ops),
    "kernels": Metric(unit="", value=kernel_count),
    "wire_bytes": Metric(unit="B", value=_total("wire_bytes")),
    LATENCY: Metric(unit="s", value=_latency, of_layer=lambda layer: layer.time_s),
}
"""By name; ``peak_memory`` is ``--max-peak-memory`` on the command line."""

DEFAULT_LIMITS: Mapping[str, str] = {"flops": "+1%", "bytes": "+2%", "peak_memory": "+5%"}
"""What is held against a baseline where no limit is given."""
