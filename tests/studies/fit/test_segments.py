"""A loss is cut where one large activation is alive, and equal layers are told to be equal."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import edgegraph as eg
from edgegraph.compiler.derivatives import look_at_derivatives
from edgegraph.studies.fit.segments import Loss, loss_of, planned


def _loss(weights: Any, x: Any) -> Any:
    for number, (wide, narrow) in enumerate(weights):
        with jax.named_scope(f"block_{number}"):
            x = x + jnp.tanh(x @ wide) @ narrow
    return jnp.sum(x**2)


def _found(blocks: int) -> Loss:
    pair = (jax.ShapeDtypeStruct((8, 32), "float32"), jax.ShapeDtypeStruct((32, 8), "float32"))
    workload = eg.Workload.from_function(
        lambda *a: jax.grad(_loss)(*a),
        lambda batch: ([pair] * blocks, jax.ShapeDtypeStruct((batch, 8), "float32")),
        name="blocks",
    )
    losses: list[Loss] = []
    look_at_derivatives(workload, 64, lambda each: losses.append(loss_of(each)[0]))
    return losses[0]


def test_blocks_are_layers_and_equal() -> None:
    """Inside a block two activations are alive, between blocks one: 64 x 8 floats.

    In the first block x is an input, and no activation: its hidden layer is a cut as well.
    """
    layers = _found(4).layers
    assert [layer.name for layer in layers] == [f"block_{n}" for n in (0, 0, 1, 2, 3)]
    assert layers[2].signature == layers[3].signature
    assert len({layer.signature for layer in layers}) == 4  # the last has the loss
    assert [layer.boundary_bytes for layer in layers] == [0, 64 * 32 * 4, 2048, 2048, 2048]
    assert [layer.first for layer in layers[1:]] == [layer.last for layer in layers[:-1]]


def test_a_planned_loss_is_the_loss() -> None:
    weights = [(jnp.full((8, 32), 0.1), jnp.full((32, 8), 0.1))] * 2
    x = jnp.ones((4, 8))
    from edgegraph.compiler.derivatives import Differentiated

    found = Differentiated(
        number=0, function=lambda w: _loss(w, x), primals=(weights,), has_aux=False
    )
    loss, _ = loss_of(found)

    def again(weights: Any) -> Any:
        choices = [frozenset[int]()] * len(loss.layers)
        return planned(loss, choices, jax.tree.leaves(weights))[0]

    assert jnp.allclose(again(weights), _loss(weights, x))
    plain, other = (jax.jit(jax.grad(f))(weights) for f in (found.function, again))
    jax.tree.map(lambda a, b: None if jnp.allclose(a, b) else 1 / 0, plain, other)
    assert "checkpoint" in str(jax.make_jaxpr(again)(weights)) or "remat" in str(
        jax.make_jaxpr(again)(weights)
    )
