"""The same program on several devices, and several programs on the same device."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from edgegraph.results.analysis import Environment
from edgegraph.units import seconds

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """One workload on one device at one batch size.

    Attributes:
        workload: Name of the workload.
        device: As it was asked for: ``cpu``, ``tpu:v5e``, ``gpu:orin``, ``device:rpi5``.
        device_name: Its full name; None where there is none.
        batch: Batch size, or None.
        error: Why there are no figures; None where there are.
        macs, flops, bytes: Of one call; bytes read and written.
        compute_time_s, memory_time_s: What the device needs at least for arithmetic and data.
        low_s: No execution is faster: every op at its roof.
        high_s: As if nothing overlapped: arithmetic and data one after the other.
        compiler_time_s: What the device's own compiler estimates; None where it does not.
        measured_s: Measured here; None on a device that is not here.
        verdict: Of the measurement.
        bound: What binds most of the time.
        memory_bound_share: Share of the time at the roof that ops wait for memory.
        weights_bytes: Parameters of the model.
        activation_bytes: The most memory alive beside weights and inputs; None where unknown.
        needed_bytes: Arguments, results and temporaries of the compiled program.
        capacity_bytes: Main memory of the device; None where unknown.
        largest_batch: The largest batch size that fits, extrapolated from the batch sizes at
            hand; None where that cannot be told.
    """

    workload: str
    device: str
    device_name: str | None = None
    batch: int | None
    error: str | None = None
    macs: int | None = None
    flops: int | None = None
    bytes: int | None = None
    compute_time_s: float | None = None
    memory_time_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    compiler_time_s: float | None = None
    measured_s: float | None = None
    verdict: str | None = None
    bound: str | None = None
    memory_bound_share: float | None = None
    weights_bytes: int | None = None
    activation_bytes: int | None = None
    needed_bytes: int | None = None
    capacity_bytes: int | None = None
    largest_batch: int | None = None

    @property
    def fits(self) -> bool | None:
        """Whether it fits into the device's memory; None where that is unknown."""
        if self.needed_bytes is None or self.capacity_bytes is None:
            return None
        return self.needed_bytes <= self.capacity_bytes

    @property
    def utilisation(self) -> float | None:
        """The highest share of the peak rate that is possible: T_compute over the time at the roof.

        Of the measured time, where there is one.
        """
        time_s = self.measured_s or self.low_s
        return None if not time_s or self.compute_time_s is None else self.compute_time_s / time_s

    @property
    def throughput_per_s(self) -> float | None:
        """Examples per second at the measured time, else the highest that the roofs allow."""
        time_s = self.measured_s or self.low_s
        return None if not time_s else (self.batch or 1) / time_s


COLUMNS = (
    *(field.name for field in fields(DeviceRow)), "fits", "utilisation", "throughput_per_s",
)  # fmt: skip
"""Of the frame."""


@dataclass(frozen=True, kw_only=True, repr=False)
class DeviceComparison:
    """Workloads, devices and batch sizes, side by side.

    Attributes:
        rows: Workloads one after the other, then devices, then batch sizes.
        environment: Where and with what it was made.
    """

    rows: tuple[DeviceRow, ...]
    environment: Environment

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per workload, device and batch size, with the columns of `DeviceRow`."""
        import pandas as pd

        return pd.DataFrame(
            [[getattr(row, column) for column in COLUMNS] for row in self.rows],
            columns=list(COLUMNS),
        )

    @property
    def document(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        from msgspec import to_builtins

        return {
            "environment": to_builtins(self.environment),
            "rows": [{column: getattr(row, column) for column in COLUMNS} for row in self.rows],
        }

    def save(self, path: str | Path) -> Path:
        """Write the comparison to `path` (usually ``*.edgegraph``), atomically.

        Raises:
            InputError: The folder does not exist or cannot be written.
        """
        from edgegraph.results.files import save

        return save(self, path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the time on every device, and what binds it.

        Raises:
            InputError: There is no row with figures.
        """
        from edgegraph.report.device_plot import device_times

        return device_times(self, ax)

    def __repr__(self) -> str:
        """Name the best and the worst."""
        timed = sorted((row.low_s, row.device) for row in self.rows if row.low_s is not None)
        ends = [f"{device} at least {seconds(time_s)}" for time_s, device in timed]
        said = " ... ".join(dict.fromkeys((ends[0], ends[-1]))) if ends else "no figures"
        return f"<DeviceComparison of {len(self.rows)} rows: {said}>"

    def _repr_html_(self) -> str:
        """Show the rows in a notebook."""
        return f"<p><b>{escape(repr(self)[1:-1])}</b></p>{self.frame.to_html(na_rep='?')}"
