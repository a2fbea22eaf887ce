"""Expected values stand here as the makers publish them, or by the arithmetic of their units."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.device import catalogue as catalogue_module
from edgegraph.device.calibration import saved
from edgegraph.device.catalogue import (
    KINDS,
    Entry,
    catalogue,
    devices,
    find_device,
    find_entry,
    read_catalogue,
)
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.errors import FormatError, InputError

SHIPPED = Path(catalogue_module.__file__).with_name("catalogue.toml")
ENTRIES = read_catalogue(SHIPPED)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own calibration and devices out of the tests."""
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEGRAPH_CONFIG_DIR", str(tmp_path))
    return tmp_path


def by_key(key: str) -> Entry:
    (entry,) = (entry for entry in ENTRIES if entry.key == key)
    return entry


def test_from_microcontrollers_to_accelerators() -> None:
    assert len(ENTRIES) >= 30
    assert {entry.kind for entry in ENTRIES} == set(KINDS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_every_figure_has_a_source_and_a_certainty(entry: Entry) -> None:
    for what, figure in entry.figures():
        assert figure.certainty in ("high", "medium", "low"), what
        # A key that is missing from [sources] would come through as it is, without a space.
        assert " " in figure.source, (what, figure.source)
        assert len(figure.source) > 20, (what, figure.source)


def test_every_source_is_used_and_says_where_it_is() -> None:
    used = {figure.source for entry in ENTRIES for _, figure in entry.figures()}
    listed = set(tomllib.loads(SHIPPED.read_text("utf-8"))["sources"].values())
    assert listed == used
    assert all(
        "https://" in source or "http://" in source or "paper" in source or "datasheet" in source
        for source in listed
    )


RANGES = {  # fastest peak and main-memory bandwidth: a unit mistaken by a thousand falls outside
    "microcontroller": ((1e8, 1e11), (1e8, 1e10)),
    "single-board computer": ((1e10, 1e12), (1e9, 1e11)),
    "phone": ((1e12, 1e14), (1e10, 2e11)),
    "laptop": ((1e12, 1e14), (5e10, 1e12)),
    "embedded GPU": ((2e11, 5e14), (2e10, 5e11)),
    "edge accelerator": ((1e11, 1e14), (1e8, 1e11)),
    "CPU": ((1e11, 1e14), (1e11, 1e12)),
    "GPU": ((5e13, 2e16), (2e11, 1e13)),
    "accelerator": ((1e14, 1e16), (5e11, 1e13)),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_units_and_ranges(entry: Entry) -> None:
    (low_peak, high_peak), (low_bandwidth, high_bandwidth) = RANGES[entry.kind]
    assert low_peak <= max(figure.value for figure in entry.peaks.values()) <= high_peak
    bandwidth = entry.memory[-1].bandwidth
    assert bandwidth is not None
    assert low_bandwidth <= bandwidth.value <= high_bandwidth
    units = {"peak": "FLOP/s", "size": "bytes", "bandwidth": "bytes/s", "power": "W",
             "interconnect": "bytes/s", "clock": "Hz"}  # fmt: skip
    for what, figure in entry.figures():
        (unit,) = (unit for word, unit in units.items() if word in what.split())
        assert figure.unit == unit
    if entry.power is not None:
        assert 0.5 <= entry.power.value <= 1500
    if entry.capacity_bytes is not None:
        assert 1e5 <= entry.capacity_bytes <= 3e11
    if entry.interconnect is not None:
        assert entry.interconnect.value < bandwidth.value


NEVER_SLOWER = [
    ("f32", "f64"), ("tf32", "f32"), ("bf16", "tf32"), ("bf16", "f32"), ("f16", "f32"),
    ("f8e4m3fn", "bf16"), ("f8e4m3fnuz", "bf16"), ("f8e4m3", "bf16"), ("s8", "bf16"),
    ("s8", "f16"), ("s8", "f32"), ("s8", "s16"), ("s16", "s32"), ("s8", "s32"), ("s4", "s8"),
    ("f4e2m1fn", "f8e4m3fn"),
]  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_peaks_and_bandwidths_are_ordered(entry: Entry) -> None:
    peaks = {dtype: figure.value for dtype, figure in entry.peaks.items()}
    for narrow, wide in NEVER_SLOWER:
        if narrow in peaks and wide in peaks:
            assert peaks[narrow] >= peaks[wide], (narrow, wide)
    if "bf16" in peaks and "f16" in peaks:
        assert peaks["bf16"] == peaks["f16"]
    if "f32" in peaks:
        assert next(iter(peaks)) == "f32"
    bandwidths = [level.bandwidth.value for level in entry.memory if level.bandwidth]
    assert bandwidths == sorted(bandwidths, reverse=True)
    sizes = [level.size.value for level in entry.memory if level.size]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("key", "dtype", "dense", "sparse"),
    [
        ("a100-sxm-80", "bf16", 312e12, 624e12),
        ("a100-sxm-80", "s8", 624e12, 1248e12),
        ("l4", "f16", 121e12, 242e12),
        ("l4", "s8", 242e12, 485e12),
        ("l40s", "f8e4m3fn", 733e12, 1466e12),
        ("rtx-4090", "s8", 660.6e12, 1321.2e12),
        ("h100-pcie", "f16", 756.5e12, 1513e12),
        ("h100-sxm", "tf32", 494.7e12, 989.4e12),
        ("h100-sxm", "f16", 989.4e12, 1978.9e12),
        ("h100-sxm", "s8", 1978.9e12, 3957.8e12),
        ("b200", "bf16", 2250e12, 4500e12),
        ("agx-orin-64", "s8", 85.5e12, 171e12),
        ("orin-nano-8", "s8", 20e12, 40e12),
        ("orin-nano-8-super", "s8", 33.5e12, 67e12),
        ("mi300x", "bf16", 1307.4e12, 2614.9e12),
        ("trainium2", "bf16", 667e12, 2563e12),
    ],
)
def test_rates_are_dense(key: str, dtype: str, dense: float, sparse: float) -> None:
    rate = by_key(key).peaks[dtype].value
    assert rate == pytest.approx(dense, rel=0.03)
    assert rate < 0.6 * sparse


@pytest.mark.parametrize(
    ("key", "dtype", "units", "operations_per_cycle", "clock_hz"),
    [
        # multiprocessors, dense operations per cycle of each, boost clock
        ("v100", "f16", 80, 1024, 1.53e9),
        ("t4", "f16", 40, 1024, 1.59e9),
        ("a100-sxm-80", "f32", 108, 128, 1.41e9),
        ("a100-sxm-80", "bf16", 108, 2048, 1.41e9),
        ("rtx-3090", "bf16", 82, 512, 1.695e9),
        ("rtx-4090", "f32", 128, 256, 2.52e9),
        ("h100-sxm", "bf16", 132, 4096, 1.83e9),
        ("mi250x", "f16", 220, 1024, 1.7e9),
        # chips of four 128 x 128 arrays and of two 256 x 256 arrays
        ("tpu-v5e", "bf16", 4 * 128 * 128, 2, 1.5e9),
        ("tpu-v6e", "bf16", 2 * 256 * 256, 4, 1.75e9),
    ],
)
def test_rates_follow_from_the_units(
    key: str, dtype: str, units: int, operations_per_cycle: int, clock_hz: float
) -> None:
    rate = by_key(key).peaks[dtype].value
    assert rate == pytest.approx(units * operations_per_cycle * clock_hz, rel=0.02)


def test_public_devices_are_devices_by_name() -> None:
    known = eg.devices()
    assert list(known) == [entry.key for entry in ENTRIES]
    assert all(isinstance(device, Device) for device in known.values())
    assert {device.origin for device in known.values()} == {"catalogue"}
    h100 = known["h100-sxm"]
    # 989 TFLOP/s over 3.35 TB/s: about 295 FLOP/byte, as the literature has it.
    assert h100.ridge_point("bf16") == pytest.approx(295, rel=0.01)
    assert [level.name for level in h100.memory] == ["HBM"]
    assert by_key("h100-sxm").memory[0].name == "L2"


def test_a_level_with_a_bandwidth_keeps_its_size() -> None:
    cache, main = devices()["mi300x"].memory
    assert (cache.name, cache.size_bytes) == ("Infinity Cache", 256 * 2**20)
    assert (main.name, main.size_bytes) == ("HBM", None)
    assert by_key("mi300x").capacity_bytes == 192e9


def test_a_calibrated_host_is_one_more_device() -> None:
    with pytest.raises(InputError, match="edgegraph calibrate"):
        find_device("host")
    host = Device(
        name="here", peak_flops_per_s={"f32": 1e11}, origin="calibrated", source="measured",
        memory=(MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=1e10),),
        fingerprint=saved.machine_identity(),
    )  # fmt: skip
    saved.save_calibration(host)
    assert find_device("host") == host
    assert next(iter(devices())) == "host"
    assert devices()["host"] == host


