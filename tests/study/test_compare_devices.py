"""Devices side by side: figures by hand, errors as rows, and the largest batch that fits."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.device.catalogue import find_entry
from edgegraph.errors import InputError
from edgegraph.report.device_table import comparison_table
from edgegraph.study.compare_devices import largest_batch


def dense(inputs: int = 784, name: str = "dense") -> eg.Workload:
    return eg.Workload.from_function(
        lambda x, w: x @ w,
        lambda batch: (
            jax.ShapeDtypeStruct((batch, inputs), "float32"),
            jax.ShapeDtypeStruct((inputs, 10), "float32"),
        ),
        name=name,
    )


def said(compared: object) -> str:
    text = io.StringIO()
    Console(width=110, file=text).print(comparison_table(compared))  # type: ignore[arg-type]
    return " ".join(text.getvalue().split())


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
    assert "pip install 'edgegraph[tpu]'" in missing.error
    assert board.error is None
    assert "tpu:v5e, batch 1: compiling for 'tpu:v5e' needs libtpu" in said(compared)


def test_what_does_not_fit_is_said() -> None:
    # 784 x 10 weights fit into 264 kB; 200,000 x 10 do not.
    compared = eg.compare_devices(
        [dense(), dense(200_000, name="wide")], devices=["device:rp2040"], batches=[4, 8]
    )
    fits = {(row.workload, row.batch): row.fits for row in compared.rows}
    assert fits == {("dense", 4): True, ("dense", 8): True, ("wide", 4): False, ("wide", 8): False}
    assert compared.rows[-1].largest_batch == 0
    # 31,360 bytes of weights, and 3,176 bytes for every example.
    capacity = find_entry("rp2040").capacity_bytes
    assert capacity is not None
    assert compared.rows[0].largest_batch == (int(capacity) - 31_360) // 3_176
    text = said(compared)
    assert "wide at batch 4 does not fit device:rp2040: it needs 11.2 MB of 270 kB SRAM." in text
    assert "dense at batch 4 does not fit" not in text


def test_two_models_on_one_device_are_held_against_each_other() -> None:
    compared = eg.compare_devices(
        [dense(), dense(78, name="narrow")], devices=["device:rpi5"], batches=[1]
    )
    assert "narrow has 10.1 times fewer MACs than dense and takes" in said(compared)
    assert "at the roof" in said(compared)


@given(
    weights=st.integers(0, 10**9), each=st.integers(1, 10**6), first=st.integers(1, 8),
    more=st.integers(1, 100), capacity=st.integers(0, 10**10),
)  # fmt: skip
def test_the_largest_batch_fits_and_the_next_does_not(
    weights: int, each: int, first: int, more: int, capacity: int
) -> None:
    needed = [(batch, weights + each * batch) for batch in (first, first + more)]
    found = largest_batch(needed, capacity)
    assert found is not None
    if found:
        assert weights + each * found <= capacity * (1 + 1e-9) + 1
    assert weights + each * (found + 1) > capacity * (1 - 1e-9) - 1


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean tpu:v5e"):
        eg.compare_devices(dense(), devices=["tpu:v5ee"])
    with pytest.raises(InputError, match="at least one"):
        eg.compare_devices(dense(), devices=[])


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    compared = eg.compare_devices(dense(), devices=["device:rpi5"])
    assert eg.load(compared.save(tmp_path / "a.edgegraph")) == compared
    json.dumps(compared.document)


def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "devices.png"
    code = main(
        ["compare-devices", "models.cnn:small_cnn", "--devices", "device:rpi5,device:rpi4",
         "--batch", "1,2", "-o", str(figure), "--json"]
    )  # fmt: skip
    assert code == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["device"], row["batch"]) for row in rows] == [
        ("device:rpi5", 1), ("device:rpi5", 2), ("device:rpi4", 1), ("device:rpi4", 2),
    ]  # fmt: skip
    # Of one image, by layer: 28 28 9 32, 14 14 9 32 64, 3136 256, 256 10, all multiplied.
    assert rows[1]["macs"] == 2 * (225_792 + 3_612_672 + 802_816 + 2_560)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_catalogue_is_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    assert "cortex-m55" in capsys.readouterr().out
    assert main(["devices", "gpu:h100"]) == 0
    assert "HBM bandwidth" in capsys.readouterr().out
    assert main(["devices", "gpu:h10"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main(["devices", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 30
