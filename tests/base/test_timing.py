"""The clock, the collector and the allocator; page faults are counted by the system."""

from __future__ import annotations

import gc
import platform
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from edgegraph.base.timing import (
    NANOSECONDS_PER_S,
    bulk,
    collector_paused,
    monotonic_clock,
    time_limit,
)
from edgegraph.errors import EdgeGraphError, InputError

FAULTS = """
import resource
import numpy as np
from edgegraph.base.timing import warm_malloc

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(3 << 20, np.uint8) for _ in range(4)]
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{settle}
faults()
print(min(faults() for _ in range(5)))
"""


def page_faults(*, settled: bool) -> int:
    code = FAULTS.format(settle="warm_malloc()" if settled else "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_large_buffers_are_not_asked_of_the_system_again() -> None:
    assert page_faults(settled=True) < 50
    # 12 MiB are 3,072 pages of 4 KiB, and 6 huge ones.
    assert page_faults(settled=False) >= 6


def test_the_clock_counts_nanoseconds() -> None:
    ours, system = monotonic_clock(), time.monotonic()
    time.sleep(0.05)
    passed_s = (monotonic_clock() - ours) / NANOSECONDS_PER_S
    assert passed_s == pytest.approx(time.monotonic() - system, abs=0.02)


@pytest.mark.parametrize("collect", [False, True])
def test_the_collector_is_as_it_was_after_a_pause(collect: bool) -> None:
    with collector_paused(collect=collect):
        assert not gc.isenabled()
        with collector_paused(collect=collect):
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_before_the_pause_of_a_measurement() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    del cycle
    with collector_paused(collect=True):
        assert gc.collect() == 0


def test_bulk_work_is_not_collected_and_returns_what_it_made() -> None:
    @bulk
    def made(number: int) -> tuple[int, bool]:
        return number, gc.isenabled()

    assert [made(3), made(4)] == [(3, False), (4, False)]
    assert gc.isenabled()


ALARMS = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarms")


@ALARMS
@pytest.mark.parametrize("waits", [True, False])
def test_what_takes_longer_than_its_limit_is_ended(waits: bool) -> None:
    def hang() -> None:
        while True:
            try:
                time.sleep(60 if waits else 0)
            except Exception:
                continue

    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(EdgeGraphError, match=r"longer than 0.1 s"), time_limit(0.1):
        hang()
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@ALARMS
def test_what_takes_less_is_left_alone() -> None:
    for seconds in (60, None):
        with time_limit(seconds):
            assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (seconds is not None)


def test_a_limit_holds_in_the_main_thread_alone() -> None:
    said = []

    def limited() -> None:
        with pytest.raises(InputError, match="main thread") as error, time_limit(1):
            pass
        said.append(error)

    thread = threading.Thread(target=limited)
    thread.start()
    thread.join()
    assert said
