"""Which dtype a device computes in, by JAX's documentation of precisions; what no device can be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Arithmetic, Device, MemoryLevel, arithmetic, check_device
from edgegraph.errors import FormatError


@pytest.mark.parametrize(
    ("device", "dtype", "precision", "expected"),
    [
        # Ampere and later: TF32 unless told to be exact.
        ("a100", "f32", "default", ("tf32", 1)),
        ("a100", "f32", "high", ("tf32", 1)),
        ("a100", "f32", "highest", ("f32", 1)),
        ("a100", "f32", "dot_f32_f32_f32", ("f32", 1)),
        ("a100", "f32", "dot_bf16_bf16_f32", ("bf16", 1)),
        ("a100", "f32", "dot_bf16_bf16_f32_x3", ("bf16", 3)),
        ("a100", "f32", "dot_bf16_bf16_f32_x9", ("bf16", 9)),
        ("a100", "f32", "dot_tf32_tf32_f32", ("tf32", 1)),
        ("a100", "f32", "dot_tf32_tf32_f32_x3", ("tf32", 3)),
        ("a100", "f32", "dot_f16_f16_f32", ("f16", 1)),
        ("a100", "c64", "default", ("tf32", 1)),
        ("a100", "f64", "default", ("f64", 1)),
        ("a100", "f64", "dot_f64_f64_f64", ("f64", 1)),
        ("a100", "bf16", "highest", ("bf16", 1)),
        ("a100", "s8", "default", ("s8", 1)),
        ("orin", "f32", "default", ("tf32", 1)),
        # Before Ampere there is no TF32.
        ("v100", "f32", "default", ("f32", 1)),
        ("t4", "f32", "default", ("f32", 1)),
        # A TPU multiplies bf16, in one pass, three (bf16_3x) or six.
        ("tpu:v5e", "f32", "default", ("bf16", 1)),
        ("tpu:v5e", "f32", "high", ("bf16", 3)),
        ("tpu:v5e", "f32", "highest", ("bf16", 6)),
        ("tpu:v5e", "f32", "dot_f32_f32_f32", ("bf16", 6)),
        ("tpu:v5e", "f32", "dot_bf16_bf16_f32_x3", ("bf16", 3)),
        # A CPU takes no notice.
        ("rpi5", "f32", "default", ("f32", 1)),
        ("rpi5", "f32", "dot_bf16_bf16_f32", ("f32", 1)),
        ("epyc-9654", "bf16", "default", ("bf16", 1)),
    ],
)
def test_products(device: str, dtype: str, precision: str, expected: tuple[str, int]) -> None:
    assert arithmetic(find_device(device), dtype, precision=precision) == Arithmetic(*expected)


@pytest.mark.parametrize("device", ["a100", "tpu:v5e", "rpi5", None])
def test_what_is_no_product_computes_in_its_own_dtype(device: str | None) -> None:
    found = None if device is None else find_device(device)
    assert arithmetic(found, "f32") == Arithmetic("f32", 1)


def test_values_that_were_narrow_need_no_more() -> None:
    for device in ("a100", "tpu:v5e"):
        found = arithmetic(find_device(device), "f32", values="bf16", precision="highest")
        assert found == Arithmetic("bf16", 1)
    assert arithmetic(find_device("rpi5"), "f32", values="bf16", precision="default").dtype == "f32"


@pytest.mark.parametrize(
    ("device", "dtype", "roof"),
    [
        # Listed.
        ("h100-sxm", "f8e5m2", "f8e5m2"),
        # Not listed, but something as wide and of its kind is: fp8 of another form, s8 for u8
        # and for s4, bf16 for fp8 on a GPU without fp8.
        ("h100-sxm", "f8e4m3b11fnuz", "f8e4m3fn"),
        ("h100-sxm", "u8", "s8"),
        ("h100-sxm", "s4", "s8"),
        ("a100", "f8e4m3fn", "bf16"),
        # Nothing can stand in: the reference roof.
        ("h100-sxm", "pred", "f32"),
        ("h100-sxm", "s32", "f32"),
        ("tpu:v5e", "f32", "bf16"),
    ],
)
def test_roofs_of_dtypes(device: str, dtype: str, roof: str) -> None:
    assert find_device(device).roof_dtype(dtype) == roof


def test_no_dtype_that_can_stand_in_is_faster_than_the_roof() -> None:
    """What an op may run as is never faster than its roof says."""
    stand_ins = {
        "f8e5m2": ("f8e4m3fn", "f16", "bf16", "tf32", "f32"), "bf16": ("tf32", "f32"),
        "s4": ("s8",), "u8": ("s8",),
    }  # fmt: skip
    for key in ("a100", "h100-sxm", "l4", "t4", "mi300x", "tpu:v5e", "tpu:v6e", "rpi5", "orin"):
        device = find_device(key)
        for dtype, others in stand_ins.items():
            if dtype not in device.peak_flops_per_s:
                roof = device.peak_flops_per_s[device.roof_dtype(dtype)]
                assert roof >= max(device.peak_flops_per_s.get(other, 0.0) for other in others)


def level(name: str, size_bytes: int | None, bandwidth: float) -> MemoryLevel:
    return MemoryLevel(name=name, size_bytes=size_bytes, bandwidth_bytes_per_s=bandwidth)


GOOD = Device(
    name="good",
    peak_flops_per_s={"f32": 1e9},
    memory=(level("L1", 1024, 20.0), level("L2", 2048, 20.0), level("DRAM", None, 10.0)),
    origin="calibrated",
    source="",
)


def test_a_good_device_passes() -> None:
    check_device(GOOD, "file.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peak_flops_per_s": {}}, "no peak rate or no memory level"),
        ({"memory": ()}, "no peak rate or no memory level"),
        ({"peak_flops_per_s": {"f32": 0.0}}, "0.0 as peak for f32"),
        ({"peak_flops_per_s": {"f32": float("nan")}}, "nan as peak for f32"),
        ({"memory": (level("DRAM", None, -1.0),)}, "-1.0 as bandwidth of DRAM"),
        ({"dispatch_s": float("inf")}, "inf as dispatch_s"),
        (
            {"memory": (level("L1", None, 2.0), level("DRAM", None, 1.0))},
            "no size for L1",
        ),
        (
            {"memory": (level("L1", 64, 2.0), level("L2", 64, 1.0))},
            "lists L2 after L1",
        ),
        (
            {"memory": (level("L1", 64, 1.0), level("DRAM", None, 2.0))},
            "DRAM is faster than L1",
        ),
    ],
)
def test_a_bad_device_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_device(dataclasses.replace(GOOD, **change), "file.json")
    assert str(caught.value).startswith("file.json: device 'good' ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
