import json

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

    monkeypatch.setattr("edgegraph.device.calibrate.calibrate", calibrate)
    monkeypatch.setattr("edgegraph.device.calibrate.load_calibration", lambda: None)
    monkeypatch.setattr("edgegraph.xla.set_synchronous_dispatch", lambda: None)
    return calls


def test_it_shows_peaks_bandwidths_and_ridge_points(
    measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate"]) == 0
    rows = [line.strip("│ ").split("│") for line in capsys.readouterr().out.splitlines()]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    # 100 GFLOP/s over 20 GB/s, and 50 over 20
    assert cells["DRAM"] == ["", "20.0", "5.00", "2.50"]
    assert cells["L2"] == ["1,024 KiB", "100.0", "1.00", "0.50"]
    assert cells["peak arithmetic"] == ["", "", "100.0 GFLOP/s", "50.0 GFLOP/s"]


def test_a_stored_calibration_is_reused_unless_asked_for_a_fresh_one(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgegraph.device.calibrate.load_calibration", lambda: DEVICE)
    assert main(["calibrate"]) == 0
    assert not measured
    assert "Measured at 2026-01-01" in capsys.readouterr().out
    assert main(["calibrate", "--fresh"]) == 0
    assert measured


def test_json(measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--json"]) == 0
    device = json.loads(capsys.readouterr().out)
    assert device["peak_flops_per_s"] == {"f32": 100e9, "bf16": 50e9}
    assert device["memory"][1]["size_bytes"] is None
