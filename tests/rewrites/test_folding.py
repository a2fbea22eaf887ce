from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import Array, lax

import edgegraph as eg
from edgegraph.rewrites.decisions import prepared_workload
from edgegraph.rewrites.folding import folded
from tests.programs import SAME_MODULE_SOONER
from tests.rewrites.plain import drawn
from tests.rewrites.test_all_rules import examples

X, W = drawn(2, 6, 6, 8), drawn(3, 3, 8, 8)
MEAN, FACTOR, BIAS = drawn(3, 8)
NHWC = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, w: Array, **params: Any) -> Array:
    params = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": NHWC} | params
    return jnp.asarray(lax.conv_general_dilated(x, w, **params))


def normalised(x: Array, mean: Array, factor: Array, bias: Array) -> Array:
    return (x - mean) * factor + bias


def equations(function: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return what still happens to arrays as large as the result, as XLA is given it."""
    jaxpr = jax.make_jaxpr(function)(*arguments)
    [result] = jaxpr.out_avals
    return [
        each.primitive.name
        for each in jaxpr.jaxpr.eqns
        if each.outvars[0].aval.shape == result.shape
    ]


def check(function: Callable[..., Any], weights: Any, x: Array, count: int = 1) -> None:
    found = folded(function, (weights, x), 1)
    assert found.count == count
    one, other = (
        np.asarray(jax.jit(each, compiler_options=SAME_MODULE_SOONER)(weights, x))
        for each in (function, found.function)
    )
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * np.abs(one).max())


OPERATIONS: dict[str, Callable[[Any, Any], Array]] = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide,
}  # fmt: skip

LAYOUTS = st.sampled_from([NHWC, ("NCHW", "OIHW", "NCHW"), ("HWNC", "IOHW", "NHCW")])


@examples(8)
@given(
    numbers=LAYOUTS,
    groups=st.sampled_from([1, 2, 4]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.sampled_from(["SAME", "VALID"]),
    steps=st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=1, max_size=5),
)
def test_convolutions_of_any_form(
    numbers: tuple[str, str, str], groups: int, stride: int, dilation: int, padding: str,
    steps: list[str],
) -> None:  # fmt: skip
    made = dict(zip("NHWC", (2, 7, 7, 4), strict=True))
    taken = dict(zip("HWIO", (3, 3, 4 // groups, 8), strict=True))
    x = drawn(*(made[each] for each in numbers[0]))
    w = drawn(*(taken[each] for each in numbers[1]))
    by_channel = [8 if each == "C" else 1 for each in numbers[2]]
    others = 1.0 + jnp.abs(drawn(len(steps), 8))

    def function(weights: tuple[Array, Array], x: Array) -> Array:
        w, numbers_of = weights
        found = conv(
            x, w, window_strides=(stride,) * 2, padding=padding, dimension_numbers=numbers,
            rhs_dilation=(dilation,) * 2, feature_group_count=groups,
        )  # fmt: skip
        for name, each in zip(steps, numbers_of, strict=True):
            found = OPERATIONS[name](found, each.reshape(by_channel))
        return found

    check(function, (w, others), x, count=int(bool({"mul", "div"} & {*steps})))


def test_a_batch_norm_becomes_one_addition() -> None:
    def function(weights: Any, x: Array) -> Array:
        w, *others = weights
        return normalised(conv(x, w), *others)

    weights = (W, MEAN, FACTOR, BIAS)
    check(function, weights, X)
    made = folded(function, (weights, X), 1).function
    assert equations(made, weights, X) == ["conv_general_dilated", "add"]


def test_dense_layers_and_factors_alone() -> None:
    w, x = W[0, 0], X[0, 0]
    check(lambda weights, x: normalised(x @ weights[0], *weights[1:]), (w, MEAN, FACTOR, BIAS), x)
    check(lambda weights, x: (x @ weights[0]) / 3.0, (w,), x)
    # A factor alone leaves no zero to add, which would turn -0 into 0.
    made = folded(lambda weights, x: (x @ weights[0]) * weights[1], ((w, FACTOR), x), 1).function
    assert equations(made, (w, FACTOR), x) == ["dot_general"]


def in_training(weights: Any, x: Array) -> Array:
    found = conv(x, weights[0])
    return jnp.asarray((found - found.mean((0, 1, 2))) * weights[1])


def twice(weights: Any, x: Array) -> Array:
    found = conv(x, weights[0])
    return jnp.asarray(found * weights[1] + jnp.tanh(found))


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(in_training, id="statistics of the data, as in training"),
        pytest.param(twice, id="what the product makes is used twice"),
        pytest.param(lambda weights, x: conv(x, weights[0]) + weights[1], id="a bias alone"),
        pytest.param(
            lambda weights, x: conv(x, weights[0]) * weights[2], id="a factor for every position"
        ),
        pytest.param(lambda weights, x: weights[1] - conv(x, weights[0]), id="taken from a number"),
        pytest.param(lambda weights, x: conv(x, x[:3, :3, :8, :]) * weights[1], id="no weights"),
        pytest.param(
            lambda weights, x: conv(x.astype("bfloat16"), weights[0].astype("bfloat16"))
            * weights[1].astype("bfloat16"),
            id="narrow weights, which would be rounded once more",
        ),
    ],
)  # fmt: skip
def test_what_is_left_alone(function: Callable[..., Any]) -> None:
    x = drawn(8, 6, 8, 8)
    weights = (W, FACTOR, jnp.ones((8, 6, 8, 8)))
    found = folded(function, (weights, x), 1)
    assert (found.count, found.function) == (0, function)


def test_what_is_not_finite_stays_so() -> None:
    factor = FACTOR.at[0].set(jnp.inf).at[1].set(jnp.nan)

    def function(weights: Any, x: Array) -> Array:
        return normalised(conv(x, weights[0]), *weights[1:])

    weights = (W, MEAN, factor, BIAS)
    made = folded(function, (weights, X), 1).function
    one, other = (np.asarray(each(weights, X)) for each in (function, made))
    np.testing.assert_array_equal(np.isfinite(other), np.isfinite(one))
    assert not np.isfinite(one[..., :2]).any()


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(4, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dense = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return jnp.asarray(self.dense(nnx.relu(self.norm(self.conv(x))).mean((1, 2))))


def test_a_model_is_folded_where_it_is_used_and_not_where_it_is_trained() -> None:
    workload = eg.Workload.from_flax(Net, (6, 6, 4))
    call = workload.call(2)
    assert folded(call.function, call.abstract, call.held).count == 1
    arguments = call.concrete()
    other = prepared_workload(workload, {}, fold=True).call(2)
    np.testing.assert_allclose(
        jax.jit(other.function)(*other.concrete()), jax.jit(call.function)(*arguments), atol=1e-5
    )
    # The folded kernel and what is left to add, and of the rest the weights themselves.
    assert sorted(each.shape for each in other.abstract[0]) == [
        (1, 1, 1, 8), (2,), (3, 3, 4, 8), (8, 2),
    ]  # fmt: skip
    before, after = (
        eg.analyze(each, batch=2, stage="lowered")
        for each in (workload, prepared_workload(workload, {}, fold=True))
    )
    assert after.totals.macs == before.totals.macs

    def trained(x: Array) -> Any:
        net = Net(nnx.Rngs(0))
        net.norm.use_running_average = False
        return net(x)

    assert folded(trained, (X[..., :4],), 0).count == 0
