"""Devices side by side: figures by hand, errors as rows, and the largest batch that fits."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import edgegraph as eg
from edgegraph.base import worker
from edgegraph.cli import main
from edgegraph.device.catalogue import find_device, find_entry
from edgegraph.errors import InputError
from edgegraph.hlo.module import ConvolutionDimensions, Instruction, Shape, WindowDimension
from edgegraph.studies.devices.present import comparison_table
from edgegraph.studies.devices.result import DeviceRow, kind_of, op_kinds
from edgegraph.studies.devices.run import comparison, device_rows, largest_batch
from models.cnn import small_cnn


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


def test_a_microcontroller_by_hand() -> None:
    """SmallCNN on a Cortex-M7 with 1 MiB of SRAM, whose weights do not fit into it."""
    compared = eg.compare_devices(small_cnn(), devices=["device:cortex-m7"], batches=[1, 8])
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
        "small_cnn at batch 8 does not fit device:cortex-m7: it needs 4.3 MB of 1.05 MB SRAM; with"
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
    compared = eg.compare_devices(mlp, devices=["device:rpi5"], batches=[8, 64])
    fixed, each = 4 * (784 * 256 + 256 * 10), 4 * (784 + 256 + 10)
    for row in compared.rows:
        assert row.batch is not None
        assert row.needed_bytes == fixed + row.batch * each
        assert row.capacity_bytes is not None
        assert row.largest_batch == (row.capacity_bytes - fixed) // each


def test_which_time_utilisation_and_throughput_are_of() -> None:
    row = DeviceRow(
        workload="net", device="cpu", batch=8, compute_time_s=1.0, low_s=1.0, roof_s=2.0, high_s=3.0
    )
    for more, source, time_s in (
        ({}, "at the roof", 2.0),
        ({"expected_s": 4.0}, "expected", 4.0),
        ({"expected_s": 4.0, "measured_s": 5.0}, "measured", 5.0),
    ):
        found = replace(row, **more)  # type: ignore[arg-type]  # floats by name
        assert (found.time_source, found.time_s) == (source, time_s)
        assert found.utilisation == 1.0 / time_s
        assert found.throughput_per_s == 8 / time_s
    assert DeviceRow(workload="net", device="cpu", batch=8).utilisation is None


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


def separable() -> eg.Workload:
    """A convolution, a depthwise one and a pointwise one, on 16 x 16 positions."""

    def run(x: jax.Array, full: jax.Array, depthwise: jax.Array, pointwise: jax.Array) -> jax.Array:
        for kernel, groups in ((full, 1), (depthwise, 16), (pointwise, 1)):
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", feature_group_count=groups,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
        return x

    shapes = ((3, 3, 8, 16), (3, 3, 1, 16), (1, 1, 16, 32))
    return eg.Workload.from_function(
        run,
        lambda batch: tuple(
            jax.ShapeDtypeStruct(shape, "float32") for shape in ((batch, 16, 16, 8), *shapes)
        ),
        name="separable",
    )


def test_two_models_on_one_device_are_held_against_each_other() -> None:
    compared = eg.compare_devices(
        [dense(), dense(78, name="narrow")], devices=["device:rpi5"], batches=[1]
    )
    text = said(compared)
    assert "narrow has 10.1 times fewer MACs than dense and takes" in text  # 784 over 78
    assert "times less time at the roof; at the roof its ops wait for memory" in text


def test_where_the_time_goes_by_kind_of_op() -> None:
    compared = eg.compare_devices([separable(), dense()], devices=["device:rpi5"], batches=[2])
    row, _ = compared.rows
    kinds = {kind.kind: kind for kind in row.kinds}
    positions = 2 * 16 * 16
    assert {kind: kinds[kind].macs for kind in kinds if kinds[kind].macs} == {
        "convolution": positions * 9 * 8 * 16,
        "depthwise convolution": positions * 9 * 16,
        "matrix product": positions * 16 * 32,
    }
    assert sum(kind.time_s for kind in row.kinds) == pytest.approx(row.roof_s)
    frame = compared.kinds_frame
    assert frame.groupby("workload")["time_share"].sum().tolist() == pytest.approx([1.0, 1.0])
    assert "depthwise convolution" in said(compared)
    document = compared.document["rows"][0]
    assert {kind["kind"] for kind in document["kinds"]} == set(kinds)


FUSED = """HloModule m
inner {{ x = bf16[8,16,16,32] parameter(0)
  d = bf16[3,3,1,32] parameter(1)
  p = bf16[1,1,32,64] parameter(2)
  y = bf16[8,16,16,32] convolution(x, d), window={{size=3x3 pad=1_1x1_1}},
    dim_labels=b01f_01io->b01f, feature_group_count=32
  ROOT z = bf16[8,16,16,64] convolution(y, p), window={{size=1x1}}, dim_labels=b01f_01io->b01f }}
