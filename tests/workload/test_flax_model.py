"""`Workload.from_flax`: linen and NNX as the same plain function."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from edgegraph.errors import CompileError, InputError
from edgegraph.workload import Workload
from tests.workload.nets import (
    INPUT_SHAPE,
    PARAMS,
    Block,
    Classifier,
    Dropper,
    LinenClassifier,
    LinenDropper,
    paths,
    shapes,
)


def make_classifier() -> Classifier:
    return Classifier(nnx.Rngs(0))


FLAVORS = {
    "linen": LinenClassifier(),
    "linen class": LinenClassifier,
    "nnx class": Classifier,
    "nnx instance": make_classifier(),
    "nnx function": make_classifier,
    "nnx function of rngs": lambda rngs: Classifier(rngs),
}


@pytest.fixture(params=list(FLAVORS))
def flavor(request: pytest.FixtureRequest) -> Any:
    return FLAVORS[request.param]


def test_all_flavors_have_the_same_parameters(flavor: Any) -> None:
    params, *_ = Workload.from_flax(flavor, INPUT_SHAPE).call(2).abstract
    assert paths(params) == {
        "conv/kernel", "conv/bias",
        "blocks_0/dense/kernel", "blocks_0/dense/bias", "blocks_0/norm/scale", "blocks_0/norm/bias",
        "blocks_1/dense/kernel", "blocks_1/dense/bias", "blocks_1/norm/scale", "blocks_1/norm/bias",
        "head/kernel", "head/bias",
    }  # fmt: skip
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == PARAMS


def test_values_have_the_shapes_that_were_promised(flavor: Any) -> None:
    call = Workload.from_flax(flavor, INPUT_SHAPE).call(5)
    assert shapes(call.concrete()) == shapes(call.abstract)
    assert call.abstract[2].shape == (5, 3, 3, 1)
    assert jax.eval_shape(call.function, *call.abstract).shape == (5, 10)


def test_values_are_the_same_every_time(flavor: Any) -> None:
    first = Workload.from_flax(flavor, INPUT_SHAPE, seed=3).call(2).concrete()
    second = Workload.from_flax(flavor, INPUT_SHAPE, seed=3).call(2).concrete()
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_the_seed_counts() -> None:
    first, second = (
        Workload.from_flax(Classifier, INPUT_SHAPE, seed=seed).call(1).concrete() for seed in (0, 1)
    )
    assert not np.array_equal(first[2], second[2])
    assert not np.array_equal(first[0]["conv"]["kernel"], second[0]["conv"]["kernel"])


def test_linen_and_nnx_compute_the_same() -> None:
    calls = [Workload.from_flax(m, INPUT_SHAPE).call(4) for m in (LinenClassifier(), Classifier)]
    params, *_ = calls[0].concrete()
    outputs = []
    for call in calls:
        _, state, images = call.concrete()
        outputs.append(jax.jit(call.function)(params, state, images))
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-6, atol=1e-6)


def test_weights_are_not_made_for_their_shape() -> None:
    # 4 TiB of weights.
    workload = Workload.from_flax(lambda rngs: nnx.Linear(1 << 20, 1 << 20, rngs=rngs), (1 << 20,))
    params, *_ = workload.call(1).abstract
    assert params["kernel"].shape == (1 << 20, 1 << 20)
    workload = Workload.from_flax(linen.Dense(1 << 20), (1 << 20,))
    params, *_ = workload.call(1).abstract
    assert params["kernel"].shape == (1 << 20, 1 << 20)


@pytest.mark.parametrize("module", [Dropper, LinenDropper()])
def test_evaluation_mode_does_not_drop(module: Any) -> None:
    call = Workload.from_flax(module, (8,)).call(64)
    outputs = np.asarray(jax.jit(call.function)(*call.concrete()))
    assert (outputs != 0).all()


def test_the_module_of_the_user_stays_as_it_is() -> None:
    module = Classifier(nnx.Rngs(0))
    before = nnx.split(module)
    call = Workload.from_flax(module, INPUT_SHAPE).call(2)
    jax.jit(call.function)(*call.concrete())
    graphdef, state = nnx.split(module)
    assert graphdef == before[0]
    jax.tree.map(np.testing.assert_array_equal, state, before[1])
    assert module.blocks[0].norm.use_running_average is False


def test_the_values_of_an_instance_are_used() -> None:
    module = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    module.kernel.set_value(jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    call = Workload.from_flax(module, (2,)).call(1)
    params, state, _ = call.concrete()
    np.testing.assert_array_equal(call.function(params, state, jnp.array([[1.0, 1.0]])), [[4, 6]])


def test_several_inputs_of_several_dtypes() -> None:
    class Pair(linen.Module):
        @linen.compact
        def __call__(self, tokens: jax.Array, scale: jax.Array) -> jax.Array:
            return linen.Embed(100, 4)(tokens) * scale

    workload = Workload.from_flax(
        Pair(), [(7,), (7, 4)], dtype=("int32", "bfloat16"), integers_below=100
    )
    _, _, tokens, scale = workload.call(30).concrete()
    assert (tokens.shape, tokens.dtype) == ((30, 7), jnp.int32)
    assert (scale.shape, scale.dtype) == ((30, 7, 4), jnp.bfloat16)
    assert 2 <= tokens.max() < 100
    assert tokens.min() >= 0


def test_a_bare_array_in_an_nnx_module_is_state() -> None:
    class Shifted(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(2, 2, rngs=rngs)
            self.shift = jnp.ones(2)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(x) + self.shift

    call = Workload.from_flax(Shifted, (2,)).call(1)
    assert call.abstract[1]["shift"].shape == (2,)
    assert jax.jit(call.function)(*call.concrete()).shape == (1, 2)


def test_partial_binds_arguments() -> None:
    workload = Workload.from_flax(functools.partial(Block, 6), (6,))
    assert workload.name == "Block"
    assert workload.call(1).abstract[0]["dense"]["kernel"].shape == (6, 6)


def test_names() -> None:
    assert Workload.from_flax(Classifier, INPUT_SHAPE).name == "Classifier"
    assert Workload.from_flax(LinenClassifier(), INPUT_SHAPE).name == "LinenClassifier"
    assert Workload.from_flax(Classifier, INPUT_SHAPE, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("module", "shape", "dtype", "message"),
    [
        (42, (2,), "float32", "42 is not a Flax module"),
        (dict, (2,), "float32", "is not a Flax module"),
        (Classifier, 28, "float32", "input_shape 28 is not a shape"),
        (Classifier, (28, 0), "float32", r"input_shape \(28, 0\) is not a shape"),
        (Classifier, (28, -1), "float32", "is not a shape"),
        (Classifier, "28", "float32", "input_shape '28' is not a shape"),
        (Classifier, (2.5,), "float32", "is not a shape"),
        (Classifier, (2,), "float33", "dtype 'float33' is not a dtype"),
        (Classifier, (2,), "float64", "float64 needs 64-bit JAX"),
        (Classifier, (2,), ("int32", "int32"), "2 dtypes were given for 1 inputs"),
        (Block, (2,), "float32", "Block needs features"),
        (lambda: 42, (2,), "float32", "made a int; expected an NNX module"),
        (linen.Dense, (2,), "float32", "linen module Dense cannot be made without arguments"),
    ],
)
def test_what_cannot_be_used_is_refused(module: Any, shape: Any, dtype: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Workload.from_flax(module, shape, dtype)
    assert "\n" not in str(caught.value)


def test_a_module_that_fails_to_be_made_is_an_input_error() -> None:
    def broken() -> nnx.Module:
        raise ValueError("no such width\nand more")

    with pytest.raises(InputError) as caught:
        Workload.from_flax(broken, (2,))
    assert str(caught.value) == "broken cannot be made: no such width"


@pytest.mark.parametrize(
    ("module", "name"), [(Classifier, "Classifier"), (LinenClassifier(), "LinenClassifier")]
)
def test_a_refused_shape_is_named(module: Any, name: str) -> None:
    with pytest.raises(CompileError) as caught:  # noqa: PT012  # either step may meet it first
        call = Workload.from_flax(module, (5,)).call(2)
        jax.eval_shape(call.function, *call.abstract)
    assert str(caught.value).startswith(f"{name} does not take the input float32[2,5]: ")
    assert "\n" not in str(caught.value)


def test_two_variables_of_one_name_are_refused() -> None:
    class Twice(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.layer = nnx.List([nnx.Linear(2, 2, rngs=rngs)])
            self.layer_0 = nnx.Linear(2, 2, rngs=rngs)

    with pytest.raises(InputError, match="two variables of Twice are both called layer_0/"):
        Workload.from_flax(Twice, (2,))
