"""Analyses written by hand, for what shows and keeps them."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

import edgegraph as eg
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.results.analysis import Analysis, Finding
from edgegraph.results.timing import Latency, LayerLatency, Throughput
from edgegraph.workload.workload import Workload
from tests import plain_programs, programs

MARKUP = "<img src=x onerror=alert(1)>"

HOSTILE = f"\x1b[2J\u202e[b]{MARKUP}"
"""A name that clears a terminal, turns what follows around, is rich's markup and HTML's."""

SHOWN = rf"\x1b[2J\u202e[b]{MARKUP}"
"""How it is shown."""


def unseen(text: str) -> set[str]:
    """Return what stands in a text and cannot be seen, but for the ends of lines."""
    return {each for each in text if not each.isprintable() and each != "\n"}


DEVICE = Device(
    name="a round machine",
    peak_flops_per_s={"f32": 100e9, "bf16": 200e9},
    memory=(
        MemoryLevel(name="L2", size_bytes=1 << 20, bandwidth_bytes_per_s=100e9),
        MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=10e9),
    ),
    origin="catalogue",
    source="made up for tests: ridge points of 1 and 10 FLOP/byte",
    dispatch_s=5e-6,
)


def latency(median_s: float, dispatch_s: float = 5e-6, verdict: str = "OK") -> Latency:
    """Return a latency around `median_s`."""
    return Latency(
        median_s=median_s, p90_s=1.1 * median_s, p99_s=None, min_s=0.9 * median_s,
        mad_s=0.02 * median_s, relative_iqr=0.03, drift=0.01, samples=100, outliers=2,
        stopped_by="stable", first_call_s=3 * median_s, dispatch_s=dispatch_s, verdict=verdict,
        samples_s=(median_s,), interval_s=(0.97 * median_s, 1.03 * median_s),
    )  # fmt: skip


def small_cnn(batch: int = 32) -> Analysis:
    """Analyse SmallCNN on a device with round figures, unmeasured."""
    function, arguments = programs.small_cnn(batch)
    analysis = eg.analyze(function, args=arguments, name="small_cnn", device=DEVICE)
    return replace(analysis, batch=batch)


def measured(analysis: Analysis, seconds: float = 1e-3) -> Analysis:
    """Pretend that every leaf layer took `seconds` and the whole four fifths of their sum."""
    from edgegraph.results.roll_up import roll_up

    leaves = [row for row in analysis.layer_records if row.leaf]
    latencies = tuple(
        LayerLatency(
            layer=row.layer.removesuffix("/(own)"),
            phase=row.phase,
            latency=latency(seconds + 5e-6),
        )
        for row in leaves
    )
    whole = latency(0.8 * seconds * len(leaves))
    layers = roll_up(analysis.op_records, {}, latencies)
    return replace(
        analysis,
        layer_records=layers,
        latency=whole,
        layer_latencies=latencies,
        totals=replace(analysis.totals, time_s=whole.median_s, layers_time_s=seconds * len(leaves)),
    )


def throughput(queue_depth: int, samples_per_s: float, verdict: str = "OK") -> Throughput:
    """Return a throughput at batch 32."""
    return Throughput(
        queue_depth=queue_depth, batch=32, calls=1000, windows=20, wall_s=32e3 / samples_per_s,
        calls_per_s=samples_per_s / 32, samples_per_s=samples_per_s, relative_iqr=0.02,
        drift=0.01, verdict=verdict, cores=2, others_share=0.01,
    )  # fmt: skip


def under_conditions() -> Analysis:
    """Pretend that the whole was measured in every way there is."""
    found = measured(small_cnn())
    assert found.latency is not None
    return replace(
        found,
        other_latencies=(
            replace(latency(5e-3), cache="cold", cores=2, others_share=0.02),
            replace(latency(7e-3, verdict="NOISY"), cores=1, reasons=("busy",)),
        ),
        throughputs=(throughput(1, 10e3), throughput(8, 12.5e3)),
        latency=replace(found.latency, others_share=0.02),
    )


def gradient() -> Analysis:
    """Analyse a gradient: two phases."""
    function, arguments = programs.small_cnn_gradient(4)
    return eg.analyze(function, args=arguments, name="gradient", device=DEVICE)


def without_device() -> Analysis:
    """Analyse on no device: every time is unknown."""
    return replace(
        small_cnn(1),
        device=None,
        layer_records=tuple(
            replace(
                row, compute_time_s=None, memory_time_s=None, time_s=None, time_source=None,
                bound=None, share=None,
            )
            for row in small_cnn(1).layer_records
        ),
    )  # fmt: skip


def hostile() -> Analysis:
    """Analyse a function whose scope, and with it every op_name, is markup."""

    def run(x: jax.Array) -> jax.Array:
        with jax.named_scope(HOSTILE):
            return jnp.tanh(x @ x)

    workload = Workload.from_function(run, lambda batch: (jnp.ones((8, 8)),), name=HOSTILE)
    analysis = eg.analyze(workload, batch=1, device=DEVICE)
    return replace(
        analysis,
        findings=(
            Finding(
                rule="hostile", layer=HOSTILE, seen=HOSTILE, why=HOSTILE, try_next=HOSTILE,
                numbers={HOSTILE: 1.0}, certainty="high", weight=1.0,
            ),
        ),
    )  # fmt: skip


def physics() -> Analysis:
    """Analyse bodies that repel each other: plain functions, and no layer."""
    function, arguments = plain_programs.physics()
    return eg.analyze(function, args=arguments, name="physics", device=DEVICE)


def memory_bound() -> Analysis:
    """Analyse a program that only moves data."""
    x = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
    return eg.analyze(lambda x: x.T + 1.0, args=(x,), name="transpose", device=DEVICE)


def unpriced() -> Analysis:
    """Analyse a program with a custom call of which nobody knows the cost."""
    text = """HloModule unpriced, is_scheduled=true
    ENTRY main { x = f32[4] parameter(0)
      ROOT y = f32[4] custom-call(x), custom_call_target="known_to_nobody" }"""
    return eg.analyze(text, name="unpriced", device=DEVICE)
