"""How often a program is called under the profiler; a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.errors import InputError
from edgegraph.hlo.graph import flatten
from edgegraph.measure.trace import fits, join_trace
from edgegraph.measure.trace.trace import Recording, events_per_call, keep, record
from tests.measure.fake_clock import FakeClock
from tests.measure.trace.profiles import STRAIGHT, Made, host, op


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
