"""Devices side by side: figures by hand, errors as rows, and the largest batch that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import msgspec
import pytest

import edgegraph as eg
from edgegraph.base import worker
from edgegraph.device.catalogue import find_entry
from edgegraph.errors import InputError
from edgegraph.results.analysis import OpRecord
from edgegraph.studies.devices.result import DeviceRow
from edgegraph.studies.devices.run import _filled, device_rows
from models.cnn import small_cnn
from tests import analyses
from tests.studies.device_comparisons import dense, said


def test_a_dense_layer_by_hand() -> None:
    (row,) = eg.compare_devices(dense(), devices=["device:rpi5"], batches=[4]).rows
    board = find_entry("rpi5")
    assert row.macs == 4 * 784 * 10
    assert row.bytes == 4 * (4 * 784 + 784 * 10 + 4 * 10)
    assert row.compute_time_s == pytest.approx(2 * 4 * 7840 / board.peaks["f32"].value)
    assert row.needed_bytes == row.bytes  # arguments and result, each once
    assert row.fits is True
    assert row.low_s is not None
    assert row.high_s is not None
    assert row.low_s <= row.high_s


def test_a_compiler_that_is_missing_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: None)
    compared = eg.compare_devices(dense(), devices=["tpu:v5e", "device:rpi5"])
    missing, board = compared.rows
    assert missing.error is not None
    assert "pip install '.[tpu]'" in missing.error
    assert board.error is None
    assert "tpu:v5e, batch 1: compiling for 'tpu:v5e' needs libtpu" in said(compared)


def test_what_does_not_fit_is_said() -> None:
    # 784 x 10 weights fit into 264 kB; 200,000 x 10 do not.
    compared = eg.compare_devices(
        [dense(), dense(200_000, name="wide")],
        devices=["device:rp2040"],
        batches=[4, 8],
        largest=True,
    )
    fits = {(row.workload, row.batch): row.fits for row in compared.rows}
    assert fits == {("dense", 4): True, ("dense", 8): True, ("wide", 4): False, ("wide", 8): False}
    assert compared.rows[-1].largest_batch == 0
    # 31,360 bytes of weights, and 3,176 bytes for every example.
    capacity = find_entry("rp2040").capacity_bytes
    assert capacity is not None
    # A quarter of the memory is left to the system.
    assert compared.rows[0].largest_batch == (int(capacity * 0.75) - 31_360) // 3_176
    text = said(compared)
    assert "wide at batch 4 does not fit device:rp2040: it needs 11.2 MB of 264 kB SRAM." in text
    assert "dense at batch 4 does not fit" not in text


def test_a_microcontroller_by_hand() -> None:
    """SmallCNN on a Cortex-M7 with 1 MiB of SRAM, whose weights do not fit into it."""
    compared = eg.compare_devices(
        small_cnn(), devices=["device:cortex-m7"], batches=[1, 8], largest=True
    )
    weights = 4 * 824_458
    # The first pooling has the most alive: 28 x 28 x 32 floats that it reads, a quarter written.
    peak = 4 * (28 * 28 * 32 + 14 * 14 * 32)
    for row in compared.rows:
        assert row.batch is not None
        assert (row.weights_bytes, row.activation_bytes) == (weights, row.batch * peak)
        assert row.needed_bytes == weights + row.batch * peak
        assert row.needed_beside_weights_bytes == row.batch * peak
        assert (row.capacity_bytes, row.memory, row.fits) == (2**20, "SRAM", False)
        assert row.largest_batch == 0
    text = said(compared)
    assert (
        "small_cnn at batch 8 does not fit device:cortex-m7: it needs 4.3 MB of 1 MB SRAM; with"
        " its weights (3.3 MB) in flash 1 MB, which fits." in text
    )


def test_temporaries_are_part_of_what_is_needed() -> None:
    """Two dense layers: x, both weights, the result, and the hidden layer in between."""
    mlp = eg.Workload.from_function(
        lambda x, w1, w2: jax.nn.relu(x @ w1) @ w2,
        lambda batch: tuple(
            jax.ShapeDtypeStruct(shape, "float32")
            for shape in ((batch, 784), (784, 256), (256, 10))
        ),
        name="mlp",
    )
    compared = eg.compare_devices(mlp, devices=["device:rpi5"], batches=[8, 64], largest=True)
    fixed, each = 4 * (784 * 256 + 256 * 10), 4 * (784 + 256 + 10)
    for row in compared.rows:
        assert row.batch is not None
        assert row.needed_bytes == fixed + row.batch * each
        assert row.capacity_bytes is not None
        assert row.largest_batch == (int(row.capacity_bytes * 0.75) - fixed) // each


def test_every_op_at_its_roof_lies_within_the_bracket() -> None:
    for row in eg.compare_devices(small_cnn(), devices=["device:rpi5"], batches=[1, 32]).rows:
        assert row.low_s is not None
        assert row.roof_s is not None
        assert row.high_s is not None
        assert row.low_s <= row.roof_s <= row.high_s
        assert row.compute_time_s is not None
        assert row.memory_time_s is not None
        assert row.low_s == max(row.compute_time_s, row.memory_time_s)
        assert row.high_s == pytest.approx(row.compute_time_s + row.memory_time_s)


def test_rows_come_one_by_one_and_compilers_end_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The TPU's compiler hangs here, for 15 minutes if nobody ends it."""
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: "1")

    def run(_: str, payload: bytes, **rest: Any) -> bytes:
        return worker.run_child("tests.compiler.children:hang", payload, **rest)

    monkeypatch.setattr("edgegraph.compiler.ahead.run_child", run)
    rows = device_rows(dense(), devices=["device:rpi5", "tpu:v5e"], batches=[1, 8])
    first = next(rows)
    assert (first.device, first.batch) == ("device:rpi5", 1)
    rows.close()
    assert not worker._running


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean tpu:v5e"):
        eg.compare_devices(dense(), devices=["tpu:v5ee"])
    with pytest.raises(InputError, match="at least one"):
        eg.compare_devices(dense(), devices=[])


def test_an_op_that_the_network_binds_counts_at_its_roof() -> None:
    """A collective of 3 s beside arithmetic of 1 s and data of 2 s, and an op of 4 s of data."""
    made = analyses.small_cnn()
    first, second = (leaf.name for leaf in made.op_tree.leaves[:2])
    bound_by = {first: ("network", 2.0, 3.0), second: ("memory", 4.0, 0.0)}

    def bound(record: OpRecord) -> OpRecord:
        by, memory_s, network_s = bound_by.get(record.name, (None, None, None))
        return msgspec.structs.replace(
            record, bound=by, compute_time_s=1.0, memory_time_s=memory_s, network_time_s=network_s
        )

    analysis = replace(made, op_records=tuple(map(bound, made.op_records)))
    row = _filled(DeviceRow(workload="net", device="tpu:v5e", batch=1), analysis)
    assert row.roof_s == 7.0
    assert row.memory_bound_share == pytest.approx(4 / 7)
