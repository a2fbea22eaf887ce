"""Which dtype a device computes in, by JAX's documentation of precisions; what no device can be."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.device.catalogue import find_device
from edgegraph.device.device import (
    Arithmetic,
    Device,
    MemoryLevel,
    arithmetic,
    bound,
    check_device,
    overlapped,
    roofline_times,
)
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
        # Complex numbers are made of real ones.
        ("h100-sxm", "c64", "f32"),
        ("h100-sxm", "c128", "f64"),
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


DEVICE = Device(
    name="by hand",
    peak_flops_per_s={"f32": 100e9, "bf16": 400e9},
    memory=(
        MemoryLevel(name="L1", size_bytes=32 * 1024, bandwidth_bytes_per_s=200e9),
        MemoryLevel(name="L2", size_bytes=1024 * 1024, bandwidth_bytes_per_s=50e9),
        MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=10e9),
    ),
    origin="catalogue",
    source="made up for this test",
)


@pytest.mark.parametrize(
    ("flops", "bytes_", "dtype", "working_set", "compute_s", "memory_s", "bound", "roof", "level"),
    [
        # 1e9 / 100e9 = 10 ms of arithmetic; 1e6 / 10e9 = 0.1 ms of data
        (10**9, 10**6, "f32", 2**21, 1e-2, 1e-4, "compute", "f32", "DRAM"),
        # the same arithmetic four times faster in bf16
        (10**9, 10**6, "bf16", 2**21, 2.5e-3, 1e-4, "compute", "bf16", "DRAM"),
        # 1e6 bytes from L2: 1e6 / 50e9 = 20 us; 1e6 FLOPs: 10 us
        (10**6, 10**6, "f32", 2**20, 1e-5, 2e-5, "memory", "f32", "L2"),
        # on the ridge: 20 FLOP / 2 bytes at 100e9 and 10e9
        (20, 2, "f32", 2**30, 2e-10, 2e-10, "compute", "f32", "DRAM"),
        # an index computation has no peak of its own
        (0, 64, "s32", 64, 0.0, 3.2e-10, "memory", "f32", "L1"),
        (0, 0, "f32", 0, 0.0, 0.0, None, "f32", "L1"),
        (None, 100, "f32", 64, None, 5e-10, None, "f32", "L1"),
        (100, None, "f32", 64, 1e-9, None, None, "f32", "L1"),
        (None, None, "f32", None, None, None, None, "f32", "L1"),
    ],
)
def test_place_by_hand(
    flops: int | None,
    bytes_: int | None,
    dtype: str,
    working_set: int | None,
    compute_s: float | None,
    memory_s: float | None,
    bound: str | None,
    roof: str,
    level: str,
) -> None:
    placement = roofline_times(
        flops=flops, bytes=bytes_, dtype=dtype, working_set_bytes=working_set, device=DEVICE
    )
    assert placement.compute_time_s == pytest.approx(compute_s)
    assert placement.memory_time_s == pytest.approx(memory_s)
    assert (placement.bound, placement.roof, placement.level) == (bound, roof, level)


def test_small_cnn_on_a_roofline_by_hand() -> None:
    """SmallCNN's layers, 100 GFLOP/s over 10 GB/s: the ridge is at 10 FLOP/byte."""
    dense1 = roofline_times(
        flops=2 * 3136 * 256, bytes=4 * (3136 * 256 + 3136 + 256), dtype="f32",
        working_set_bytes=4 * 3136 * 256, device=DEVICE,
    )  # fmt: skip
    conv2 = roofline_times(
        flops=2 * 115_605_504, bytes=4 * 32 * 14 * 14 * (32 + 64), dtype="f32",
        working_set_bytes=4 * 32 * 14 * 14 * (32 + 64), device=DEVICE,
    )  # fmt: skip
    assert DEVICE.ridge_point("f32") == 10
    assert (dense1.bound, conv2.bound) == ("memory", "compute")


def test_a_placement_cannot_be_changed() -> None:
    placement = roofline_times(flops=1, bytes=1, dtype="f32", working_set_bytes=1, device=DEVICE)
    with pytest.raises(AttributeError):
        placement.bound = "memory"  # type: ignore[misc]


@given(
    flops=st.integers(0, 10**15),
    bytes_=st.integers(0, 10**12),
    working_set=st.integers(0, 10**9),
    dtype=st.sampled_from(["f32", "bf16", "pred"]),
)
def test_bound_follows_the_ridge_point(
    flops: int, bytes_: int, working_set: int, dtype: str
) -> None:
    placement = roofline_times(
        flops=flops, bytes=bytes_, dtype=dtype, working_set_bytes=working_set, device=DEVICE
    )
    if bytes_ and flops:
        ridge = DEVICE.ridge_point(dtype, placement.level)
        if not math.isclose(flops / bytes_, ridge):
            assert placement.bound == ("compute" if flops / bytes_ > ridge else "memory")
    elif bytes_ or flops:
        assert placement.bound == ("compute" if flops else "memory")


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_larger_working_set_is_never_faster(smaller: int, larger: int) -> None:
    smaller, larger = sorted((smaller, larger))
    times = [
        roofline_times(flops=0, bytes=10**6, dtype="f32", working_set_bytes=size, device=DEVICE)
        for size in (smaller, larger)
    ]
    assert (times[0].memory_time_s or 0) <= (times[1].memory_time_s or 0)


def test_a_product_in_several_passes_takes_as_many_times_as_long() -> None:
    once, thrice = (
        roofline_times(
            flops=1e9, bytes=8, dtype="f32", working_set_bytes=8, device=DEVICE, passes=passes
        )
        for passes in (1, 3)
    )
    assert once.compute_time_s == pytest.approx(1e9 / DEVICE.peak_flops_per_s["f32"])
    assert thrice.compute_time_s == pytest.approx(3e9 / DEVICE.peak_flops_per_s["f32"])
    assert thrice.memory_time_s == once.memory_time_s


@pytest.mark.parametrize(
    ("times", "binds", "together"),
    [
        ((2.0, 1.0), "compute", 2.0), ((1.0, 1.0), "compute", 1.0), ((1.0, 2.0), "memory", 2.0),
        ((1.0, 2.0, 3.0), "network", 3.0), ((1.0, 2.0, 2.0), "memory", 2.0),
        ((0.0, 0.0, 1.0), "network", 1.0), ((0.0, 0.0), None, 0.0),
        ((None, 1.0), None, None), ((1.0, None, 2.0), None, None),
    ],
)  # fmt: skip
def test_the_longest_time_binds(
    times: tuple[float | None, ...], binds: str | None, together: float | None
) -> None:
    assert (bound(*times), overlapped(*times)) == (binds, together)
