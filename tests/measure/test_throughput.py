"""Windows of calls, with a machine that the test plays; and real ones in a fresh process."""

from __future__ import annotations

import heapq
import threading

import jax
import numpy as np
import pytest

from edgegraph.compiler import compile as compile_program
from edgegraph.device import host
from edgegraph.errors import InputError
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.throughput import (
    QUEUE_DEPTHS,
    STEPS,
    fitting_depths,
    measure_input_overlap,
    measure_throughput,
    run_ahead,
    run_window,
    time_windows,
)
from edgegraph.results.timing import InputOverlap, best_throughput
from tests.measure.apart import FEW, compiled, train_step
from tests.measure.fake_clock import FakeClock


class Machine:
    """Takes `dispatch_s` of the caller to start a call, which then takes `run_s` of a worker."""

    def __init__(self, dispatch_s: float, run_s: float, workers: int = 1) -> None:
        self.clock = FakeClock()
        self.dispatch_ns, self.run_ns = round(dispatch_s * 1e9), round(run_s * 1e9)
        self.free_ns = [0] * workers
        self.done_ns: list[int] = []
        self.most_in_flight = 0

    def enqueue(self) -> int:
        self.clock.now += self.dispatch_ns
        started = max(self.clock.now, heapq.heappop(self.free_ns))
        done = started + self.run_ns
        heapq.heappush(self.free_ns, done)
        self.done_ns.append(done)
        self.most_in_flight = max(self.most_in_flight, self._in_flight())
        return done

    def wait(self, done: int) -> None:
        self.clock.now = max(self.clock.now, done)

    def _in_flight(self) -> int:
        return sum(done > self.clock.now for done in self.done_ns[-64:])


@pytest.mark.parametrize(("queue_depth", "elapsed_s"), [(1, 10 * 1.2), (2, 0.2 + 10.0)])
def test_a_queue_hides_dispatch(queue_depth: int, elapsed_s: float) -> None:
    """Ten calls of 1 s that take 0.2 s to start: one by one, or started while others run."""
    machine = Machine(0.2, 1.0)
    run_window(machine.enqueue, machine.wait, queue_depth=queue_depth, calls=10)
    assert machine.clock.now == pytest.approx(elapsed_s * 1e9)


@pytest.mark.parametrize("queue_depth", [1, 3, 8])
def test_no_more_calls_are_in_flight_than_the_queue_is_deep(queue_depth: int) -> None:
    machine = Machine(1e-6, 1.0)
    run_window(machine.enqueue, machine.wait, queue_depth=queue_depth, calls=20)
    assert machine.most_in_flight == queue_depth
    assert max(machine.done_ns) == machine.clock.now  # all are done at the end


def test_throughput_by_queue_depth() -> None:
    """At depth 1 a call takes 1.25 ms; at 2 the two workers share what one takes 1 ms for."""
    machine = Machine(0.25e-3, 1e-3, workers=2)
    found = time_windows(
        machine.enqueue,
        machine.wait,
        QUEUE_DEPTHS,
        batch=8,
        settings=MeasurementSettings(),
        clock=machine.clock,
    )
    assert [one.queue_depth for one in found] == list(QUEUE_DEPTHS)
    for one in found:
        assert one.calls_per_s == pytest.approx(one.calls / one.wall_s)
        assert one.samples_per_s == pytest.approx(8 * one.calls_per_s)
        assert one.wall_s / one.windows >= 0.02
        assert one.windows >= 12
        assert one.calls % one.windows == 0
        assert (one.verdict, one.reasons, one.others_share) == ("OK", (), None)
    assert found[0].calls_per_s == pytest.approx(1 / 1.25e-3)
    # Two in flight: each worker starts one call every 1.25 ms, half of them in between.
    assert found[1].calls_per_s == pytest.approx(2 / 1.25e-3, rel=0.05)
    assert found[2].calls_per_s == pytest.approx(2 / 1e-3, rel=0.05)
    assert best_throughput(tuple(found)) in found[2:]


def test_a_machine_that_slows_down_is_noisy() -> None:
    machine = Machine(0.0, 1e-3)

    def slower() -> int:
        machine.run_ns += 1_000
        return machine.enqueue()

    found = time_windows(
        slower, machine.wait, (1,), batch=None, settings=MeasurementSettings(), clock=machine.clock
    )
    assert found[0].samples_per_s == found[0].calls_per_s
    assert found[0].verdict != "OK"
    assert any("slower than the first" in reason for reason in found[0].reasons)


def test_depths_that_do_not_fit_are_left_out() -> None:
    machine = Machine(0.0, 0.2)
    found = time_windows(
        machine.enqueue,
        machine.wait,
        QUEUE_DEPTHS,
        batch=1,
        settings=MeasurementSettings(limit_s=15.0),
        clock=machine.clock,
    )
    # 8 windows of twice the depth: 3.2 s at depth 1, 9.6 s with 2, 22.4 s with 4.
    assert [one.queue_depth for one in found] == [1, 2]
    probe_s = first_windows_s = (2 + 4) * 0.2
    assert machine.clock.now / 1e9 <= probe_s + first_windows_s + 15.0 + 4 * 0.2
    assert fitting_depths((4, 8), 100.0, 1.0) == (4,)  # one stays in any case


@pytest.mark.parametrize("depths", [(), (0,), (1.5,), (True,)])
def test_depths_are_whole_numbers(depths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="positive integer"):
        measure_throughput(train_step(), queue_depths=depths)


def test_a_train_step_whose_state_is_consumed() -> None:
    messages: list[str] = []
    one, two = measure_throughput(
        train_step(),
        queue_depths=(4, 1),
        settings=FEW,
        progress=lambda message, _: messages.append(message),
    )
    assert (one.queue_depth, two.queue_depth) == (1, 4)
    assert one.cores == len(host.usable_cores())
    assert one.calls > one.windows > 0
    assert one.batch is None
    assert "timing" in messages[-1]


def test_a_state_and_nothing_else() -> None:
    import jax.numpy as jnp

    program = compiled(lambda state: state * 0.5, jnp.ones(64), donate=(0,))
    (found,) = measure_throughput(program, queue_depths=(8,), cores=1, settings=FEW)
    assert found.cores == 1
    assert found.calls_per_s > 0


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
