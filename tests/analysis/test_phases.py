"""Updates of training steps that people write by hand, with figures counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.phases import find_updates
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten

WEIGHTS = {"w": jax.ShapeDtypeStruct((16, 32), "float32")}
X, Y = jax.ShapeDtypeStruct((8, 16), "float32"), jax.ShapeDtypeStruct((8, 32), "float32")


def loss(p: Any, x: Any, y: Any) -> jax.Array:
    return jnp.mean((jnp.tanh(x @ p["w"]) - y) ** 2)


def descend(p: Any, x: Any, y: Any) -> Any:
    gradients = jax.grad(loss)(p, x / 255.0, y)
    return jax.tree.map(lambda w, g: w - 0.1 * g, p, gradients)


def by_phase(function: Callable[..., Any], *args: Any, stage: str = "lowered") -> Any:
    analysis = eg.analyze(function, args=args, stage=stage)
    rows = analysis.layers[analysis.layers.depth == 0]
    return rows.groupby("phase")[["macs", "flops", "bytes_read", "bytes_written"]].sum()


def test_the_update_of_a_step_without_scopes() -> None:
    found = by_phase(descend, WEIGHTS, X, Y, stage="optimized")
    # One kernel: it reads 16 x 32 weights and gradients, and multiplies and subtracts.
    assert found.loc["update"].to_dict() == {
        "macs": 0, "flops": 2 * 512, "bytes_read": 2 * 4 * 512, "bytes_written": 4 * 512,
    }  # fmt: skip
    assert found.macs.to_dict() == {"backward": 8 * 16 * 32, "forward": 8 * 16 * 32, "update": 0}


def momentum(p: Any, v: Any, rate: Any, x: Any, y: Any) -> Any:
    value, gradients = jax.value_and_grad(loss)(p, x, y)
    v = jax.tree.map(lambda m, g: 0.9 * m + g, v, gradients)
    rate = rate * 0.99
    error = jnp.abs(y - 1.0).sum()
    return jax.tree.map(lambda w, m: w - rate * m, p, v), v, rate, value, error


def test_what_only_the_update_uses_is_of_it_and_a_metric_is_not() -> None:
    found = by_phase(momentum, WEIGHTS, WEIGHTS, jax.ShapeDtypeStruct((), "float32"), X, Y)
    # 0.9 * m, + g, rate * m, w - ... for 512 weights each, and the rate's own product.
    assert found.flops["update"] == 4 * 512 + 1
    # The metric: subtract, abs and sum 256 values. The loss: the product, subtract, square, sum,
    # divide, and what is kept for the backward pass: twice the error, and of t = tanh 1 - t, from
    # jax 0.12 on (1 - t) (1 + t).
    kept = 2 if jax.__version_info__ < (0, 12) else 4
    assert found.flops["forward"] == 2 * (3 * 256 - 1) + 2 * 8 * 16 * 32 + 1 + kept * 256


def in_loops(p: Any, x: Any, y: Any) -> Any:
    """Accumulates gradients over two parts, in a loop, for each of three steps."""

    def step(p: Any, _: Any) -> Any:
        def part(total: Any, each: Any) -> Any:
            return jax.tree.map(jnp.add, total, jax.grad(loss)(p, *each)), None

        zeros = jax.tree.map(jnp.zeros_like, p)
        total, _ = jax.lax.scan(part, zeros, (x.reshape(2, 4, 16), y.reshape(2, 4, 32)))
        return jax.tree.map(lambda w, g: w - 0.1 * g, p, total), None

    return jax.lax.scan(step, p, None, length=3)[0]


def test_gradients_that_loops_add_up() -> None:
    found = by_phase(in_loops, WEIGHTS, X, Y)
    # In each of three steps two sums of gradients, one product and one difference.
    assert found.flops["update"] == 3 * 512 * (2 + 2)


class Net(nn.Module):
    """Two layers."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(8, name="b")(nn.relu(nn.Dense(8, name="a")(x)))


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_the_update_of_a_model_with_scopes(stage: str) -> None:
    net, optimizer = Net(), optax.sgd(0.1)
    params = jax.eval_shape(net.init, jax.random.key(0), X)["params"]

    def step(params: Any, x: Any) -> Any:
        def squares(params: Any) -> jax.Array:
            outputs: Any = net.apply({"params": params}, x)
            return jnp.square(outputs).sum()

        gradients = jax.grad(squares)(params)
        updates, _ = optimizer.update(gradients, optimizer.init(params))
        return optax.apply_updates(params, updates)

    found = by_phase(step, params, X, stage=stage)
    weights = (16 + 1) * 8 + (8 + 1) * 8
    assert found.flops["update"] == 2 * weights
    assert found.macs["update"] == 0


def test_without_gradients_there_is_no_update() -> None:
    lowered = jax.jit(loss).lower(WEIGHTS, X, Y)
    assert not find_updates(flatten(decode(xla.lowered_module(lowered))), (), ())


def test_a_scan_over_checkpoints_computes_once_more() -> None:
    def scanned(w: Any, x: Any) -> Any:
        def body(carry: Any, row: Any) -> Any:
            return jax.checkpoint(lambda c, r: jnp.tanh(c @ r))(carry, row), None

        return jax.grad(lambda w: jax.lax.scan(body, x, w)[0].sum())(w)

    args = jax.ShapeDtypeStruct((4, 16, 16), "float32"), X
    product = 4 * 8 * 16 * 16
    for stage in ("lowered", "optimized"):
        assert by_phase(scanned, *args, stage=stage).macs.to_dict() == {
            "forward": product, "rematerialised": product, "backward": 2 * product,
        }  # fmt: skip
