"""The work that the probes claim is held against XLA's own cost analysis of what was compiled."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from edgegraph.base.timing import monotonic_clock
from edgegraph.device.calibration import peak_kernels
from edgegraph.device.calibration.peak_kernels import CoreThreads
from edgegraph.device.calibration.peaks import Probe

KIB = 1024


@pytest.fixture
def executables(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what the kernels compile."""
    seen: list[Any] = []
    compile_really = peak_kernels._compiled

    def compile_and_keep(*arguments: Any, **options: Any) -> Any:
        executable = compile_really(*arguments, **options)
        seen.append(executable)
        return executable

    monkeypatch.setattr(peak_kernels, "_compiled", compile_and_keep)
    return seen


def passes(executable: Any) -> int:
    """Read the trip count of the one loop in a compiled kernel."""
    (count,) = re.findall(r'"known_trip_count":{"n":"(\d+)"}', executable.as_text())
    return int(count)


@pytest.mark.parametrize("dtype", list(peak_kernels.DTYPES))
def test_matrix_products_do_the_flops_that_xla_counts(dtype: str, executables: list[Any]) -> None:
    probe = peak_kernels.matrix_product(dtype, 96)
    (executable,) = executables
    conversions = executable.cost_analysis()["flops"] - probe.work
    assert conversions in (0, 2 * 96 * 96)  # of both operands, where XLA computes in a wider type
    assert f"{dtype}[96,96]" in executable.as_text()
    assert probe.group == dtype
    assert probe.working_set_bytes is None
    assert probe.run(monotonic_clock) > 0


def test_the_convolution_does_the_flops_that_xla_counts(executables: list[Any]) -> None:
    probe = peak_kernels.convolution(batch=2, side=8, channels=16)
    assert probe.work == executables[0].cost_analysis()["flops"]
    assert probe.run(monotonic_clock) > 0


@pytest.mark.parametrize("build", [peak_kernels.updates, peak_kernels.matrix_vector_products])
def test_memory_kernels_move_the_bytes_that_xla_counts(
    build: Callable[[str, int], Probe], executables: list[Any]
) -> None:
    """XLA counts a loop's body once, and a few bytes of loop counter with it."""
    probe = build("L2", 256 * KIB)
    (executable,) = executables
    a_pass = probe.work / passes(executable)
    assert a_pass == pytest.approx(executable.cost_analysis()["bytes accessed"], rel=0.02)
    assert a_pass <= executable.cost_analysis()["bytes accessed"]
    assert probe.working_set_bytes == 256 * KIB
    assert probe.run(monotonic_clock) > 0


def test_every_update_is_carried_out(executables: list[Any]) -> None:
    """One fused pass: a value read, halved, raised by one and written, as often as claimed."""
    probe = peak_kernels.updates("L1", 16 * KIB)
    text = executables[0].as_text()
    assert len(re.findall(r"f32\[4096\]\S* multiply\(", text)) == 1
    assert len(re.findall(r"f32\[4096\]\S* add\(", text)) == 1
    assert probe.work == passes(executables[0]) * 2 * 16 * KIB


def test_the_update_is_in_place(executables: list[Any]) -> None:
    peak_kernels.updates("L1", 16 * KIB)
    assert "input_output_alias" in executables[0].as_text()


def test_each_core_updates_a_share_of_its_own(executables: list[Any]) -> None:
    with CoreThreads(2) as threads:
        probe = peak_kernels.updates_by_core("L1", 32 * KIB, threads)
        assert probe.run(monotonic_clock) > 0
    assert len(executables) == 2
    assert probe.working_set_bytes == 32 * KIB
    assert probe.work == sum(passes(executable) * 2 * 16 * KIB for executable in executables)


def test_a_crew_times_from_the_first_start_to_the_last_end() -> None:
    ticks = iter(range(0, 10_000_000_000, 1_000_000_000))
    ran: list[str] = []
    with CoreThreads(2) as threads:
        seconds = threads.run(
            [lambda: ran.append("a"), lambda: ran.append("b")], lambda: next(ticks)
        )
    assert sorted(ran) == ["a", "b"]
    assert seconds == 3.0  # four readings, 0 to 3 s, in whatever order the threads took them


def test_a_null_call_does_nothing(executables: list[Any]) -> None:
    probe = peak_kernels.null_calls(calls=3)
    assert executables[0].cost_analysis().get("flops", 0.0) == 0.0
    assert probe.work == 3
    assert probe.run(monotonic_clock) > 0


def test_after_an_interruption_no_thread_waits_for_one_that_never_starts() -> None:
    """One call on two threads: the first waits for the second, as if Ctrl-C came in between."""
    waits = threading.Event()
    left = threading.Event()

    def interrupted() -> None:
        try:
            with CoreThreads(2) as threads:

                def one() -> None:
                    with pytest.raises(threading.BrokenBarrierError):
                        threads.run([lambda: None], monotonic_clock)

                waiting = threading.Thread(target=one, daemon=True)
                waiting.start()
                while not threads._barrier.n_waiting:
                    waits.wait(0.01)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            waiting.join(60)
            left.set()

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    assert left.wait(60)
