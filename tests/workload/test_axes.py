"""Axes besides the batch: where they come from, and what they change."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen, nnx

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.rewrites.decisions import rewritten_workload
from edgegraph.workload.workload import with_params


def struct(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, "float32")


def scores(default: int | None = None) -> eg.Workload:
    """Return q times k transposed, of as many rows as the length says."""
    if default is None:
        return eg.Workload.from_function(
            lambda q, k: q @ k.T, lambda batch, length: (struct(batch, 8), struct(length, 8)),
            name="scores",
        )  # fmt: skip
    return eg.Workload.from_function(
        lambda q, k: q @ k.T,
        lambda batch, length=32: (struct(batch, 8), struct(length, 8)),
        name="scores",
    )


def test_parameters_of_what_makes_arguments_are_axes() -> None:
    assert scores().axes == {"length": None}
    assert scores(32).axes == {"length": 32}
    assert scores(32).call(2).abstract[1].shape == (32, 8)
    assert scores(32).call(2, length=5).abstract[1].shape == (5, 8)
    fixed = scores().at(length=16)
    assert (fixed.name, dict(fixed.axes)) == ("scores(length=16)", {})
    # batch 2, length 16, 8 products each
    assert eg.analyze(fixed, batch=2).totals.macs == 2 * 16 * 8


def test_what_is_captured_by_a_default_is_no_axis() -> None:
    shape, flag = (3, 4), True
    workload = eg.Workload.from_function(
        jnp.tanh, lambda batch, shape=shape, flag=flag, *rest, **more: (struct(batch, *shape),)
    )
    assert workload.axes == {}
    assert workload.call(2).abstract[0].shape == (2, 3, 4)
    assert eg.Workload.from_function(jnp.tanh, tuple).axes == {}


def test_names_in_a_shape_are_axes() -> None:
    workload = eg.Workload.from_flax(linen.Dense(10), ("length", 64))
    assert workload.axes == {"length": None}
    assert workload.at(length=7).call(2).abstract[2].shape == (2, 7, 64)

    class Two(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x: dict[str, jax.Array]) -> jax.Array:
            return self.dense(x["a"]) + x["b"].sum()

    several = eg.Workload.from_flax(Two, {"a": ("rows", 4), "b": ("rows", "columns")})
    assert list(several.axes) == ["rows", "columns"]
    _, _, a, b = several.call(2, rows=3, columns=5).abstract
    assert (a.shape, b.shape) == ((2, 3, 4), (2, 3, 5))


def test_a_train_step_has_axes_too() -> None:
    step = eg.Workload.train_step(
        linen.Dense(10), optax.sgd(0.1), input_shape=("length", 64), name="step"
    )
    _, _, _, inputs, labels = step.at(length=7).call(2).abstract
    assert (inputs.shape, labels.shape) == ((2, 7, 64), (2, 7))


def test_axes_stay_behind_what_wraps_a_workload() -> None:
    for wrapped in (with_params(scores(), "k"), rewritten_workload(scores(), {})):
        assert wrapped.at(length=16).call(2).abstract[1].shape == (16, 8)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: scores().call(2), "scores needs a size along its axis length; give --axis"),
        (lambda: eg.analyze(scores(), batch=2), r"or take workload.at\(length=SIZE\)"),
        (lambda: scores().at(depth=3), "scores has no axis 'depth'; it has length"),
        (lambda: scores().at(length=0), "length must be a positive integer, not 0"),
        (lambda: scores().at(length=1).at(length=2), "no axis 'length'; it has none besides the"),
        (
            lambda: eg.Workload.from_function(jnp.tanh, lambda length, batch: ()),
            "make_args takes batch behind another; its first parameter is the batch size",
        ),
        (
            lambda: eg.Workload.from_flax(linen.Dense(10), ("batch", 64)),
            "'batch' in the shape .* names no axis; expected a word such as length",
        ),
        (lambda: eg.Workload.from_flax(linen.Dense(10), ("2x", 64)), "'2x' in the shape"),
    ],
)
def test_bad_axes_are_refused_in_a_line(ask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask()