@pytest.mark.parametrize(
    ("alias", "key"),
    [("tpu:v5e", "tpu-v5e"), ("gpu:orin", "agx-orin-64"), ("cortex-m7", "stm32h743")],
)
def test_aliases(alias: str, key: str) -> None:
    assert find_entry(alias).key == key
    assert find_device(alias) == devices()[key]


def test_an_unknown_device_is_one_line_with_a_suggestion() -> None:
    with pytest.raises(
        InputError, match="no device is called 'rpi55'; did you mean rpi5"
    ) as caught:
        find_device("rpi55")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="see `edgegraph devices`"):
        find_device("qqqqqq")


OWN = """
[[device]]
key = "my-board"
name = "My board"
kind = "microcontroller"
source = "measured with a stopwatch"
certainty = "low"
power = 0.5
[device.peak]
f32 = { factors = { cores = 2, flops_per_cycle = 2, clock_hz = 100e6 } }
[[device.memory]]
name = "SRAM"
size = 1e6
bandwidth = 1e9
"""


def test_own_devices_are_added(folders: Path) -> None:
    (folders / "devices.toml").write_text(OWN)
    assert len(catalogue()) == len(ENTRIES) + 1
    board = find_entry("my-board")
    assert board.peaks["f32"].value == 400e6
    assert board.peaks["f32"].source == "measured with a stopwatch"
    assert board.capacity_bytes == 1e6
    assert devices()["my-board"].memory[0].bandwidth_bytes_per_s == 1e9


