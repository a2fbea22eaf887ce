"""Trip counts, held against Python's own count and against unrolled programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from edgegraph import xla
from edgegraph.cost.cost import known_sum
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.cost.trip_counts import trip_counts, with_given
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten

X = jax.ShapeDtypeStruct((4, 64), jnp.float32)
N = jax.ShapeDtypeStruct((), jnp.int32)


def weights(*sizes: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((*sizes, 64, 64), jnp.float32)


def layer(x: Any, w: Any) -> Any:
    return jnp.tanh(x @ w)


def scan(x: Any, w: Any, **options: Any) -> Any:
    return lax.scan(lambda carry, one: (layer(carry, one), None), x, w, **options)[0]


def count_down(x: Any) -> Any:
    return lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1] * 2), (10, x))


def count_down_by_three(x: Any) -> Any:
    return lax.while_loop(lambda s: s[0] >= 0, lambda s: (s[0] - 3, s[1] * 2), (10, x))


def until_equal(x: Any) -> Any:
    start: tuple[Any, Any] = (0, x)
    return lax.while_loop(lambda s: s[0] != 12, lambda s: (s[0] + 4, s[1] * 2), start)


def two_counters(x: Any) -> Any:
    start = (0, x, 9)
    return lax.while_loop(lambda s: s[0] < s[2], lambda s: (s[0] + 1, s[1] * 2, s[2] - 1), start)


def bound_in_state(x: Any) -> Any:
    start = (0, x, 9)
    return lax.while_loop(lambda s: s[0] < s[2], lambda s: (s[0] + 1, s[1] * 2, s[2]), start)


def nested(x: Any) -> Any:
    def inner(_: Any, v: Any) -> Any:
        return lax.fori_loop(0, 4, lambda j, u: u * 1.1 + j, v)

    return lax.fori_loop(0, 3, inner, x)


def nested_scan(x: Any, w: Any) -> Any:
    return lax.scan(lambda carry, several: (scan(carry, several), None), x, w)[0]


def bound_handed_in(x: Any) -> Any:
    inner = jax.jit(lambda v, n: lax.fori_loop(0, n, lambda i, u: u * 1.5, v))
    return inner(x, 6)


def triangular(x: Any) -> Any:
    def inner(i: Any, v: Any) -> Any:
        return lax.fori_loop(0, i, lambda j, u: u * 1.1 + j, v)

    return lax.fori_loop(0, 3, inner, x)


PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...], list[int | None]]] = [
    (scan, (X, weights(5)), [5]),
    (lambda x, w: scan(x, w, reverse=True), (X, weights(5)), [5]),
    (lambda x, w: scan(x, w, unroll=2), (X, weights(7)), [3]),
    (jax.grad(lambda x, w: scan(x, w).sum()), (X, weights(5)), [5, 5]),
    (lambda x: lax.fori_loop(3, 10, lambda i, v: v * 1.5 + i, x), (X,), [7]),
    (lambda x, n: lax.fori_loop(0, n, lambda i, v: v * 1.5, x), (X, N), [None]),
    (count_down, (X,), [10]),
    (count_down_by_three, (X,), [4]),
    (until_equal, (X,), [3]),
    (two_counters, (X,), [5]),
    (bound_in_state, (X,), [9]),
    (bound_handed_in, (X,), [6]),
    (nested, (X,), [3, 4]),
    (nested_scan, (X, weights(3, 5)), [3, 5]),
    (triangular, (X,), [3, None]),
    (lambda x: lax.while_loop(lambda v: v.sum() < 100, lambda v: v * 1.5, x), (X,), [None]),
]


def modules(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bytes, bytes]:
    lowered = jax.jit(function).lower(*arguments)
    return xla.lowered_module(lowered), xla.compiled_module(lowered.compile())


@pytest.mark.parametrize(("function", "arguments", "expected"), PROGRAMS)
def test_loops_of_real_programs(
    function: Callable[..., Any], arguments: tuple[Any, ...], expected: list[int | None]
) -> None:
    for module in modules(function, arguments):
        found = trip_counts(decode(module)).values()
        assert sorted(found, key=str) == sorted(expected, key=str)


def priced(serialized: bytes) -> dict[str, OpCost]:
    module = decode(serialized)
    nodes = flatten(module)
    costs = price_nodes(module, nodes)
    return {node.name: costs[node.name] for node in nodes if node.parent is None}


def total(serialized: bytes, figure: str) -> int:
    return known_sum(getattr(op.cost, figure) for op in priced(serialized).values())


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_costs_what_its_unrolled_layers_cost(reverse: bool) -> None:
    def unrolled(x: Any, w: Any) -> Any:
        for number in range(6):
            x = layer(x, w[number])
        return x

    looped = modules(lambda x, w: scan(x, w, reverse=reverse), (X, weights(6)))
    flat = modules(unrolled, (X, weights(6)))
    for stage in (0, 1):
        assert total(looped[stage], "macs") == 6 * 4 * 64 * 64
        for figure in ("macs", "transcendentals"):
            assert total(looped[stage], figure) == total(flat[stage], figure)
        # The loop's own counter and bounds come on top.
        assert total(looped[stage], "flops") == pytest.approx(total(flat[stage], "flops"), rel=0.01)


def test_nested_loops_multiply() -> None:
    for module in modules(nested_scan, (X, weights(3, 5))):
        assert total(module, "macs") == 3 * 5 * 4 * 64 * 64


def test_the_condition_runs_once_more_than_the_body() -> None:
    lowered, _ = modules(count_down, (X,))
    module = decode(lowered)
    nodes = flatten(module)
    costs = price_nodes(module, nodes)
    runs = {node.instruction.opcode: costs[node.name].executions for node in nodes if node.parent}
    assert (runs["multiply"], runs["compare"]) == (10, 11)


def test_a_loop_of_unknown_length_counts_once_and_says_so() -> None:
    lowered, _ = modules(lambda x, n: lax.fori_loop(0, n, lambda i, v: v @ v, x), (weights(), N))
    loops = [op for op in priced(lowered).values() if op.unpriced]
    assert [op.cost.macs for op in loops] == [64 * 64 * 64]
    assert "trip count" in (loops[0].unpriced or "")


def loop(dtype: str, start: int, step: int, end: int, direction: str, wrap: str = "") -> bytes:
    """Write a loop by hand; `wrap` puts the condition into a call or a fusion."""
    compare = f"""condition {{
      state = ({dtype}[], f32[8]) parameter(0)
      counter = {dtype}[] get-tuple-element(state), index=0
      end = {dtype}[] constant({end})
      ROOT goes_on = pred[] compare(counter, end), direction={direction}
    }}"""
    if wrap:
        kind = "call(counter, end), to_apply=" if wrap == "call" else "fusion(counter, end), "
        kind += "inner" if wrap == "call" else "kind=kLoop, calls=inner"
        compare = f"""inner {{
          left = {dtype}[] parameter(0)
          right = {dtype}[] parameter(1)
          ROOT result = pred[] compare(left, right), direction={direction}
        }}
        condition {{
          state = ({dtype}[], f32[8]) parameter(0)
          counter = {dtype}[] get-tuple-element(state), index=0
          end = {dtype}[] constant({end})
          ROOT goes_on = pred[] {kind}
        }}"""
    return xla.parse_text(f"""HloModule m
    {compare}
    body {{
      before = ({dtype}[], f32[8]) parameter(0)
      old = {dtype}[] get-tuple-element(before), index=0
      step = {dtype}[] constant({step})
      new = {dtype}[] add(old, step)
      x = f32[8] get-tuple-element(before), index=1
      y = f32[8] add(x, x)
      ROOT after = ({dtype}[], f32[8]) tuple(new, y)
    }}
    ENTRY e {{
      start = {dtype}[] constant({start})
      zeros = f32[8] parameter(0)
      initial = ({dtype}[], f32[8]) tuple(start, zeros)
      ROOT loop = ({dtype}[], f32[8]) while(initial), condition=condition, body=body
    }}""")


@pytest.mark.parametrize("wrap", ["call", "fusion"])
def test_a_wrapped_condition(wrap: str) -> None:
    assert trip_counts(decode(loop("s32", 2, 3, 20, "LT", wrap))) == {"loop": 6}


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "LT": int.__lt__, "LE": int.__le__, "GT": int.__gt__, "GE": int.__ge__, "NE": int.__ne__,
    "EQ": int.__eq__,
}  # fmt: skip


def run(low: int, high: int, start: int, step: int, end: int, direction: str) -> int | None:
    """Count by running; None where the counter leaves its dtype's range, and so wraps around."""
    trips, counter = 0, start
    while COMPARE[direction](counter, end):
        counter += step
        trips += 1
        if not low <= counter <= high or step == 0:
            return None
    return trips


