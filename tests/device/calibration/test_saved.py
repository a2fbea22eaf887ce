from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edgegraph.device.calibration import saved
from edgegraph.device.calibration.saved import (
    CalibrationWarning,
    load_calibration,
    save_calibration,
)
from edgegraph.device.device import Device, MemoryLevel


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "deep" / "cache"
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def device() -> Device:
    return Device(
        name="this machine",
        peak_flops_per_s={"f32": 450e9, "bf16": 900e9},
        memory=(
            MemoryLevel(name="L1", size_bytes=98304, bandwidth_bytes_per_s=4.5e11),
            MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=6e10),
        ),
        origin="calibrated",
        source="measured",
        dispatch_s=5e-6,
        fingerprint=saved.machine_identity(),
        measured_at="2026-01-02T03:04:05+00:00",
    )


def test_what_was_saved_is_loaded(device: Device, cache_folder: Path) -> None:
    assert save_calibration(device) == cache_folder / "calibration.json"
    loaded = load_calibration()
    assert loaded == device
    assert loaded is not None
    assert list(loaded.peak_flops_per_s) == ["f32", "bf16"]
    assert [path.name for path in cache_folder.iterdir()] == ["calibration.json"]


def test_never_calibrated_is_no_reason_to_warn() -> None:
    assert load_calibration() is None


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEGRAPH_CACHE_DIR")
    assert "edgegraph" in saved.calibration_path().parent.parts


def test_the_fingerprint_names_processor_cores_and_versions() -> None:
    assert set(saved.machine_identity()) == {
        "processor", "cores", "caches", "jax", "jaxlib", "calibration scheme",
    }  # fmt: skip


def test_a_changed_machine_is_refused_and_the_change_named(device: Device) -> None:
    before = {**saved.machine_identity(), "processor": "an older one", "jax": "0.9.9"}
    save_calibration(dataclasses.replace(device, fingerprint=before))
    with pytest.warns(CalibrationWarning) as caught:
        assert load_calibration() is None
    (warning,) = caught
    message = str(warning.message)
    assert "processor was an older one, is " in message
    assert "jax was 0.9.9, is " in message
    assert "cores" not in message
    assert "edgegraph calibrate" in message
    assert "\n" not in message


def test_a_calibration_without_fingerprint_is_refused(device: Device) -> None:
    save_calibration(dataclasses.replace(device, fingerprint=None))
    with pytest.warns(CalibrationWarning, match="cores was not recorded"):
        assert load_calibration() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 1}',
        b'{"format": "1"}',
        b'{"format": 2, "device": {}}',
        b'{"device": {}}',
        b'{"format": 1, "device": {"name": 3}}',
    ],
)
def test_a_broken_file_warns_and_counts_as_none(content: bytes, cache_folder: Path) -> None:
    cache_folder.mkdir(parents=True)
    (cache_folder / "calibration.json").write_bytes(content)
    with pytest.warns(CalibrationWarning) as caught:
        assert load_calibration() is None
    message = str(caught[0].message)
    assert "calibration.json" in message
    assert "\n" not in message


def test_a_cut_off_file_is_a_broken_file(device: Device) -> None:
    path = save_calibration(device)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.warns(CalibrationWarning, match="is not a calibration"):
        assert load_calibration() is None


def test_figures_that_cannot_be_are_refused(device: Device) -> None:
    path = save_calibration(device)
    content = json.loads(path.read_text("utf-8"))
    content["device"]["memory"][1]["bandwidth_bytes_per_s"] = 1e15
    path.write_text(json.dumps(content), "utf-8")
    with pytest.warns(CalibrationWarning, match="DRAM is faster than L1"):
        assert load_calibration() is None


def test_a_folder_that_cannot_be_made_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="calibration is not kept in .*set EDGEGRAPH_CACHE_DIR"):
        save_calibration(device)


def test_a_failed_write_leaves_the_old_calibration(
    device: Device, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_calibration(device)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.warns(UserWarning, match=r"not kept .*\(disk full\)"):
        save_calibration(dataclasses.replace(device, name="other"))
    assert [path.name for path in cache_folder.iterdir()] == ["calibration.json"]
    assert load_calibration() == device


def test_calibrations_saved_before_still_hold(device: Device, cache_folder: Path) -> None:
    # Raising a number on purpose makes everybody calibrate again.
    content = json.loads(save_calibration(device).read_text())
    assert content["format"] == 1
    assert saved.machine_identity()["calibration scheme"] == "5"
