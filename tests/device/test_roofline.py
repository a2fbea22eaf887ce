from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.device.device import Device, MemoryLevel
from edgegraph.device.roofline import bound, overlapped, roofline_times

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
