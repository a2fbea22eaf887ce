"""The passes one by one, and the totals that follow from them, against arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from msgspec import structs

import edgegraph as eg
from edgegraph.analysis.analyze import Measurement
from edgegraph.analysis.passes import (
    COMBINE,
    COUNT,
    MEASURE,
    Draft,
    Pass,
    list_ops,
    price_ops,
    summarise,
)
from edgegraph.device.device import Device
from edgegraph.results.analysis import Analysis
from edgegraph.results.timing import LayerLatency
from models.cnn import small_cnn
from tests.analyses import DEVICE, latency

ROWS, DEPTH, COLUMNS = 256, 512, 128
MACS = ROWS * DEPTH * COLUMNS
BYTES = 4 * (ROWS * DEPTH + DEPTH * COLUMNS + ROWS * COLUMNS)


def dense(device: Device | None = DEVICE) -> Draft:
    """Return a draft of one matrix product that no pass has seen."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((ROWS, DEPTH), (DEPTH, COLUMNS)))
    program = eg.compile(lambda x, w: x @ w, x, w)
    return Draft(
        program=program,
        device=device,
        measurement=Measurement(latency=False),
        report=lambda message, fraction: None,
    )


def analysed(draft: Draft) -> Analysis:
    for each in (*COUNT, *MEASURE, *COMBINE):
        draft = each(draft)
    return summarise(draft)


def test_a_pass_adds_to_the_draft_and_leaves_the_one_it_was_given() -> None:
    first = dense()
    listed = list_ops(first)
    assert not first.nodes
    assert {node.name for node in listed.nodes} == listed.attributions.keys()
    priced = price_ops(listed)
    assert not listed.ops
    assert [op.name for op in priced.ops] == [node.name for node in listed.nodes]


@pytest.mark.parametrize("each", MEASURE)
def test_what_was_not_asked_for_is_not_measured(each: Pass) -> None:
    draft = price_ops(list_ops(dense()))
    assert each(draft) is draft


def test_the_totals_of_one_matrix_product() -> None:
    totals = analysed(dense()).totals
    assert (totals.macs, totals.flops, totals.flops_lowest) == (MACS, 2 * MACS, 2 * MACS)
    assert totals.bytes_read + totals.bytes_written == BYTES == totals.bytes_lowest
    assert totals.intensity_flops_per_byte == pytest.approx(2 * MACS / BYTES)
    # 100 GFLOP/s; the values lie in L2, at 100 GB/s.
    compute_s, memory_s = 2 * MACS / 100e9, BYTES / 100e9
    assert totals.compute_time_s == pytest.approx(compute_s)
    assert totals.memory_time_s == pytest.approx(memory_s)
    assert totals.overlapped_time_s == pytest.approx(max(compute_s, memory_s))
    assert totals.serial_time_s == pytest.approx(compute_s + memory_s)
    assert totals.bound == "compute"
    # There is no layer, and what belongs to none is not covered.
    assert (totals.flops_coverage, totals.bytes_coverage) == (0.0, 0.0)


def test_without_a_device_the_times_are_unknown() -> None:
    totals = analysed(dense(device=None)).totals
    assert totals.macs == MACS
    for name in (
        "compute_time_s",
        "overlapped_time_s",
        "serial_time_s",
        "expected_time_s",
        "bound",
    ):
        assert totals[name] is None, name


def test_the_expected_time_of_a_call_is_that_of_its_ops_and_the_dispatch() -> None:
    draft = price_ops(list_ops(dense()))
    assert DEVICE.dispatch_s == 5e-6
    ops = [
        structs.replace(op, expected_time_s=7e-6) if op.macs and op.parent is None else op
        for op in draft.ops
    ]
    totals = summarise(replace(draft, ops=tuple(ops))).totals
    assert totals.expected_time_s == pytest.approx(7e-6 + 5e-6)


def test_layers_timed_separately_are_held_against_the_whole_less_its_dispatch() -> None:
    draft = price_ops(list_ops(dense()))
    parts = tuple(
        LayerLatency(layer=name, phase="forward", latency=latency(1e-3)) for name in ("a", "b")
    )
    totals = summarise(replace(draft, latency=latency(3e-3), layer_latencies=parts)).totals
    assert totals.time_s == 3e-3
    # Each was launched by itself for 5 us, and the whole once.
    assert totals.layers_time_s == pytest.approx(2 * (1e-3 - 5e-6))
    assert totals.compiled_together_s == pytest.approx((3e-3 - 5e-6) - 2 * (1e-3 - 5e-6))


def test_what_the_network_takes_is_part_of_the_serial_time_and_may_bind() -> None:
    draft = price_ops(list_ops(dense()))
    ops = [
        structs.replace(op, network_time_s=1.0) if op.macs and op.parent is None else op
        for op in draft.ops
    ]
    totals = summarise(replace(draft, ops=tuple(ops))).totals
    assert totals.overlapped_time_s == 1.0
    assert totals.serial_time_s == pytest.approx(1.0 + 2 * MACS / 100e9 + BYTES / 100e9)


@pytest.mark.filterwarnings("ignore:times include the wake-up of a thread")
def test_layers_that_time_is_too_short_for_are_estimated_and_a_note_says_so() -> None:
    settings = eg.MeasurementSettings(
        warm_up_calls=1, warm_up_s=0.0, minimum_samples=5, minimum_s=0.0, limit_s=0.5, budget_s=0.1
    )
    analysis = eg.analyze(
        small_cnn(), batch=1, measure=True, trace=False, settings=settings, device=DEVICE
    )
    assert {each.layer for each in analysis.layer_latencies} == {"SmallCNN"}
    sources = dict(zip(analysis.layers.layer, analysis.layers.time_source, strict=True))
    assert sources["SmallCNN/conv1"] == "estimated"
    assert any("0 of 5 layers were timed alone" in note for note in analysis.notes)
