"""Updates of training steps that people write by hand, with figures counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.phases import find_loss, find_updates, updates_something
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.sources import Sources

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


class Wide(nn.Module):
    """Two layers, and a residual sum that is in neither."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Dense(16)(x))
        return nn.Dense(10)(x + nn.Dense(16)(x))


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_a_step_by_hand_has_the_rows_of_a_workload(stage: str) -> None:
    net, optimizer = Wide(), optax.adam(1e-3)
    labels = jax.ShapeDtypeStruct((8,), "int32")
    params = jax.eval_shape(net.init, jax.random.key(0), X)["params"]

    def step(params: Any, opt_state: Any, x: Any, labels: Any) -> Any:
        def loss_of(params: Any) -> jax.Array:
            logits: Any = net.apply({"params": params}, x)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return jnp.asarray(losses).mean()

        value, gradients = jax.value_and_grad(loss_of)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    args = (params, jax.eval_shape(optimizer.init, params), X, labels)
    by_hand = eg.analyze(step, args=args, stage=stage)
    workload = eg.Workload.train_step(net, optimizer, input_shape=(16,), donate=())
    ready_made = eg.analyze(workload, batch=8, stage=stage)
    columns = ["layer", "phase", "params", "macs", "flops", "bytes_read", "bytes_written"]
    assert by_hand.layers[columns].to_dict("list") == ready_made.layers[columns].to_dict("list")
    rows = by_hand.layers.set_index(["layer", "phase"])
    assert rows.loc[("optimizer", "update"), "params"] == 0
    assert {("loss", "forward"), ("loss", "backward")} <= set(rows.index)


def two_layers(p: Any, x: Any) -> Any:
    hidden = jax.nn.relu(x @ p["a"]["w"] + p["a"]["b"])
    return hidden @ p["b"]["w"]


TREE = {
    "a": {"w": WEIGHTS["w"], "b": jax.ShapeDtypeStruct((32,), "float32")},
    "b": {"w": jax.ShapeDtypeStruct((32, 32), "float32")},
}


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_the_loss_of_a_step_without_scopes(stage: str) -> None:
    def step(p: Any, x: Any, y: Any) -> Any:
        def squares(p: Any) -> jax.Array:
            decay = sum(jnp.sum(w["w"] ** 2) for w in p.values())
            return jnp.asarray(jnp.mean((two_layers(p, x) - y) ** 2) + decay)

        value, gradients = jax.value_and_grad(squares)(p)
        return jax.tree.map(lambda w, g: w - 0.1 * g, p, gradients), value

    rows = eg.analyze(step, args=(TREE, X, Y), stage=stage).layers.set_index(["layer", "phase"])
    assert set(rows.index) - {("(unattributed)", "forward")} == {
        ("a", "forward"), ("b", "forward"), ("loss", "forward"),
        ("a", "backward"), ("b", "backward"), ("loss", "backward"), ("optimizer", "update"),
    }  # fmt: skip
    assert rows.flops["optimizer", "update"] == 2 * (16 * 32 + 32 + 32 * 32)
    products = {"a": 8 * 16 * 32, "b": 8 * 32 * 32}
    for layer, macs in products.items():
        assert rows.macs[layer, "forward"] == macs
    assert rows.macs["a", "backward"] == products["a"]  # none towards the input
    assert rows.macs["b", "backward"] == 2 * products["b"]


def test_layers_of_a_scan_are_no_loss_though_the_scan_is_the_last() -> None:
    def deep(p: Any, x: Any) -> Any:
        def block(x: Any, w: Any) -> Any:
            with jax.named_scope("block"):
                inner = jnp.tanh(x @ w)
            return x + inner, None

        return jax.lax.scan(block, x, p["stack"])[0]

    p = {"stack": jax.ShapeDtypeStruct((4, 32, 32), "float32")}
    gradient = jax.value_and_grad(lambda p, x: deep(p, x).sum())
    rows = eg.analyze(gradient, args=(p, Y), stage="lowered").layers.set_index(["layer", "phase"])
    sums = 4 * 8 * 32
    assert rows.flops["loss", "forward"] <= sums // 4  # nothing but the last sum
    assert rows.flops["block", "forward"] >= 4 * 2 * 8 * 32 * 32 + sums


WALLS = np.ones((64, 64), np.float32)


def test_a_sampler_that_follows_gradients_updates_no_model() -> None:
    def positions(x: Any) -> Any:
        def move(x: Any, _: Any) -> Any:
            x = x - 0.1 * jax.grad(lambda x: jnp.sum(jnp.tanh(WALLS @ x)))(x)
            return x, x

        return jax.lax.scan(move, x, None, 5)[1]

    found = by_phase(positions, jax.ShapeDtypeStruct((64,), "float32"))
    assert set(found.index) == {"forward", "backward"}


def test_without_gradients_there_is_no_update() -> None:
    lowered = jax.jit(loss).lower(WEIGHTS, X, Y)
    nodes = flatten(decode(xla.lowered_module(lowered)))
    sources = Sources(nodes)
    assert not find_updates(sources, (), ())
    assert not find_loss(sources, [None] * len(nodes), set(), set())
    weights = [node.name for node in nodes if node.opcode == "parameter" and node.parent is None]
    assert not updates_something(nodes, weights)  # it returns a number


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