ENTRY main {{ x = bf16[8,16,16,32] parameter(0)
  d = bf16[3,3,1,32] parameter(1)
  p = bf16[1,1,32,64] parameter(2)
  f = bf16[8,16,16,64] fusion(x, d, p), kind=kOutput, calls=inner,
    backend_config={{"window_config":{{"estimated_cycles":"3000"}}}}
  ROOT n = bf16[8,16,16,64] negate(f),
    backend_config={{"window_config":{{"estimated_cycles":"1500"}}}} }}"""


def test_a_kernel_of_several_products_keeps_its_estimate_in_one_piece(tmp_path: Path) -> None:
    file = tmp_path / "fused.txt"
    file.write_text(FUSED.format())
    kinds = {
        kind.kind: kind.compiler_time_s
        for kind in op_kinds(eg.analyze(eg.read_hlo(file), device=find_device("tpu-v5e")))
    }
    assert kinds == {  # 3,000 and 1,500 cycles at 1.5 GHz
        "matrix product": None,
        "depthwise convolution": None,
        "depthwise convolution + matrix product": pytest.approx(2e-6),
        "elementwise": pytest.approx(1e-6),
    }


def test_the_convolutions_of_a_gpu_are_told_apart_too() -> None:
    dimensions = ConvolutionDimensions(
        input_batch=0, input_feature=1, input_spatial=(2, 3), kernel_input_feature=1,
        kernel_output_feature=0, kernel_spatial=(2, 3), output_batch=0, output_feature=1,
        output_spatial=(2, 3),
    )  # fmt: skip
    image = Shape(dtype="f32", dimensions=(1, 32, 8, 8))
    for groups, size, kind in (
        (1, 3, "convolution"), (32, 3, "depthwise convolution"), (4, 3, "grouped convolution"),
        (1, 1, "matrix product"),
    ):  # fmt: skip
        call = Instruction(
            name="c", opcode="custom-call", shape=image, convolution=dimensions,
            window=(WindowDimension(size=size),) * 2, feature_group_count=groups,
            custom_call_target="__cudnn$convForward",
        )  # fmt: skip
        assert kind_of(call, [image], 1) == kind


def test_an_estimate_of_a_part_is_said_to_be_one() -> None:
    (row,) = eg.compare_devices(dense(), devices=["device:rpi5"]).rows
    rows = [
        replace(row, device=device, compiler_time_s=1e-3, compiler_coverage=coverage)
        for device, coverage in (("tpu:v5e", 1.0), ("gpu:h100", 0.4))
    ]
    text = said(comparison(rows))
    assert text.count("≥1 ms") == 1
    assert "it says nothing of some of the kernels" in text


def test_an_error_is_said_once_for_all_batch_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: None)
    text = said(eg.compare_devices(dense(), devices=["gpu:orin"], batches=[1, 8]))
    assert text.count("gpu:orin, batch 1, 8: compiling for 'gpu:orin' needs") == 1


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
    if first == 1 or found:  # above 1, that a single example does not fit is only extrapolated
        assert found == max(0, (capacity - weights) // each)


@given(
    needed=st.dictionaries(st.integers(1, 64), st.integers(1, 1000), min_size=2),
    capacity=st.integers(0, 1000),
)  # fmt: skip
def test_the_largest_batch_contradicts_no_known_one(needed: dict[int, int], capacity: int) -> None:
    found = largest_batch(list(needed.items()), capacity)
    fit = [batch for batch, bytes_ in needed.items() if bytes_ <= capacity]
    if found is not None:
        assert found >= max(fit, default=0)
        above = [batch for batch in needed if batch not in fit and batch > max(fit, default=0)]
        assert found < min(above, default=found + 1)


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


def test_several_workloads_are_held_against_each_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    specs = ["models.cnn:small_cnn", "models.mlp:mlp"]
    assert main(["compare-devices", *specs, "--devices", "device:rpi5"]) == 0
    # 4,643,840 over 784 512 + 512 512 + 512 10.
    assert "mlp has 6.94 times fewer MACs than small_cnn" in capsys.readouterr().out
    saved = str(tmp_path / "a.edgegraph")
    assert main(["compare-devices", specs[0], saved, "--devices", "device:rpi5"]) == 2
    assert f"SPEC {saved!r} is not package.module:attribute" in capsys.readouterr().err


def test_ctrl_c_keeps_the_finished_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = eg.compare_devices(dense(), devices=["device:rpi5"]).rows

    def interrupted(*work: Any, **settings: Any) -> Iterator[DeviceRow]:
        yield row
        raise KeyboardInterrupt

    monkeypatch.setattr("edgegraph.studies.devices.run.device_rows", interrupted)
    kept = tmp_path / "kept.edgegraph"
    code = main(
        ["compare-devices", "models.cnn:small_cnn", "--devices", "device:rpi5,device:rpi4",
         "-o", str(kept)]
    )  # fmt: skip
    assert code == 130
    said = capsys.readouterr()
    assert "device:rpi5" in said.out
    assert f"interrupted; kept: 1 finished rows, {kept}" in said.err
    assert [row.device for row in eg.load(kept).rows] == ["device:rpi5"]


def test_the_catalogue_is_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    assert "cortex-m55" in capsys.readouterr().out
    assert main(["devices", "gpu:h100"]) == 0
    assert "HBM bandwidth" in capsys.readouterr().out
    assert main(["devices", "gpu:h10"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main(["devices", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 30
