"""Rows and kinds of ops of a comparison: their figures by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import pytest

import edgegraph as eg
from edgegraph.device.catalogue import find_device
from edgegraph.hlo.module import ConvolutionDimensions, Instruction, Shape, WindowDimension
from edgegraph.studies.devices.result import DeviceRow, kind_of, op_kinds
from tests.studies.device_comparisons import dense, said


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
        # Of a time at the roof it says nothing.
        assert found.utilisation == (None if source == "at the roof" else 1.0 / time_s)
        assert found.throughput_per_s == 8 / time_s
    assert DeviceRow(workload="net", device="cpu", batch=8).utilisation is None


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


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    compared = eg.compare_devices(dense(), devices=["device:rpi5"])
    assert eg.load(compared.save(tmp_path / "a.edgegraph")) == compared
    json.dumps(compared.document)
