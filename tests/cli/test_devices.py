"""``edgegraph calibrate``, ``devices`` and ``compare-devices``."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.cli.devices import _catalogue, _entry
from edgegraph.device.calibration import board as calibrating_board
from edgegraph.device.calibration.saved import read_device
from edgegraph.device.catalogue import catalogue, find_device, find_entry
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.device.kernel_rates import KernelRate
from edgegraph.studies.devices.result import DeviceRow
from tests import analyses
from tests.studies.device_comparisons import dense

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
    intervals={"DRAM": (18e9, 21e9)},
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    def calibrate(*, full: bool, progress: object) -> Device:
        calls.append("everything" if full else "first roofs")
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
    assert cells["DRAM"] == ["20 GB/s", "18 GB/s to 21 GB/s"]
    # 100 GFLOP/s over 100 and 20 GB/s, and 50 over the same
    assert cells["f32"] == ["100 GFLOP/s", "1.00 FLOP/B", "5.00 FLOP/B"]
    assert cells["bf16"] == ["50 GFLOP/s", "0.50 FLOP/B", "2.50 FLOP/B"]
    assert "made up" in cells  # where the figures come from


def test_a_stored_calibration_is_reused_unless_asked_for_a_fresh_one(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rate = KernelRate(kind="dot", dtype="f32", rows=1, rate_per_s=1.0)
    complete = replace(DEVICE, kernel_rates=(rate,))
    monkeypatch.setattr("edgegraph.device.calibration.saved.load_calibration", lambda: complete)
    assert main(["calibrate"]) == 0
    assert not measured
    assert "Taken at 2026-01-01" in capsys.readouterr().out
    assert main(["calibrate", "--fresh"]) == 0
    assert measured == ["first roofs"]
    assert "These are first roofs. `edgegraph calibrate` once more" in capsys.readouterr().out
    assert main(["calibrate", "--fresh", "--full"]) == 0
    assert measured[1:] == ["everything"]


def test_first_roofs_are_completed_by_the_next_run(
    measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["calibrate"]) == 0
    monkeypatch.setattr("edgegraph.device.calibration.saved.load_calibration", lambda: DEVICE)
    assert main(["calibrate"]) == 0
    assert measured == ["first roofs", "everything"]


def test_it_is_exported_as_a_device_and_the_script_of_a_board_written(
    measured: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board, script = tmp_path / "board.json", tmp_path / "board.py"
    assert main(["calibrate", "--export", str(board)]) == 0
    assert "elsewhere it is --target device:board.json" in capsys.readouterr().out
    assert read_device(board) == DEVICE
    assert main(["calibrate", "--script", str(script)]) == 0
    assert len(measured) == 1
    assert script.read_bytes() == Path(calibrating_board.__file__).read_bytes()
    assert main(["calibrate", "--export", str(tmp_path / "board.toml")]) == 2
    assert "--export" in capsys.readouterr().err


def test_json(measured: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--json"]) == 0
    device = json.loads(capsys.readouterr().out)
    assert device["peak_flops_per_s"] == {"f32": 100e9, "bf16": 50e9}
    assert device["memory"][1]["size_bytes"] is None


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


def test_several_workloads_are_held_against_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    specs = ["models.cnn:small_cnn", "models.mlp:mlp"]
    assert main(["compare-devices", *specs, "--devices", "device:rpi5"]) == 0
    # 4,643,840 over 784 512 + 512 512 + 512 10.
    assert "mlp has 6.94 times fewer MACs than small_cnn" in capsys.readouterr().out
    assert main(["compare-devices", specs[0], "a.edgegraph", "--devices", "device:rpi5"]) == 2
    assert "SPEC 'a.edgegraph' is neither a file nor" in capsys.readouterr().err


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


def lines(*renderables: RenderableType) -> list[str]:
    text = io.StringIO()
    Console(width=160, file=text).print(*renderables)
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_a_device_is_listed_with_its_ridge_point() -> None:
    entries = {entry.key: entry for entry in catalogue()}
    told = lines(_catalogue({"here": analyses.DEVICE, "tpu-v5e": find_device("tpu-v5e")}, entries))
    # 100 GFLOP/s over the 10 GB/s of the last memory.
    assert any("here" in line and "100 GFLOP/s f32 10 GB/s 10" in line for line in told)
    assert "this machine" in told
    # 197 TFLOP/s in bf16 over 819 GB/s, as Google's pages of the v5e say, rounded.
    assert any("197 TFLOP/s bf16 820 GB/s 240 17.2 GB" in line for line in told)


def test_a_wide_list_says_whose_figures_they_are() -> None:
    entries = {entry.key: entry for entry in catalogue()}
    known = {
        "here": analyses.DEVICE,
        "tpu-v5e": find_device("tpu-v5e"),
        "rpi5": find_device("rpi5"),
    }
    told = {
        line.split()[0]: line for line in lines(_catalogue(known, entries, aliases=True)) if line
    }
    assert "measured" in told["here"]
    assert "maker" in told["tpu-v5e"]
    # Its cores' vector width times their clock.
    assert "derived cortex-a76" in told["rpi5"]


def test_every_figure_of_a_device_has_its_source() -> None:
    entry = find_entry("tpu-v5e")
    told = lines(*_entry(entry))
    assert told[0].startswith(f"{entry.name} (tpu-v5e")
    for name, figure in entry.figures():
        assert any(line.startswith(name) and figure.certainty in line for line in told)