def test_own_devices_replace_those_of_the_same_key(folders: Path) -> None:
    (folders / "devices.toml").write_text(OWN.replace("my-board", "rpi5"))
    assert len(catalogue()) == len(ENTRIES)
    assert find_device("rpi5").name == "My board"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[[device]]", "[[device"), "not a catalogue"),
        (("power = 0.5", "volts = 5"), "volts"),
        (("certainty = \"low\"", "certainty = \"sure\""), "sure"),
        (("microcontroller", "toaster"), "kind 'toaster'; expected one of microcontroller"),
        (("f32 =", "float32 ="), "'float32', which is not a dtype of XLA"),
        (("bandwidth = 1e9", ""), "needs a bandwidth"),
        (("bandwidth = 1e9", "bandwidth = -1"), "-1.0 as SRAM bandwidth"),
        (("clock_hz = 100e6", "clock_hz = 0"), "0.0 as peak f32"),
        (("{ factors", "{ value = 1, factors"), "either a value or factors"),
        (("my-board", "host"), "'host', which means this machine"),
        (("[device.peak]", "aliases = [\"my-board\"]\n[device.peak]"), "my-board names two"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_that_names_the_culprit(
    folders: Path, change: tuple[str, str], message: str
) -> None:
    (folders / "devices.toml").write_text(OWN.replace(*change))
    with pytest.raises(FormatError) as caught:
        devices()
    assert message in str(caught.value)
    assert "devices.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_says_so(folders: Path) -> None:
    (folders / "devices.toml").mkdir()
    with pytest.raises(FormatError, match="cannot be read"):
        devices()


def test_the_catalogue_needs_no_jax() -> None:
    code = "import sys, edgegraph as eg; eg.devices(); sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ))
    assert done.returncode == 0
