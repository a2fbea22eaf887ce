"""`Workload.from_function`: any function at any batch size."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.workload import Workload


def add(x: jax.Array, y: jax.Array) -> jax.Array:
    return x + y


def test_big_arrays_are_not_made_for_their_shape() -> None:
    # 4 TiB.
    workload = Workload.from_function(add, lambda n: (jnp.ones((n, 1 << 40)), jnp.zeros(1 << 40)))
    assert workload.call(3).abstract[0].shape == (3, 1 << 40)


def test_shapes_are_filled_the_same_every_time() -> None:
    struct: Any = jax.ShapeDtypeStruct

    def arguments(batch: int) -> tuple[Any, ...]:
        return ({"x": struct((batch, 3), "float32")}, struct((), "bool"), np.arange(batch), 2.5)

    call = Workload.from_function(lambda a, b, c, d: a, arguments).call(4)
    first, second = call.concrete(), call.concrete()
    jax.tree.map(np.testing.assert_array_equal, first, second)
    np.testing.assert_array_equal(first[2], [0, 1, 2, 3])
    assert first[3] == 2.5
    assert [leaf.shape for leaf in jax.tree.leaves(call.abstract)] == [(4, 3), (), (4,), ()]
    assert [leaf.weak_type for leaf in jax.tree.leaves(call.abstract)] == [False] * 3 + [True]


def test_arguments_that_cannot_be_traced_are_made() -> None:
    def arguments(batch: int) -> Any:
        return (np.asarray(jnp.ones((batch, 2))) * 3,)

    call = Workload.from_function(lambda x: x, arguments).call(5)
    assert call.abstract[0].shape == (5, 2)
    np.testing.assert_array_equal(call.concrete()[0], np.full((5, 2), 3))


def test_random_keys_can_be_filled() -> None:
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))
    call = Workload.from_function(lambda keys: keys, lambda batch: (key,)).call(1)
    (keys,) = call.concrete()
    assert (keys.shape, keys.dtype) == (key.shape, key.dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "float16", "bfloat16", "complex64"])
def test_values_are_in_range_of_their_dtype(dtype: str) -> None:
    call = Workload.from_function(
        lambda x: x, lambda batch: (jax.ShapeDtypeStruct((100,), dtype),)
    ).call(1)
    (values,) = call.concrete()
    assert values.dtype == dtype
    assert jnp.all(jnp.isfinite(values))
    assert len(np.unique(np.asarray(values.astype("complex64")))) > 1


def test_names() -> None:
    assert Workload.from_function(add, lambda n: ()).name == "add"
    assert Workload.from_function(lambda: 1, lambda n: (), name="one").name == "one"
    assert Workload.from_function(lambda: 1, lambda n: ()).name == "lambda"


def test_arguments_must_be_a_tuple() -> None:
    workload = Workload.from_function(add, lambda n: [1, 2])  # type: ignore[arg-type, return-value]
    with pytest.raises(InputError, match=r"the arguments came as a list; give a tuple"):
        workload.call(1)


def optimise(x: Any, state: Any) -> Any:
    """Take a step in a state that says nothing of itself."""
    w, momentum = state
    gradient = jax.grad(lambda w: jnp.sum((x @ w) ** 2))(w)
    return w - 0.1 * gradient, momentum


@pytest.mark.parametrize(("params", "count"), [("state[0]", 12), (1, 24), ("x", 15)])
def test_which_argument_holds_the_parameters_can_be_said(params: Any, count: int) -> None:
    args = jnp.ones((5, 3)), (jnp.ones((3, 4)), jnp.ones((3, 4)))
    workload = eg.Workload.from_function(optimise, lambda batch: args, params=params)
    assert eg.analyze(workload, stage="lowered").totals.params == count


def test_parameters_that_no_argument_has_are_refused() -> None:
    args = jnp.ones((5, 3)), (jnp.ones((3, 4)), jnp.ones((3, 4)))
    workload = eg.Workload.from_function(optimise, lambda batch: args, params="weights")
    with pytest.raises(eg.EdgeGraphError, match=r"names no argument .* arguments are x, state"):
        eg.compile(workload, stage="lowered")
    with pytest.raises(eg.EdgeGraphError, match="expected 0 to 1"):
        eg.Workload.from_function(optimise, lambda batch: args, params=2)
