"""What the system says of this machine, and who else uses it, from figures made by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cpuinfo
import psutil
import pytest

from edgegraph.device import host
from edgegraph.device.host import Cache, OtherProcesses

KIB = 1024


def write_caches(folder: Path, core: int, caches: list[tuple[int, str, str, str]]) -> None:
    for index, (level, kind, size, shared) in enumerate(caches):
        place = folder / f"cpu{core}" / "cache" / f"index{index}"
        place.mkdir(parents=True)
        for name, text in [
            ("level", str(level)), ("type", kind), ("size", size), ("shared_cpu_list", shared),
        ]:  # fmt: skip
            (place / name).write_text(f"{text}\n")


def test_private_caches_add_up_and_a_shared_one_counts_once(tmp_path: Path) -> None:
    for core in (0, 1):
        write_caches(
            tmp_path,
            core,
            [
                (1, "Data", "48K", str(core)),
                (1, "Instruction", "32K", str(core)),
                (2, "Unified", "1024K", str(core)),
                (3, "Unified", "32768K", "0-1"),
            ],
        )
    assert host.caches((0, 1), tmp_path) == (
        Cache(name="L1", size_bytes=96 * KIB, instances=2),
        Cache(name="L2", size_bytes=2048 * KIB, instances=2),
        Cache(name="L3", size_bytes=32768 * KIB, instances=1),
    )


def test_only_the_cores_in_use_count(tmp_path: Path) -> None:
    for core in range(4):
        write_caches(tmp_path, core, [(1, "Data", "32K", str(core))])
    assert host.caches((2,), tmp_path) == (Cache(name="L1", size_bytes=32 * KIB, instances=1),)


def test_threads_of_one_core_share_its_cache(tmp_path: Path) -> None:
    for core in (0, 1):
        write_caches(tmp_path, core, [(1, "Data", "32K", "0-1")])
    assert host.caches((0, 1), tmp_path) == (Cache(name="L1", size_bytes=32 * KIB, instances=1),)


@pytest.mark.parametrize("size", ["", "unknown", "-1K", "12Q"])
def test_a_cache_of_unreadable_size_is_left_out(tmp_path: Path, size: str) -> None:
    write_caches(tmp_path, 0, [(1, "Data", size, "0")])
    assert host.caches((0,), tmp_path) == ()


def test_no_caches_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert host.caches((0, 1), tmp_path / "absent") == ()


@pytest.mark.parametrize(
    ("cpu_info", "name"),
    [
        (
            "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n"
            "stepping\t: 1\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n",
            "AMD EPYC (cpu family 26, model 2, stepping 1)",
        ),
        (
            "processor\t: 0\nBogoMIPS\t: 108.00\n\nRevision\t: c04170\n"
            "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
            "Raspberry Pi 5 Model B Rev 1.0",
        ),
    ],
)
def test_processor_is_read_from_cpuinfo(tmp_path: Path, cpu_info: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(cpu_info)
    assert host.processor(tmp_path / "cpuinfo") == name


@pytest.mark.slow
def test_processor_has_a_name_without_cpuinfo(tmp_path: Path) -> None:
    """That of py-cpuinfo, which on x86 asks the processor itself."""
    name = host.processor(tmp_path / "absent")
    assert name == " ".join(cpuinfo.get_cpu_info()["brand_raw"].split())


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    whole = host.memory_bytes(())
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit.write_text("max\n")
    assert host.memory_bytes((limit,)) == whole
    limit.write_text("1048576\n")
    assert host.memory_bytes((limit, tmp_path / "absent")) == 1048576


def test_busy_time_counts_the_wanted_cores_and_steal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    monkeypatch.setattr(host, "CPU_FOLDER", tmp_path)
    #        user nice system idle iowait irq softirq steal guest guest_nice
    (tmp_path / "stat").write_text(
        "cpu  999 0 0 0 0 0 0 0 0 0\n"
        f"cpu0 {ticks} {ticks} {ticks} 77 77 {ticks} {ticks} {ticks} {ticks} 0\n"
        f"cpu2 {ticks} 0 0 0 0 0 0 0 0 0\n"
        "intr 5\n"
    )
    (tmp_path / "online").write_text("0-1\n")
    assert host.busy_s((0,)) == 6.0  # guest time is part of user time
    assert host.busy_s((1,)) == 1.0
    assert host.busy_s((5,)) is None
    (tmp_path / "online").write_text("0,2\n")
    assert host.busy_s((0, 2)) == 7.0  # these are all there are
    assert host.busy_s((0,)) is None


def test_governor(tmp_path: Path) -> None:
    assert host.governor(tmp_path) is None
    (tmp_path / "cpu0" / "cpufreq").mkdir(parents=True)
    (tmp_path / "cpu0" / "cpufreq" / "scaling_governor").write_text("schedutil\n")
    assert host.governor(tmp_path) == "schedutil"


def test_usable_cores_are_those_of_the_system() -> None:
    assert len(host.usable_cores()) <= (os.cpu_count() or 1)


T = TypeVar("T")


def readings(*values: T) -> Callable[[], T]:
    return iter(values).__next__


@pytest.mark.parametrize(
    ("busy_s", "own_s", "wall_s", "share"),
    [
        # Two cores for 10 s: busy for 12 core-seconds, 10 of them ours, so 2 of 20 were others'.
        ((100.0, 112.0), (5.0, 15.0), (0.0, 10.0), 0.1),
        ((0.0, 20.0), (0.0, 0.0), (0.0, 10.0), 1.0),
        ((0.0, 9.9), (0.0, 10.0), (0.0, 10.0), 0.0),  # ticks are coarser than our own clock
        ((None, None), (0.0, 1.0), (0.0, 10.0), None),
        ((0.0, 0.1), (0.0, 0.0), (0.0, 0.1), None),  # too short to say
    ],
)
def test_share_of_others(
    busy_s: tuple[float | None, ...],
    own_s: tuple[float, ...],
    wall_s: tuple[float, ...],
    share: float | None,
) -> None:
    with OtherProcesses(
        cores=2, busy_s=readings(*busy_s), own_s=readings(*own_s), wall_s=readings(*wall_s)
    ) as others:
        assert others.share is None
    assert others.share == (None if share is None else pytest.approx(share))


def test_laps_begin_where_the_last_one_ended() -> None:
    """2 cores: in the first second others take 0.5 s, in the next two none."""
    others = OtherProcesses(
        cores=2,
        busy_s=readings(0.0, 1.5, 3.5),
        own_s=readings(0.0, 1.0, 3.0),
        wall_s=readings(0.0, 1.0, 3.0),
    )
    others.__enter__()
    assert others.lap() == pytest.approx(0.25)
    assert others.lap() == 0.0


def test_the_clock_rate_is_that_of_the_fastest_core(tmp_path: Path) -> None:
    for core, kilohertz in ((0, "800000"), (1, "3100000")):
        place = tmp_path / f"cpu{core}" / "cpufreq"
        place.mkdir(parents=True)
        (place / "scaling_cur_freq").write_text(f"{kilohertz}\n")
    assert host.clock_hz((0, 1), tmp_path) == 3.1e9
    assert host.clock_hz((0, 1), tmp_path / "none") is None


def test_of_this_machine() -> None:
    with OtherProcesses() as others:
        pass
    assert others.share is None or 0.0 <= others.share <= 1.0


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("512", 512), ("48K", 49_152), ("32M", 33_554_432), ("1G", 1_073_741_824), ("1T", None)],
)
def test_sizes_as_linux_writes_them(text: str, size_bytes: int | None) -> None:
    assert host.parse_size(text) == size_bytes
