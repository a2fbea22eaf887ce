"""What to expect of a board, by what another machine reaches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.device.calibration.saved import write_device
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.device.forecast import GPU_LAUNCH_S, forecast
from edgegraph.device.kernel_rates import KernelRate, KernelRates
from edgegraph.reporting.words import why_expected
from models.cnn import small_cnn


def rate(kind: str, reached: float, *, dtype: str = "f32", rows: int = 1024) -> KernelRate:
    return KernelRate(kind=kind, dtype=dtype, rows=rows, rate_per_s=reached)


def device(name: str, peak: float, bandwidth: float, *rates: KernelRate) -> Device:
    dram = MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=bandwidth)
    return Device(
        name=name, peak_flops_per_s={"f32": peak, "f16": 2 * peak}, memory=(dram,),
        origin="catalogue", source="by hand", kernel_rates=rates,
    )  # fmt: skip


HERE = device(
    "here", 100e9, 40e9,
    rate("dot", 80e9), rate("dot", 5e9, dtype="bf16"), rate("depthwise", 1e9),
    rate("arithmetic", 30e9), rate("elementwise", 20e9), rate("copy", 4e9),
)  # fmt: skip


def reached(board: Device) -> dict[str, float]:
    return {each.kind: each.rate_per_s for each in board.kernel_rates}


def test_kernels_come_as_near_to_the_peak_as_here_up_to_the_bandwidth() -> None:
    board = forecast(device("board", 50e9, 8e9), HERE)
    # Half the peak: half of each rate, but 10 GB/s are more than the memory has; a depthwise
    # convolution is as fast as vectors.
    expected = {
        "dot": 40e9, "depthwise": 15e9, "arithmetic": 15e9, "elementwise": 8e9, "copy": 2e9,
    }  # fmt: skip
    assert reached(board) == pytest.approx(expected)
    assert board.guessed_from == "here"
    assert "here" in why_expected(eg.analyze(small_cnn(), stage="lowered", device=board))


def test_what_was_measured_on_the_board_stays_and_without_a_calibration_nothing_is_guessed() -> (
    None
):
    own = device("board", 50e9, 8e9, rate("dot", 11e9))
    board = forecast(own, HERE)
    assert reached(board)["dot"] == 11e9
    assert "dot" not in board.guessed_kinds
    assert forecast(own, None) == own
    assert forecast(own, device("never calibrated", 1e9, 1e9)) == own


def test_a_kernel_of_a_gpu_is_launched_by_its_host() -> None:
    assert forecast(device("board", 50e9, 8e9), HERE, gpu=True).op_launch_s == GPU_LAUNCH_S
    assert forecast(device("board", 50e9, 8e9), HERE).op_launch_s is None


def test_a_guess_has_a_range_that_begins_at_the_roof() -> None:
    table = [rate("dot", 40e9, rows=2**n) for n in range(5, 12)]
    guessed = KernelRates(table, guessed=["dot"]).expect("dot", "f32", 512)
    known = KernelRates(table).expect("dot", "f32", 512)
    assert guessed is not None
    assert known is not None
    assert (guessed.factor, guessed.higher) == (3.0, math.inf)
    assert (known.factor, known.higher) == pytest.approx((1.0, 1.0))


def test_the_file_of_a_board_is_a_device(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    write_device(device("my board", 50e9, 8e9), path)
    analysis = eg.analyze(small_cnn(), target=f"device:{path}")
    assert analysis.device is not None
    assert analysis.device.name == "my board"
    # 3,679,376 bytes at 8 GB/s (tests/hlo/test_fuse.py).
    assert analysis.totals.memory_time_s == pytest.approx(3_679_376 / 8e9)
    compared = eg.compare_devices(small_cnn(), devices=[str(path)])
    assert compared.rows[0].error is None
    with pytest.raises(eg.EdgeGraphError, match=r"no calibration at .*--export"):
        eg.analyze(small_cnn(), target="device:no/such.json")
    path.write_text("{}")
    with pytest.raises(eg.EdgeGraphError, match=r"board\.json has format None"):
        eg.analyze(small_cnn(), target=str(path))
