"""How often a program is called under the profiler; a clock that the test moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.analyze import priced
from edgegraph.errors import EdgeGraphError, FormatError, InputError
from edgegraph.hlo.graph import flatten
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.trace import fits, join_trace, take_trace
from edgegraph.measure.trace.trace import Recording, events_per_call, keep, record
from edgegraph.results.op_trace import OpTrace
from tests import programs
from tests.analyses import DEVICE
from tests.measure.fake_clock import FakeClock
from tests.measure.trace.profiles import LOOP, STRAIGHT, Made, executor, host, op, space


def trace_program(program: eg.Program, **options: Any) -> OpTrace:
    return priced(program, take_trace(program, flatten(program.module), **options))


def recorded(
    monkeypatch: pytest.MonkeyPatch, call_s: float, *, steps: int | None = None, events: int = 10
) -> tuple[Recording, int]:
    """Record a call of this length; return what came of it, and how many calls were traced."""
    traced: list[int] = []
    clock = FakeClock()
    call = clock.call(call_s, 9.0)

    def profile(work: Callable[[], None], *, with_modules: bool) -> bytes:
        before = call()
        work()
        traced.append(call() - before - 1)
        return b"profile"

    monkeypatch.setattr(xla, "profile", profile)
    found = record(call, steps=steps, limit_s=10.0, events=events, clock=clock)
    return found, traced[0]


@pytest.mark.parametrize(
    ("call_s", "events", "calls"),
    [
        (0.1, 10, 10),  # as many as fit into a tenth of ten seconds
        (0.3, 10, 2 + 3),  # three that count in any case, behind two to warm up
        (0.001, 10, 2 + 50),  # and no more than fifty
        (0.001, 100_000, 10),  # nor more than a million events
    ],
)
def test_traced_calls(
    call_s: float, events: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, traced = recorded(monkeypatch, call_s, events=events)
    assert traced == calls
    assert found.untraced_s == pytest.approx(call_s)  # the slow first call is none of them
    assert found.xspace == b"profile"


def test_a_number_of_calls_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recorded(monkeypatch, 0.5, steps=7)[1] == 2 + 7
    with pytest.raises(InputError, match="about 200000 events per call; more than 1000000 in all"):
        recorded(monkeypatch, 0.1, events=200_000, steps=4)


def test_events_are_estimated_from_what_runs() -> None:
    """Three events for every op outside of fusions: a scan's body counts as often as it runs."""

    def program(length: int) -> eg.Program:
        def function(x: jax.Array) -> jax.Array:
            return jax.lax.scan(lambda c, _: (jnp.sort(c), None), x, length=length)[0]

        return eg.compile(function, jnp.ones(8))

    short, long = (
        events_per_call(made.module, flatten(made.module)) for made in (program(10), program(30))
    )
    assert (long - short) % (3 * 20) == 0
    assert long > short >= 3 * 10
    assert events_per_call(STRAIGHT.module, flatten(STRAIGHT.module)) == 3 * 4
    endless = program(100_000)
    assert not fits(endless.module, flatten(endless.module))


def test_a_profile_lies_where_tensorboard_looks(tmp_path: Path) -> None:
    path = keep(b"profile", tmp_path / "logs", "a net/1")
    assert path.read_bytes() == b"profile"
    assert path.name.endswith(".xplane.pb")
    plugins, profile, run, _ = path.relative_to(tmp_path / "logs").parts
    assert (plugins, profile) == ("plugins", "profile")
    assert run.startswith("a_net_1_2")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the folder"):
        keep(b"profile", tmp_path / "file", "net")


@pytest.mark.parametrize(("warm_up", "kept"), [(0, 3), (2, 1), (5, 1)])
def test_the_first_calls_are_dropped_but_not_the_last(warm_up: int, kept: int) -> None:
    events = [op("a", 100 * run, 10, run) for run in (1, 2, 3)]
    nodes = flatten(STRAIGHT.module)
    traced = join_trace(host(main=events), STRAIGHT, nodes, warm_up)
    assert (len(traced.runs), traced.warm_up) == (kept, 3 - kept)
    assert [span.run for _, span in traced.runs[-1].spans] == [("/host:CPU", 0, 3)]
    with pytest.raises(InputError, match="no op of module 'm' shows in the profile"):
        join_trace(host(main=[Made("other", 0, 5)]), STRAIGHT, nodes, 0)


UNFUSED = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_disable_hlo_passes": "fusion,cpu-instruction-fusion",
}


@pytest.fixture(scope="module")
def unfused() -> OpTrace:
    function, arguments = programs.small_cnn(8)
    return trace_program(eg.compile(function, *arguments, options=UNFUSED), steps=8)


