"""The names of targets, and what is said of those that do not exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import edgegraph.compiler
from edgegraph.compiler.targets import (
    Target,
    missing_packages,
    parse_target,
    recognise_device,
    targets,
    with_chips,
)
from edgegraph.device.catalogue import find_entry
from edgegraph.errors import InputError

GPUS = tomllib.loads(
    (Path(edgegraph.compiler.__file__).parent / "gpu_targets.toml").read_text("utf-8")
)


def test_there_are_enough() -> None:
    assert {"tpu:v4", "tpu:v5e", "tpu:v5p", "tpu:v6e", "tpu:v7x"} <= set(targets())
    assert sum(name.startswith("gpu:") for name in targets()) >= 10


@pytest.mark.parametrize("name", targets())
def test_every_target_has_a_device_with_roofs(name: str) -> None:
    target = parse_target(name)
    assert target.name == name
    if name != "cpu":
        assert target.device is not None
        assert find_entry(target.device).device.peak_flops_per_s


@pytest.mark.parametrize(
    ("name", "chips", "topology"),
    [
        ("tpu:v4", 4, "v4:2x2x1"),
        ("tpu:v5e", 1, "v5e:1x1"),
        ("tpu:v5e:2x2", 4, "v5e:2x2"),
        ("tpu:v5p:2x2x2", 8, "v5p:2x2x2"),
        ("tpu:v7x", 1, "tpu7x:1x1x1"),
        ("gpu:h100:8", 8, "1x1x8"),
        ("gpu:orin", 1, "1x1x1"),
    ],
)
def test_chips_and_how_they_stand(name: str, chips: int, topology: str) -> None:
    target = parse_target(name)
    assert (target.chips, target.topology, target.ahead) == (chips, topology, True)


@pytest.mark.parametrize(
    ("name", "chips", "wanted"),
    [
        ("tpu:v5e", 1, "tpu:v5e"),
        ("tpu:v5e", 4, "tpu:v5e:2x2"),  # no larger slice where one has just enough
        ("tpu:v5e", 5, "tpu:v5e:2x4"),
        ("tpu:v4", 16, "tpu:v4:2x2x4"),
        ("gpu:h100:8", 4, "gpu:h100:8"),
        ("gpu:h100", 4, "gpu:h100:4"),
    ],
)
def test_a_target_with_chips_enough(name: str, chips: int, wanted: str) -> None:
    assert with_chips(parse_target(name), chips).name == wanted


def test_no_slice_is_as_large_as_that() -> None:
    with pytest.raises(InputError, match="257 chips are more than the largest slice"):
        with_chips(parse_target("tpu:v5e"), 257)


def test_a_device_of_the_catalogue_runs_the_hosts_program() -> None:
    target = parse_target("device:cortex-m7")
    assert (target.platform, target.device, target.ahead) == ("cpu", "stm32h743", False)


@pytest.mark.parametrize("name", ["rpi5", "cortex-a76"])
def test_a_device_has_one_name_everywhere(name: str) -> None:
    target = parse_target(name)
    assert (target.name, target.device) == (f"device:{name}", "rpi5")
    assert find_entry(f"device:{name}").key == find_entry(name).key == "rpi5"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tpu:v5", "did you mean tpu:v5"),
        ("gpu:h10", "did you mean gpu:h100"),
        ("quantum", "the targets are cpu, tpu:v4"),
        ("tpu:v5e:4", "expected 2 sizes, such as tpu:v5e:2x1"),
        ("tpu:v5e:0x2", "is not a topology"),
        ("gpu:h100:0", "is not a number of GPUs"),
        ("gpu:h100:two", "is not a number of GPUs"),
        ("device:rpi55", "did you mean rpi5"),
        ("rpi-5", "did you mean rpi5"),
        ("RPi5", "did you mean rpi5"),
        ("device:", "the targets are"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(name: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        parse_target(name)
    assert "\n" not in str(caught.value)


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: None)
    assert missing_packages(parse_target("tpu:v5e")) == ("libtpu",)
    assert "nvidia-cuda-nvcc-cu12" in missing_packages(parse_target("gpu:h100"))
    assert missing_packages(parse_target("cpu")) == ()


@pytest.mark.parametrize("name", GPUS)
def test_peak_follows_from_the_multiprocessors(name: str) -> None:
    """Two FLOPs a lane and clock give the f32 peak, up to which clock a maker quotes."""
    figures = GPUS[name]
    published = find_entry(figures["device"]).peaks["f32"].value
    derived = 2 * figures["multiprocessors"] * figures["lanes"] * figures["clock_ghz"] * 1e9
    assert published == pytest.approx(derived, rel=0.08)


@pytest.mark.parametrize("name", GPUS)
def test_descriptions_hold_together(name: str) -> None:
    figures, target = GPUS[name], parse_target(f"gpu:{name}")
    assert figures["block_shared_memory_kib"] <= figures["shared_memory_kib"]
    assert figures["source"]
    assert _number(target, "memory_bandwidth") > 1e10
    # The same for all compute capabilities from 7.0 on (CUDA C++ Programming Guide).
    limits = {"threads_per_block_limit": 1024, "threads_per_warp": 32}
    limits |= {"shared_memory_per_block": 49_152, "registers_per_core_limit": 65_536}
    assert {field: _number(target, field) for field in limits} == limits
    assert _number(target, "device_memory_size") > _number(target, "l2_cache_size")


def _number(target: Target, field: str) -> int:
    (found,) = re.findall(rf"\b{field}: (\d+)\n", target.description)
    return int(found)


@pytest.mark.parametrize(
    ("statistics", "key"),
    [
        ({"device_type_string": "TPU v6 Lite"}, "tpu-v6e"),  # as a public profile has it
        ({"device_type_string": "TPU v5"}, "tpu-v5p"),
        ({"device_type_string": "TPU v99"}, None),
        (nvidia := {"compute_cap_major": 9, "compute_cap_minor": 0}, None),
        (nvidia | {"core_count": 132, "memory_bandwidth": 3_350_000_000_000}, "h100-sxm"),
        (nvidia | {"core_count": 132, "memory_bandwidth": 4_800_000_000_000}, "h200"),
        (nvidia | {"core_count": 114, "memory_bandwidth": 2_040_000_000_000}, "h100-pcie"),
        (nvidia | {"core_count": 132, "memory_bandwidth": 1_000_000_000_000}, None),
        (nvidia | {"core_count": 78, "memory_bandwidth": 3_350_000_000_000}, None),
        (
            amd := {  # as a public profile of an MI300X has it, with half of its real bandwidth
                "device_vendor": "AMD", "compute_cap_major": 9, "compute_cap_minor": 4,
                "core_count": 304, "memory_bandwidth": 2_662_400_000_000,
                "memory_size": 206_141_652_992,
            },
            "mi300x",
        ),
        (amd | {"memory_size": 256 << 30}, None),  # an MI325X
        (amd | {"compute_cap_minor": 5, "core_count": 256}, None),  # an MI355X
        ({}, None),
    ],
)  # fmt: skip
def test_a_device_is_recognised_by_what_a_profile_says_of_it(
    statistics: dict[str, str | int], key: str | None
) -> None:
    assert recognise_device(statistics) == key
