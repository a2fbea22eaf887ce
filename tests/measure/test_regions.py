"""Functions taken apart; what must come out can be read off their source."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from edgegraph.measure.regions import Regions, find_regions, scan_parts, struct_of

X = jnp.ones(4)


def regions(function: Any, *arguments: Any) -> Regions:
    return find_regions(jax.make_jaxpr(function)(*arguments))


def primitives(found: Regions) -> list[list[str]]:
    return [[e.primitive.name for e in region.jaxpr.eqns] for region in found.root.walk()]


def test_calls_are_inlined_and_what_nobody_needs_is_left_out() -> None:
    def function(x: Any) -> Any:
        jnp.cos(x)
        with jax.named_scope("layer"):
            return jax.jit(lambda y: jnp.sin(y) * 2.0)(x)

    found = regions(function, X)
    assert primitives(found) == [["sin", "mul"]]
    assert [path.split("/")[0] for path in found.root.paths] == ["layer", "layer"]
    assert found.root.paths[0].split("/")[1].startswith("jit(")


def test_loops_and_branches_are_regions_with_names() -> None:
    def step(carry: Any, row: Any) -> Any:
        return lax.cond(row > 0, jnp.sin, jnp.cos, carry), row

    def function(x: Any) -> Any:
        x, _ = lax.scan(step, x, jnp.arange(12.0))
        return lax.while_loop(lambda v: v.sum() < 9, lambda v: v + 1, x)

    found = [(region.kind, region.name) for region in regions(function, X).root.walk()]
    assert found == [
        ("function", ""),
        ("scan", "scan of 12"),
        ("branch", "scan of 12/branch 0"),
        ("branch", "scan of 12/branch 1"),
        ("condition", "condition"),
        ("while", "while"),
    ]


@pytest.mark.parametrize(("reverse", "first"), [(False, 0), (True, 4)])
def test_a_scan_begins_at_its_first_row_or_at_its_last(reverse: bool, first: int) -> None:
    def function(rows: Any) -> Any:
        return lax.scan(lambda c, row: (c + row, c), 0.0, rows, reverse=reverse)

    found = regions(function, jnp.ones(5))
    assert list(found.positions) == [first]
    assert int(found.constants[found.positions[first]]) == first


def test_a_loop_that_never_runs_stays_closed() -> None:
    found = regions(lambda x: lax.scan(lambda c, _: (c * 2, None), x, length=0)[0], X)
    assert [region.kind for region in found.root.walk()] == ["function"]


def test_constants_are_inputs_of_the_function() -> None:
    table = jnp.arange(4.0)
    found = regions(lambda x: x + table, X)
    assert len(found.root.jaxpr.invars) == 1 + len(found.constants)
    assert [value.tolist() for value in found.constants.values()] in ([], [[0.0, 1.0, 2.0, 3.0]])


def test_what_flows_into_a_scan_and_out_of_it() -> None:
    """One constant, one carry, one array of rows; one array is stacked."""

    def function(factor: Any, start: Any, rows: Any) -> Any:
        return lax.scan(lambda c, row: (c * factor + row, c[:2]), start, rows)

    found = regions(function, jnp.float32(2.0), X, jnp.ones((3, 4)))
    body = list(found.root.walk())[1]
    (scan,) = (e for e in found.root.jaxpr.eqns if e.primitive.name == "scan")
    parts = scan_parts(scan, body.jaxpr)
    assert (parts.constants, parts.carries) == (1, 1)
    shapes = [
        [struct_of(v).shape for v in each]
        for each in (parts.scanned, parts.rows, parts.stacked, parts.made)
    ]
    assert shapes == [[(3, 4)], [(4,)], [(3, 2)], [(2,)]]
