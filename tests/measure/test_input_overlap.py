"""The input pipeline beside the device, with a clock that only calls move."""

from __future__ import annotations

import threading

import jax
import numpy as np
import pytest

from edgegraph.compiler import compile as compile_program
from edgegraph.errors import InputError
from edgegraph.measure.input_overlap import STEPS, measure_input_overlap, run_ahead
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.timing import InputOverlap
from tests.measure.fake_clock import FakeClock


def test_the_next_is_made_while_this_one_is_used() -> None:
    # Each batch but the first is asked for before the one before it is done.
    started = [threading.Event() for _ in range(3)]

    def make(number: int) -> int:
        started[number].set()
        return number

    used: list[int] = []

    def use(number: int) -> None:
        if number + 1 < len(started):
            assert started[number + 1].wait(10)
        used.append(number)

    run_ahead(make, use, 3)
    assert used == [0, 1, 2]


@pytest.mark.parametrize("culprit", ["make", "use"])
def test_an_error_passes_through_and_ends_the_thread(culprit: str) -> None:
    def fail(number: int) -> int:
        if number == 1:
            raise ValueError("no more")
        return number

    before = threading.active_count()
    with pytest.raises(ValueError, match="no more"):
        run_ahead(fail if culprit == "make" else abs, fail if culprit == "use" else abs, 1000)
    assert threading.active_count() == before


def test_times_are_of_one_step() -> None:
    clock = FakeClock()
    program = compile_program(
        lambda w, x: x @ w,
        jax.ShapeDtypeStruct((4, 2), "float32"),
        jax.ShapeDtypeStruct((8, 4), "float32"),
    )
    prepare = clock.call(0.25)  # the only thing that moves the clock, on whichever thread
    found = measure_input_overlap(
        program,
        lambda step: [np.full((8, 4), prepare(), np.float32)],
        settings=MeasurementSettings(
            warm_up_calls=1,
            warm_up_s=0.0,
            minimum_samples=10,
            minimum_s=0.0,
            limit_s=1e6,
            block_below_s=0.0,
        ),
        clock=clock,
    )
    assert (found.steps, found.prepare_s, found.serial_s) == (STEPS, 0.25, 0.25)
    assert (found.transfer_s, found.step_s) == (0.0, 0.0)
    assert found.overlapped_s == 0.25
    assert found.gain == 0.0


def test_what_the_pipeline_gives_must_fit() -> None:
    program = compile_program(lambda x: x * 2, jax.ShapeDtypeStruct((8, 4), "float32"))
    with pytest.raises(InputError, match=r"returns float64\[8,3\], and the last .*float32\[8,4\]"):
        measure_input_overlap(program, lambda step: [np.zeros((8, 3))])


def test_gain_and_hidden_share_by_hand() -> None:
    # 3 ms of preparing and 1 ms of sending before 10 ms of work: 14 ms, or 11 ms side by side.
    found = InputOverlap(
        steps=16, prepare_s=3e-3, transfer_s=1e-3, step_s=10e-3, serial_s=14e-3,
        overlapped_s=11e-3, verdict="OK",
    )  # fmt: skip
    assert found.gain == pytest.approx(3 / 14)
    assert found.hidden == pytest.approx(3 / 4)
