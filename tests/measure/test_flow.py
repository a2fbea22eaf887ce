"""What is seen inside loops is what really flows there first, and runs are counted."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edgegraph.measure.flow import run_watched
from edgegraph.measure.regions import Region, Regions, find_regions, scan_parts


def traced(function: Any, *arguments: Any) -> Regions:
    return find_regions(jax.make_jaxpr(function)(*arguments))


def executions(function: Any, *arguments: Any) -> list[tuple[str, int]]:
    """Return every region's name and how often it ran, from the outside in."""
    regions = traced(function, *arguments)
    every = list(regions.root.walk())
    flow = run_watched(regions, [], every, jax.tree.leaves(arguments))
    return [(region.name, flow.executions[region]) for region in every]


def grid(x: Any) -> Any:
    """Scan 2 rows of 3, backwards inside."""

    def row(carry: Any, values: Any) -> Any:
        return lax.scan(lambda c, v: (c + v, c * 10), carry, values, reverse=True)

    return lax.scan(row, 1.0, x)


GRID = jnp.arange(6.0).reshape(2, 3)


def test_trip_counts_multiply() -> None:
    assert executions(grid, GRID) == [("", 1), ("scan of 2", 2), ("scan of 2/scan of 3", 6)]


def test_the_values_are_those_of_the_first_iteration() -> None:
    regions = traced(grid, GRID)
    _, outer, inner = regions.root.walk()
    flow = run_watched(regions, [*outer.jaxpr.invars, *inner.jaxpr.invars], [], [GRID])
    seen = [flow.values[v].tolist() for v in (*outer.jaxpr.invars, *inner.jaxpr.invars)]
    # The inner scan begins at the end: with the first row's last value.
    assert seen == [1.0, [0.0, 1.0, 2.0], 1.0, 2.0]


def test_what_an_iteration_computes_can_be_seen_too() -> None:
    regions = traced(grid, GRID)
    inner = list(regions.root.walk())[-1]
    added = next(e.outvars[0] for e in inner.jaxpr.eqns if e.primitive.name == "add")
    flow = run_watched(regions, [added], [], [GRID])
    assert float(flow.values[added]) == 3.0


def halving(x: Any) -> Any:
    return lax.while_loop(lambda v: v > 1.0, lambda v: v / 2, x)


def test_trips_that_depend_on_data_are_counted() -> None:
    # 20, 10, 5, 2.5, 1.25, 0.625: five times; the condition is asked once more.
    assert executions(halving, 20.0) == [("", 1), ("condition", 6), ("while", 5)]
    assert executions(halving, 0.5) == [("", 1), ("condition", 1), ("while", 0)]


def test_trips_that_differ_from_one_iteration_to_the_next_are_summed() -> None:
    def run(x: Any) -> Any:
        return lax.map(halving, x)

    counts = executions(run, jnp.asarray([20.0, 0.5, 4.0]))
    assert counts == [
        ("", 1),
        ("scan of 3", 3),
        ("scan of 3/condition", 6 + 1 + 3),
        ("scan of 3/while", 5 + 0 + 2),
    ]


def test_a_loop_that_first_runs_late_is_seen_then() -> None:
    regions = traced(lambda x: lax.map(halving, x), jnp.asarray([0.5, 20.0, 4.0]))
    body = list(regions.root.walk())[-1]
    flow = run_watched(regions, body.jaxpr.invars, [], [jnp.asarray([0.5, 20.0, 4.0])])
    assert [float(flow.values[v]) for v in body.jaxpr.invars] == [20.0]


def test_of_branches_those_taken_are_seen() -> None:
    def run(x: Any) -> Any:
        return lax.map(lambda v: lax.cond(v > 1.0, jnp.sin, jnp.cos, v), x)

    x = jnp.asarray([0.5, 3.0, 0.25])
    regions = traced(run, x)
    below, above = [r for r in regions.root.walk() if r.kind == "branch"]
    assert executions(run, x)[2:] == [("scan of 3/branch 0", 2), ("scan of 3/branch 1", 1)]
    wanted = [*below.jaxpr.invars, *above.jaxpr.invars]
    flow = run_watched(regions, wanted, [], [x])
    assert [float(flow.values[v]) for v in wanted] == [0.5, 3.0]


def test_a_branch_never_taken_has_no_values() -> None:
    regions = traced(lambda v: lax.cond(v > 1.0, jnp.sin, jnp.cos, v), 0.5)
    _, above = [r for r in regions.root.walk() if r.kind == "branch"]
    flow = run_watched(regions, above.jaxpr.invars, [above], [0.5])
    assert (flow.executions[above], flow.values) == (0, {})


def test_what_stands_in_the_program_is_counted_without_running_it() -> None:
    regions = traced(grid, GRID)
    flow = run_watched(regions, [], [], [GRID])
    assert sorted(flow.executions.values()) == [1, 2, 6]


def test_keys_and_integers_flow_too() -> None:
    def run(key: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            key, count = carry
            key, now = jax.random.split(key)
            return (key, count + 1), jax.random.bits(now, (), jnp.uint8)

        return lax.scan(step, (key, jnp.asarray(0, jnp.int8)), None, length=2)[1]

    key = jax.random.key(3)
    regions = traced(run, key)
    body: Region = list(regions.root.walk())[1]
    flow = run_watched(regions, body.jaxpr.invars, [], [key])
    first, count = (flow.values[v] for v in body.jaxpr.invars)
    np.testing.assert_array_equal(jax.random.key_data(first), jax.random.key_data(key))
    assert (int(count), count.dtype) == (0, jnp.int8)


def test_the_parts_of_a_scan() -> None:
    def run(weight: Any, x: Any) -> Any:
        return lax.scan(lambda carry, row: (carry + row * weight, carry), 0.0, x)

    regions = traced(run, 2.0, jnp.arange(4.0))
    (scan,) = [e for e in regions.root.jaxpr.eqns if e.primitive.name == "scan"]
    parts = scan_parts(scan, list(regions.root.walk())[1].jaxpr)
    assert (parts.constants, parts.carries) == (1, 1)
    assert [v.aval.shape for v in (*parts.scanned, *parts.rows)] == [(4,), ()]
    assert [v.aval.shape for v in (*parts.stacked, *parts.made)] == [(4,), ()]