def test_ops_cover_the_program(unfused: OpTrace) -> None:
    # Where the machine is busy, some calls have holes in which other processes ran.
    assert max(run.busy_s / run.span_s for run in unfused.runs) >= 0.9
    assert unfused.unmatched == {}
    assert {"convolution", "dot"} <= {timing.opcode for timing in unfused.timings}
    assert len(unfused.runs) == 8
    assert unfused.warm_up == 2


def test_ops_take_no_more_than_the_threads(unfused: OpTrace) -> None:
    for run in unfused.runs:
        assert run.busy_s <= run.ops_s * (1 + 1e-9)
        assert run.ops_s <= run.thread_s * (1 + 1e-9)
        assert run.thread_s <= run.threads * run.span_s * (1 + 1e-9)
        assert run.call_s is not None
        assert run.span_s <= run.call_s
    counted = [run.ops_s for run in unfused.runs if run.counted]
    shown_s = sum(each.raw_self_s or 0.0 for each in unfused.timings)
    assert math.isclose(shown_s, sum(counted) / len(counted), rel_tol=1e-9)
    assert 0 < unfused.time_s <= shown_s
    assert unfused.event_s is not None
    assert shown_s - unfused.time_s <= unfused.event_s * sum(
        each.executions or 0 for each in unfused.timings
    ) * (1 + 1e-9)


def test_every_op_ran_once(unfused: OpTrace) -> None:
    assert {timing.executions for timing in unfused.timings} == {1}


def loop(x: jax.Array, last: jax.Array) -> jax.Array:
    """Sort in a loop of three trips, in a loop whose end depends on the data."""

    def step(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        value, number = carry
        body = lambda _, v: jnp.sort(jnp.tanh(v @ v))  # noqa: E731
        return jax.lax.fori_loop(0, 3, body, value), number + 1

    return jax.lax.while_loop(lambda carry: carry[1] < last, step, (x, jnp.int32(0)))[0]


@pytest.fixture(scope="module")
def looped() -> eg.Analysis:
    arguments = (jnp.ones((16, 16)) / 16, jnp.int32(5))
    return eg.analyze(
        loop, args=arguments, trace=True, settings=MeasurementSettings.quick(), device=DEVICE
    )


def test_a_loop_of_unknown_length_is_counted(looped: eg.Analysis) -> None:
    assert looped.op_trace is not None
    outer, inner = sorted(looped.op_trace.loops, key=lambda found: found.trips or 0)
    assert (outer.trips, outer.entered, outer.iterations, outer.checked) == (None, 1, 5, 6)
    assert (inner.trips, inner.entered, inner.iterations, inner.expected) == (3, 5, 15, None)


def test_its_costs_hold_for_the_traced_arguments(looped: eg.Analysis) -> None:
    """15 products of 16x16 by 16x16."""
    assert looped.totals.macs == 15 * 16**3
    assert not looped.totals.lower_bound
    assert looped.unpriced == {}
    (product,) = [record for record in looped.op_records if record.macs and record.opcode == "dot"]
    assert (product.executions, product.executions_source) == (15, "trace")
    without = eg.analyze(loop, args=(jnp.ones((16, 16)), jnp.int32(5)), device=DEVICE)
    assert without.totals.macs == 3 * 16**3
    assert without.totals.lower_bound


def test_layers_add_up_to_the_traced_whole(tmp_path: Path) -> None:
    function, arguments = programs.small_cnn(8)
    analysis = eg.analyze(
        function, args=arguments, trace=True, settings=MeasurementSettings.quick(), device=DEVICE
    )
    trace, whole = analysis.op_trace, analysis.totals.traced_time_s
    assert trace is not None
    assert whole == trace.time_s
    leaves = analysis.layers[analysis.layers["leaf"]]
    assert math.isclose(leaves["traced_time_s"].sum(), whole, rel_tol=1e-9)
    top = analysis.ops[analysis.ops["parent"].isna()]
    assert math.isclose(top["time_s"].sum(), whole, rel_tol=1e-9)
    inside = analysis.ops[analysis.ops["parent"].notna()]
    assert set(inside["time_source"]) <= {"measured", "split by roofline"}
    assert eg.load(analysis.save(tmp_path / "a.edgegraph")) == analysis


def test_a_kept_trace_reads_as_the_one_taken(tmp_path: Path) -> None:
    program = eg.compile(lambda x: jnp.sort(x @ x), jnp.ones((32, 32)))
    taken = trace_program(program, steps=3, trace_dir=tmp_path)
    (file,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")
    read = eg.read_trace(file, program, warm_up=2)
    assert taken.kept_at == str(tmp_path)
    # What tracing took is known where the calls without it are.
    assert {each.name: each.self_s for each in read.timings} == {
        each.name: each.raw_self_s for each in taken.timings
    }
    assert read.event_s is None
    assert read.traced_ratio is None
    assert taken.traced_ratio is not None
    analysis = eg.analyze(program, trace=read, device=DEVICE)
    assert analysis.totals.traced_time_s == read.time_s


def test_a_donated_argument_is_fed_back() -> None:
    step = jax.jit(lambda x: x * 2, donate_argnums=0)
    assert len(trace_program(eg.compile(step, jnp.ones(64)), steps=4).runs) == 4


def test_another_profiler_is_named() -> None:
    program = eg.compile(jnp.sin, jnp.ones(8))
    with pytest.raises(EdgeGraphError, match="Another profiling session active"):
        xla.profile(lambda: print(trace_program(program)), with_modules=False)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"warm_up": 0}])
