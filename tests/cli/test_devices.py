import json
import re

import pytest

from edgegraph.cli import main
from edgegraph.device.device import Device, MemoryLevel

DEVICE = Device(
    name="a processor",
    peak_flops_per_s={"f32": 100e9, "bf16": 50e9},
    memory=(
        MemoryLevel(name="L2", size_bytes=1 << 20, bandwidth_bytes_per_s=100e9),
        MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=20e9),
    ),
    origin="calibrated",
    source="made up",
    measured_at="2026-01-01T00:00:00+00:00",
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    def calibrate(*, progress: object) -> Device:
        calls.append("measured")
        return DEVICE

    monkeypatch.setattr("edgegraph.device.calibration.calibrate.calibrate", calibrate)
    monkeypatch.setattr("edgegraph.device.calibration.saved.load_calibration", lambda: None)
    monkeypatch.setattr("edgegraph.xla.set_synchronous_dispatch", lambda: None)
    return calls


def test_it_shows_peaks_bandwidths_and_ridge_points(
    measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate"]) == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    cells = {row[0]: row[1:] for row in rows}
    assert cells["L2"] == ["1,024 KiB", "100 GB/s"]
    assert cells["DRAM"] == ["20 GB/s"]
    # 100 GFLOP/s over 100 and 20 GB/s, and 50 over the same
    assert cells["f32"] == ["100 GFLOP/s", "1.00 FLOP/B", "5.00 FLOP/B"]
    assert cells["bf16"] == ["50 GFLOP/s", "0.50 FLOP/B", "2.50 FLOP/B"]
    assert "made up" in cells  # where the figures come from


def test_a_stored_calibration_is_reused_unless_asked_for_a_fresh_one(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgegraph.device.calibration.saved.load_calibration", lambda: DEVICE)
    assert main(["calibrate"]) == 0
    assert not measured
    assert "Taken at 2026-01-01" in capsys.readouterr().out
    assert main(["calibrate", "--fresh"]) == 0
    assert measured


def test_json(measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--json"]) == 0
    device = json.loads(capsys.readouterr().out)
    assert device["peak_flops_per_s"] == {"f32": 100e9, "bf16": 50e9}
    assert device["memory"][1]["size_bytes"] is None
