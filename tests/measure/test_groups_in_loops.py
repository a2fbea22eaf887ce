"""Groups of functions with loops and branches of all kinds, and of any interleaving of scopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from edgegraph.measure.groups import cut
from edgegraph.measure.regions import find_regions
from tests.measure.test_groups import DEPTHS, check_cover, check_replay, named_layer


def _gradient_through_nested_loops(x: Any) -> Any:
    def step(carry: Any, row: Any) -> tuple[Any, None]:
        turn = named_layer("turn", jnp.sin)
        return lax.fori_loop(0, 3, lambda _, v: turn(v) * row.sum(), carry), None

    return jax.grad(lambda x: lax.scan(step, x[0], x)[0].sum())(x)


def _shared_body(x: Any) -> Any:
    scan = jax.jit(
        lambda y: lax.scan(lambda c, r: (named_layer("g", jnp.sin)(c) + r, c), y[0], y)[1]
    )
    return scan(scan(x))


def _choices(x: Any) -> Any:
    branches = [named_layer("a", jnp.sin), named_layer("b", jnp.cos), lambda v: v * 2]
    return lax.map(lambda row: lax.switch(jnp.int32(row.sum() > 0) + 1, branches, row), x)


def _with_effects(x: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        jax.debug.callback(lambda _: None, carry.sum())
        return named_layer("a", jnp.sin)(carry) + row, named_layer("b", jnp.cos)(row)

    return lax.scan(step, x[0], x)


def _stacks_constants(x: Any) -> Any:
    return lax.scan(lambda _, row: (0.0, (named_layer("a", jnp.sin)(row), 1.0)), 1.0, x)


def _asks_in_branches(x: Any) -> Any:
    def goes_on(v: Any) -> Any:
        return lax.cond(v.sum() > 3, lambda u: named_layer("z", jnp.sum)(u) < 9, lambda _: True, v)

    return lax.while_loop(goes_on, lambda v: named_layer("t", jnp.exp)(v) + 1, x)


def _without_iterations(x: Any) -> Any:
    return lax.scan(
        lambda c, r: (named_layer("t", jnp.sin)(c), named_layer("u", jnp.cos)(r)), x[0], x[:0]
    )


@pytest.mark.slow
@pytest.mark.parametrize("depth", [None, 0])
@pytest.mark.parametrize(
    "function",
    [
        _gradient_through_nested_loops, _shared_body, _choices, _with_effects, _stacks_constants,
        _asks_in_branches, _without_iterations,
    ],
)  # fmt: skip
def test_loops_of_all_kinds(function: Callable[[Any], Any], depth: int | None) -> None:
    x = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
    regions = find_regions(jax.make_jaxpr(function)(x))
    groups = cut(regions, depth)
    check_cover(regions, groups)
    check_replay(regions, groups, [x], jax.tree.leaves(function(x)))


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "a/c", "b/c"]),
        st.sampled_from(["add", "mul", "tanh", "call", "scan", "while", "cond"]),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=12,
)


@jax.jit
def _call(x: Any, y: Any) -> Any:
    with jax.named_scope("inside"):
        return jnp.sin(x) + y


def _scan(x: Any, y: Any) -> Any:
    """Two scans, one in the other and backwards, that slice, carry and stack."""

    def step(carry: Any, row: Any) -> Any:
        with jax.named_scope("step"):
            carry = jnp.sin(carry) + row
        inner, rows = lax.scan(lambda c, r: (_call(c, r), c), carry.sum(), carry, reverse=True)
        return carry + inner, rows

    return lax.scan(step, x, jnp.stack([x, y, x]))[1].sum(0)


def _while(x: Any, y: Any) -> Any:
    """A loop that ends when its data says so, and may never begin."""

    def step(state: Any) -> Any:
        count, value = state
        with jax.named_scope("halve"):
            return count + 1, value / 2

    return lax.while_loop(lambda state: jnp.abs(state[1]).sum() > 0.4, step, (0, x * y))[1]


def _cond(x: Any, y: Any) -> Any:
    return lax.cond(x.sum() > 0, named_layer("then", jnp.sin), named_layer("else", jnp.cos), y)


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": jnp.add,
    "mul": jnp.multiply,
    "tanh": lambda x, _: jnp.tanh(x),
    "call": _call,
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(_STEPS, st.sampled_from(DEPTHS))
def test_any_interleaving_of_scopes_can_be_cut(
    steps: list[tuple[str, str, int, int]], depth: int | None
) -> None:
    def net(x: Any, y: Any) -> Any:
        values = [x, y]
        for scope, operation, first, second in steps:
            operands = values[first % len(values)], values[second % len(values)]
            if scope:
                with jax.named_scope(scope):
                    values.append(_OPERATIONS[operation](*operands))
            else:
                values.append(_OPERATIONS[operation](*operands))
        return values[-3:]

    arguments = [jnp.asarray([0.5, -1.0]), jnp.asarray([2.0, 0.1])]
    regions = find_regions(jax.make_jaxpr(net)(*arguments))
    groups = cut(regions, depth)
    check_cover(regions, groups)
    check_replay(regions, groups, arguments, net(*arguments))