@given(
    start=st.integers(-128, 127),
    step=st.integers(-30, 30),
    end=st.integers(-128, 127),
    direction=st.sampled_from(sorted(COMPARE)),
)
def test_trips_are_those_of_a_run(start: int, step: int, end: int, direction: str) -> None:
    expected = run(-128, 127, start, step, end, direction)
    assert trip_counts(decode(loop("s8", start, step, end, direction))) == {"loop": expected}


def test_a_counter_that_wraps_around_is_not_understood() -> None:
    assert trip_counts(decode(loop("u8", 0, 100, 250, "LT"))) == {"loop": None}
    assert trip_counts(decode(loop("u8", 0, 1, 255, "LE"))) == {"loop": None}
    assert trip_counts(decode(loop("u8", 0, 1, 255, "LT"))) == {"loop": 255}


def test_values_that_rest_on_each_other_without_end_are_given_up() -> None:
    """Two operands each at every step are 2^100 ways back to the counter."""
    chain = "\n".join(f"v{i + 1} = s32[] add(v{i}, v{i})" for i in range(100))
    module = xla.parse_text(f"""HloModule m
    condition {{
      state = (s32[]) parameter(0)
      v0 = s32[] get-tuple-element(state), index=0
      {chain}
      end = s32[] constant(5)
      ROOT goes_on = pred[] compare(v100, end), direction=LT
    }}
    body {{
      ROOT before = (s32[]) parameter(0)
    }}
    ENTRY e {{
      start = s32[] constant(0)
      initial = (s32[]) tuple(start)
      ROOT loop = (s32[]) while(initial), condition=condition, body=body
    }}""")
    assert trip_counts(decode(module)) == {"loop": None}


