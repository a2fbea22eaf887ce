"""Whatever library a program comes from: exact counts, a row for every cost, the same for time."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import pytest

import edgegraph as eg
from edgegraph.analysis.equations import place_equations
from edgegraph.device.calibration.calibrate import Plan, measure_host
from edgegraph.device.calibration.peaks import Effort
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import UNATTRIBUTED, scope_of
from edgegraph.measure.regions import find_regions
from edgegraph.measure.sampling import MeasurementSettings
from tests.foreign.programs import PROGRAMS, Known, ones

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:::(?!edgegraph)"),  # what libraries say of their own
]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A program with its analysis."""

    known: Known
    program: eg.Program
    analysis: eg.Analysis


def made(name: str) -> Made:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip(name.partition(":")[0])
    known = PROGRAMS[name]()
    program = eg.compile(known.workload, batch=known.batch)
    return Made(known=known, program=program, analysis=eg.analyze(program))


@pytest.fixture(scope="module")
def host() -> eg.Device:
    """The roofs of this machine for f32, which is what these programs compute in."""
    plan = replace(
        Plan.for_this_host(), kernels=False, product_sizes={"f32": (512, 1024)}, convolution=False
    )
    return load_calibration() or measure_host(plan, effort=Effort(limit_s=10.0))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, host: eg.Device) -> None:
    found = made(name)
    check_counts(found)
    check_names(found)
    check_rows_of_time(found)
    traced = trace(found.program, host)
    check_traced_time(found.known, traced)
    assert not above_the_roof(traced)


def trace(program: eg.Program, device: eg.Device) -> eg.Analysis:
    """Time every op inside the running program."""
    settings = eg.MeasurementSettings.quick()
    asked = eg.Measurement(latency=False, trace=True, settings=settings)
    return eg.analyze(program, measure=asked, device=device)


def check_traced_time(known: Known, traced: eg.Analysis) -> None:
    """Of the time, too, nearly all stands in rows with a name."""
    rows = traced.layers if known.layers else traced.by("function")
    unknown = rows[rows.leaf & (rows.layer == UNATTRIBUTED)]
    assert traced.totals.traced_time_s is not None
    assert unknown.traced_time_s.sum() <= 0.05 * traced.totals.traced_time_s
    assert rows[rows.leaf].traced_time_s.sum() == pytest.approx(traced.totals.traced_time_s)


NOISE = 1.25
"""How much too short a traced op may look: the mean of some calls on a machine with other work."""


def above_the_roof(traced: eg.Analysis) -> list[str]:
    """Name the kernels that took less time, as the trace shows it, than their roof allows."""
    assert traced.op_trace is not None
    records = {record.name: record for record in traced.op_records}
    return [
        f"{each.name}: {each.raw_self_s} s, at the roof {records[each.name].roof_time_s} s"
        for each in traced.op_trace.timings
        if each.name in records
        and records[each.name].opcode not in opcodes.CALLERS
        and (records[each.name].roof_time_s or 0.0) > NOISE * (each.raw_self_s or 0.0)
    ]


def test_what_counts_too_many_bytes_is_above_its_roof(
    host: eg.Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that counts as a whole, where 128 rows of 50,000 are looked up."""
    args = ones(50_000, 64), np.arange(0, 49_920, 390, dtype=np.int32), ones(64, 64)
    program = eg.compile(lambda table, rows, w: jnp.tanh(table[rows] * 8.0) @ w, *args)
    assert not above_the_roof(trace(program, host))
    monkeypatch.setattr("edgegraph.cost.unit_cost.needed_elements", lambda inner, root: {})
    assert above_the_roof(trace(program, host))


def check_counts(found: Made) -> None:
    """FLOPs are XLA's; parameters and MACs are the library's own, or follow from arithmetic."""
    known, totals = found.known, found.analysis.totals
    assert totals.flops is not None
    assert totals.xla_flops is not None
    if known.loops:
        assert totals.flops >= totals.xla_flops * (1 - 1e-4)
    else:
        # Of a table in a fusion XLA counts every row, not only those that are looked up.
        assert totals.flops == pytest.approx(totals.xla_flops, rel=2e-3 if known.looks_up else 1e-5)
    if known.params is not None:
        assert totals.params == known.params
    if known.macs is not None:
        assert totals.macs == known.macs


def check_names(found: Made) -> None:
    """What is computed stands in layers, or where there are none in functions."""
    totals = found.analysis.totals
    if found.known.layers:
        assert totals.flops_coverage >= 0.95
        return
    rows = found.analysis.by("function")
    unknown = rows[rows.leaf & (rows.layer == UNATTRIBUTED)]
    assert unknown.flops.sum() <= 0.05 * totals.flops


def check_rows_of_time(found: Made) -> None:
    """What layers are timed alone, and what is counted, has the same rows."""
    jaxpr = found.program.jaxpr
    names = found.program.arguments or jaxpr.jaxpr.debug_info.arg_names
    timed = {
        (layer or UNATTRIBUTED, phase)
        for layer, phase in place_equations(find_regions(jaxpr), names).values()
    }
    layers = found.analysis.layers
    counted = layers[layers.leaf & (layers.flops > 0.01 * found.analysis.totals.flops)]
    assert set(zip(map(scope_of, counted.layer), counted.phase, strict=True)) <= timed


def test_every_row_that_counts_is_timed() -> None:
    settings = MeasurementSettings(warm_up_s=0.0, minimum_samples=6, minimum_s=0.0, limit_s=1.0)
    found = made("equinox:mlp")
    analysis = eg.analyze(found.program, measure=True, trace=False, settings=settings)
    leaves = analysis.layers[analysis.layers.leaf]
    counted = leaves[leaves.flops > 0.01 * analysis.totals.flops]
    assert set(counted.time_source) == {"measured"}


def test_enough_programs_of_enough_libraries() -> None:
    assert len(PROGRAMS) >= 12
    assert len({name.partition(":")[0] for name in PROGRAMS}) >= 8
