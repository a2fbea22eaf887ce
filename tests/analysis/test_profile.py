"""What runs in a block, wherever it is called."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.errors import EdgeGraphError


def test_all_programs_in_the_block_are_there() -> None:
    product = jax.jit(lambda x: jnp.sort(x @ x))
    x = jnp.ones((16, 16))
    product(x).block_until_ready()
    with eg.profile() as p:
        for _ in range(3):
            y = product(x)
        jnp.sin(y)
        with pytest.raises(EdgeGraphError, match="still being taken"):
            _ = p.modules
    calls = dict(zip(p.modules["module"], p.modules["calls"], strict=True))
    assert calls == {"jit__lambda": 3, "jit_sin": 1}
    assert p.modules["share"].sum() == pytest.approx(1)
    analysis = p.analyses["jit__lambda"]
    assert (analysis.workload, analysis.totals.macs) == ("jit__lambda", 16**3)
    assert analysis.op_trace is not None
    assert (analysis.op_trace.calls, analysis.op_trace.warm_up) == (2, 1)
    ops = p.ops[p.ops["module"] == "jit__lambda"]
    assert ops["self_s"].sum() == pytest.approx(analysis.op_trace.time_s)
    assert ops["share"].sum() == pytest.approx(1)
    assert set(p.ops["module"]) == set(calls)


def test_two_profiles_at_once_are_refused() -> None:
    with (
        pytest.raises(EdgeGraphError, match="Another profiling session"),
        eg.profile(),
        eg.profile(),
    ):
        pass


def test_nothing_that_runs_is_no_error() -> None:
    with eg.profile() as p:
        pass
    assert (len(p.modules), len(p.ops), p.analyses) == (0, 0, {})
