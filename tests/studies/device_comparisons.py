"""Device comparisons written by hand, a workload to compare, and what their table says."""

from __future__ import annotations

import io

import jax
from rich.console import Console

import edgegraph as eg
from edgegraph.measure.environment import environment
from edgegraph.studies.devices.present import comparison_table
from edgegraph.studies.devices.result import DeviceComparison, DeviceRow


def row(device: str, low_s: float, high_s: float, measured_s: float | None = None) -> DeviceRow:
    """Return a row that memory binds."""
    return DeviceRow(
        workload="small_cnn", device=device, device_name=device, batch=1, macs=4_643_840,
        flops=9_287_680, bytes=3_300_000, compute_time_s=high_s - low_s, memory_time_s=low_s,
        low_s=low_s, high_s=high_s, measured_s=measured_s,
        verdict=None if measured_s is None else "OK", bound="memory", memory_bound_share=0.9,
        needed_bytes=4_000_000, capacity_bytes=1 << 34, largest_batch=4096,
    )  # fmt: skip


def failed(device: str, error: str = "no compiler for it here") -> DeviceRow:
    return DeviceRow(workload="small_cnn", device=device, batch=1, error=error)


def comparison(*rows: DeviceRow) -> DeviceComparison:
    return DeviceComparison(rows=rows, environment=environment())


def three() -> DeviceComparison:
    """Return two devices with figures and one without."""
    return comparison(
        row("cpu", 100e-6, 190e-6, 150e-6), row("tpu:v5e", 4e-6, 5e-6), failed("gpu:orin")
    )


def dense(inputs: int = 784, name: str = "dense") -> eg.Workload:
    return eg.Workload.from_function(
        lambda x, w: x @ w,
        lambda batch: (
            jax.ShapeDtypeStruct((batch, inputs), "float32"),
            jax.ShapeDtypeStruct((inputs, 10), "float32"),
        ),
        name=name,
    )


def said(compared: DeviceComparison) -> str:
    text = io.StringIO()
    Console(width=110, file=text).print(comparison_table(compared))
    return " ".join(text.getvalue().split())
