"""What is timed of a layer stands in the row that its FLOPs stand in."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import edgegraph as eg
from edgegraph.analysis.equations import place_equations
from edgegraph.measure.regions import find_regions
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.analysis import Analysis


def array(*shape: int, dtype: str = "float32") -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def rows(analysis: Analysis) -> set[tuple[str, str]]:
    """Return layer and phase of the rows that compute something, without what holds others."""
    leaves = analysis.layers[analysis.layers.leaf & (analysis.layers.flops > 0)]
    names = leaves.layer.str.removesuffix("/(own)")
    return set(zip(names, leaves.phase, strict=True))


def placed(function: Any, *args: Any) -> set[tuple[str, str]]:
    jaxpr = jax.make_jaxpr(function)(*args)
    names = jax.jit(function).trace(*args).jaxpr.jaxpr.debug_info.arg_names
    found = place_equations(find_regions(jaxpr), names)
    return {(layer or "(unattributed)", phase) for layer, phase in found.values()}


OPTIMIZER = optax.adam(1e-2)
WEIGHTS = {"a": {"w": array(16, 32)}, "b": {"w": array(32, 4)}}
STATE = jax.eval_shape(OPTIMIZER.init, WEIGHTS)


def step(params: Any, state: Any, x: Any, y: Any) -> Any:
    """Descend, with nothing in a scope of its own but one layer."""

    def loss(params: Any) -> jax.Array:
        hidden = jnp.tanh(x @ params["a"]["w"])
        return jnp.mean((hidden @ params["b"]["w"] - y) ** 2)

    value, gradients = jax.value_and_grad(loss)(params)
    updates, state = OPTIMIZER.update(gradients, state, params)
    return optax.apply_updates(params, updates), state, value


BATCH = array(8, 16), array(8, 4)


def scanned(params: Any, state: Any, x: Any, y: Any) -> Any:
    """Take a step for each of several batches, in a loop."""

    def one(carry: Any, batch: Any) -> Any:
        *carry, value = step(*carry, *batch)
        return tuple(carry), value

    return jax.lax.scan(one, (params, state), (x, y))


def test_a_step_has_the_same_rows_for_flops_and_for_time() -> None:
    args = (WEIGHTS, STATE, *BATCH)
    found = placed(step, *args)
    assert rows(eg.analyze(step, args=args, stage="lowered")) == found
    assert {("optimizer", "update"), ("loss", "backward"), ("a", "forward")} < found


def test_a_step_in_a_loop_has_the_same_rows() -> None:
    args = (WEIGHTS, STATE, array(3, 8, 16), array(3, 8, 4))
    found = placed(scanned, *args) - {("(unattributed)", "forward")}  # what counts the turns
    lowered = rows(eg.analyze(scanned, args=args, stage="lowered"))
    assert lowered - {("(unattributed)", "forward")} == found


def test_loops_of_unknown_length_branches_and_literals() -> None:
    def function(p: Any, x: Any, flag: Any) -> Any:
        def more(state: Any) -> Any:
            return jnp.sum(state[1]) < 1e3

        def turn(state: Any) -> Any:
            count, x = state
            return count + 1, jnp.tanh(x @ p["loop"]["w"])

        count, x = jax.lax.while_loop(more, turn, (0, x))
        with jax.named_scope("last"):
            x = jax.lax.cond(flag, lambda x: x @ p["branch"]["w"], lambda x: jnp.zeros((8, 16)), x)
        return x * count

    p = {"loop": {"w": array(16, 16)}, "branch": {"w": array(16, 16)}}
    args = (p, array(8, 16), array(dtype="bool"))
    assert placed(function, *args) >= {("last", "forward")}
    # With a layer of its own, weights tell nothing.
    assert rows(eg.analyze(function, args=args, stage="lowered")) >= {("last", "forward")}

    def without_scopes(p: Any, x: Any, flag: Any) -> Any:
        return jax.lax.cond(flag, lambda x: x @ p["a"]["w"], lambda x: x @ p["b"]["w"], x)

    p = {"a": {"w": array(16, 16)}, "b": {"w": array(16, 16)}}
    args = (p, array(8, 16), array(dtype="bool"))
    expected = {("a", "forward"), ("b", "forward")}
    assert expected <= placed(without_scopes, *args)


@pytest.mark.filterwarnings("ignore:times include")
def test_every_row_that_computes_is_timed() -> None:
    settings = MeasurementSettings(warm_up_s=0.0, minimum_samples=6, minimum_s=0.0)
    args = (WEIGHTS, STATE, *BATCH)
    analysis = eg.analyze(step, args=args, measure=True, trace=False, settings=settings)
    leaves = analysis.layers[analysis.layers.leaf & (analysis.layers.flops > 0)]
    assert set(leaves.time_source) == {"measured"}
    timed = {(each.layer, each.phase) for each in analysis.layer_latencies}
    assert rows(analysis) <= timed
