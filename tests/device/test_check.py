from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgegraph.device.device import Device, MemoryLevel, check_device
from edgegraph.errors import FormatError


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