def test_numbers_without_meaning_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="both must be positive integers"):
        trace_program(eg.compile(jnp.sin, jnp.ones(8)), **wrong)


def test_a_loop_too_long_to_trace_is_left_out() -> None:
    program = eg.compile(
        lambda x: jax.lax.fori_loop(0, 10**7, lambda _, v: jnp.sin(v), x), jnp.ones(4)
    )
    with pytest.raises(InputError, match="events per call"):
        trace_program(program)


def test_a_trace_folder_without_a_trace_is_refused() -> None:
    with pytest.raises(InputError, match="none is taken"):
        eg.analyze(jnp.sin, args=(jnp.ones(8),), trace_dir="logs")


def test_what_cannot_run_cannot_be_traced() -> None:
    with pytest.raises(InputError, match="no executable"):
        eg.analyze(STRAIGHT, trace=True)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_trace_from_elsewhere(tmp_path: Path) -> None:
    """Three calls on each of two TPUs; the first of each is dropped."""
    calls = [Made("m(7)", start, 40) for start in (0, 100, 200)]
    ops = [
        Made(f"%{name} = f32[8] op(...)", start + offset, length, display_name=name)
        for start, length in ((0, 9), (100, 4), (200, 6))
        for offset, name in ((0, "a"), (10, "b"), (20, "c"))
    ]
    lines = {"XLA Modules": calls, "XLA Ops": ops}
    profile = space({"/device:TPU:0": lines, "/device:TPU:1": lines})
    trace = eg.read_trace(written(tmp_path / "t.xplane.pb", profile), STRAIGHT)
    assert (len(trace.runs), trace.warm_up) == (4, 2)
    assert {timing.name: timing.self_s for timing in trace.timings} == {
        name: pytest.approx(5e-9) for name in "abc"
    }
    assert trace.coverage == pytest.approx((12 / 24 + 18 / 26) / 2)
    analysis = eg.analyze(STRAIGHT, trace=trace, device=DEVICE)
    assert [record.time_source for record in analysis.op_records] == ["measured"] * 4


def test_a_loop_in_a_trace_from_elsewhere(tmp_path: Path) -> None:
    """The loop runs twice: its condition three times."""
    events = [op("loop", 0, 100), executor(1, 98)]
    events += [op("check", start, 5) for start in (2, 22, 42)]
    events += [op("work", start, 10) for start in (10, 30)]
    trace = eg.read_trace(written(tmp_path / "t.pb", host(main=events)), LOOP)
    (found,) = trace.loops
    assert (found.iterations, found.checked, found.agrees) == (2, 3, None)
    analysis = eg.analyze(LOOP, trace=trace)
    by_name = {record.name: record.executions for record in analysis.op_records}
    assert (by_name["work"], by_name["check"]) == (2, 3)


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"no profile", FormatError, "not a profile"),
        (b"", FormatError, "empty"),
        (host(main=[op("a", 0, 1) for _ in ()]), InputError, "modules in it: none"),
        (
            host(main=[Made("z", 0, 5, {"hlo_op": "z", "hlo_module": "jit_g"})]),
            InputError,
            "no op of module 'm' shows in the profile; modules in it: jit_g",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(
    content: bytes, error: type[Exception], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=reason) as caught:
        eg.read_trace(written(tmp_path / "t.pb", content), STRAIGHT)
    assert "\n" not in str(caught.value)


def test_a_trace_of_another_module_is_refused() -> None:
    trace = trace_program(eg.compile(jnp.sin, jnp.ones(8)), steps=1)
    with pytest.raises(InputError, match="the trace is of module 'jit_sin'"):
        eg.analyze(STRAIGHT, trace=trace)