def test_what_a_loop_without_iterations_holds_never_runs() -> None:
    """Not even where data decides how often the loop itself is reached."""

    def never(x: Any) -> Any:
        return lax.while_loop(lambda s: s[0] < 0, lambda s: (s[0] + 1, jnp.tanh(s[1])), (0, x))[1]

    lowered, _ = modules(lambda x: lax.cond(x.sum() > 0, never, lambda v: v, x), (X,))
    module = decode(lowered)
    nodes = flatten(module)
    costs = price_nodes(module, nodes)
    (inside,) = (node for node in nodes if node.instruction.opcode == "tanh")
    assert costs[inside.name].executions == 0
    assert costs[inside.name].cost.transcendentals == 0


def test_trips_that_are_given_are_taken_for_loops_of_unknown_length_only() -> None:
    counts = {"while.1": 12, "while.2": None}
    assert with_given(counts, {"while.2": 16}) == {"while.1": 12, "while.2": 16}
    for said, why in (
        ({"while.3": 1}, "'while.3': it is no loop.*unknown length: while.2$"),
        ({"while.1": 1}, "'while.1': it runs 12 times"),
        ({"while.2": -1}, "'while.2' must be how often"),
    ):
        with pytest.raises(InputError, match=why):
            with_given(counts, said)
