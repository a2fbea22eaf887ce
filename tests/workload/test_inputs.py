"""Inputs of Flax models as dicts and by keyword, constants, and other methods."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from edgegraph.errors import InputError
from edgegraph.workload import Workload
from edgegraph.workload.inputs import input_form


class Linen(linen.Module):
    def setup(self) -> None:
        self.first, self.second = linen.Dense(5), linen.Dense(2)

    def __call__(self, batch: Any, *, scale: Any, twice: bool = False) -> Any:
        out = self.second(self.encode(batch["x"], train=False)) * scale[:, None] + batch["ids"]
        return 2 * out if twice else out

    def encode(self, x: Any, train: bool = True) -> Any:
        assert not train
        return self.first(x)


class Nnx(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first, self.second = nnx.Linear(3, 5, rngs=rngs), nnx.Linear(5, 2, rngs=rngs)

    __call__ = Linen.__call__
    encode = Linen.encode


SCALE = jax.ShapeDtypeStruct((), "float32")
SHAPES, DTYPES = {"x": (3,), "ids": (1,)}, {"x": "float32", "ids": "int32"}


@pytest.mark.parametrize("module", [Linen(), Nnx])
def test_dicts_keywords_and_constants(module: Any) -> None:
    plain, doubled = (
        Workload.from_flax(module, SHAPES, DTYPES, kwargs={"scale": SCALE, "twice": twice}).call(4)
        for twice in (False, True)
    )
    # In JAX's order: ids before x, then the keyword.
    assert [(each.shape, each.dtype.name) for each in plain.abstract[2:]] == [
        ((4, 1), "int32"), ((4, 3), "float32"), ((4,), "float32"),
    ]  # fmt: skip
    arguments = plain.concrete()
    np.testing.assert_allclose(doubled.function(*arguments), 2 * plain.function(*arguments))


@pytest.mark.parametrize("module", [Linen(), Nnx])
@pytest.mark.parametrize("method", ["encode", Linen.encode])
def test_another_method(module: Any, method: Any) -> None:
    call = Workload.from_flax(module, (3,), method=method).call(4)
    assert jax.eval_shape(call.function, *call.abstract).shape == (4, 5)


def test_a_training_step_by_keyword_alone() -> None:
    class Only(linen.Module):
        @linen.compact
        def __call__(self, *, x: Any) -> Any:
            return linen.Dense(3)(x)

    x = jax.ShapeDtypeStruct((4,), jnp.float32)
    workload = Workload.train_step(Only(), optax.sgd(0.1), kwargs={"x": x})
    _, _, _, inputs, labels = workload.call(2).abstract
    assert (inputs.shape, labels.shape) == ((2, 4), (2,))


def test_wrong_ones() -> None:
    with pytest.raises(InputError, match="Linen has no method 'decode'; it has setup, encode"):
        Workload.from_flax(Linen(), (3,), method="decode").call(1)
    with pytest.raises(InputError, match="no input is given; give input_shape"):
        input_form(None, "float32", {"train": True}, None)
    with pytest.raises(InputError, match=r"input_shape .* is not a shape"):
        input_form({"x": "3"}, "float32", None, None)
    with pytest.raises(InputError, match="2 dtypes were given for 1 inputs"):
        input_form({"x": (3,)}, {"x": "float32", "y": "int32"}, None, None)
