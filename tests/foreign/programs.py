"""Programs of libraries that know nothing of EdgeGraph, small, with what is known of them.

The libraries are imported where a program is made, so that each can be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import edgegraph as eg


@dataclass(frozen=True, kw_only=True)
class Known:
    """A program, and what its library or arithmetic says of it.

    Attributes:
        workload: What is analysed, at batch size `batch`.
        params: Parameters of the model, counted by the library; None where there is no model.
        macs: Multiply-adds by arithmetic; None where they depend on the data.
        loops: Whether it loops; XLA counts the body of a loop once.
        looks_up: Whether it looks rows up in tables, such as the loss of each label.
        layers: Whether its layers have names; else its functions have.
    """

    workload: eg.Workload
    batch: int = 8
    params: int | None = None
    macs: int | None = None
    loops: bool = False
    looks_up: bool = False
    layers: bool = True


PROGRAMS: dict[str, Callable[[], Known]] = {}
"""How to make each; the name begins with the module of the library."""


def register(library: str) -> Callable[[Callable[[], Known]], Callable[[], Known]]:
    def named(make: Callable[[], Known]) -> Callable[[], Known]:
        PROGRAMS[f"{library}:{make.__name__}"] = make
        return make

    return named


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def function(function: Callable[..., Any], *args: Any) -> eg.Workload:
    return eg.Workload.from_function(function, lambda batch: args, name=function.__name__)


def count(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree) if hasattr(leaf, "size"))


@register("equinox")
def mlp() -> Known:
    import equinox

    model = equinox.nn.MLP(64, 10, 128, 3, key=jax.random.key(0))
    return Known(
        workload=eg.Workload.from_equinox(model, (64,)),
        params=count(equinox.filter(model, equinox.is_array)),
        macs=8 * (64 * 128 + 2 * 128 * 128 + 128 * 10),
    )


@register("equinox")
def convolutions_trained_by_hand() -> Known:
    import equinox

    class Net(equinox.Module):  # type: ignore[misc] # of a library without types here
        """Its own module, around some of Equinox."""

        conv: Any
        head: Any
        scale: Any

        def __init__(self, key: Any) -> None:
            first, second = jax.random.split(key)
            self.conv = equinox.nn.Conv2d(1, 8, 3, key=first)
            self.head = equinox.nn.Linear(8 * 10 * 10, 10, key=second)
            self.scale = jnp.ones(10)

        def __call__(self, x: Any) -> Any:
            return self.scale * self.head(jax.nn.relu(self.conv(x)).ravel())

    model, optimizer = Net(jax.random.key(0)), optax.adam(1e-3)

    def step(model: Any, state: Any, x: Any, labels: Any) -> Any:
        def loss(model: Any) -> Any:
            logits = jax.vmap(model)(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, gradients = equinox.filter_value_and_grad(loss)(model)
        updates, state = optimizer.update(gradients, state, model)
        return equinox.apply_updates(model, updates), state, value

    state = optimizer.init(equinox.filter(model, equinox.is_array))
    convolution, head = 8 * 8 * 10 * 10 * 9, 8 * 8 * 10 * 10 * 10
    return Known(
        workload=function(step, model, state, ones(8, 1, 12, 12), np.zeros(8, np.int32)),
        params=count(equinox.filter(model, equinox.is_array)),
        macs=2 * convolution + 3 * head,  # no gradient towards the input
        looks_up=True,
    )


@register("haiku")
def residual_blocks() -> Known:
    import haiku

    class Block(haiku.Module):  # type: ignore[misc] # of a library without types here
        """Makes one layer in its constructor, and one in its call."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.first = haiku.Linear(width, name="first")

        def __call__(self, x: Any) -> Any:
            return x + haiku.Linear(x.shape[-1], name="second")(jax.nn.relu(self.first(x)))

    net = haiku.transform(lambda x: haiku.nets.MLP([32, 10])(Block(64)(Block(64)(x))))
    params = jax.eval_shape(net.init, jax.random.key(0), ones(8, 16))
    one = 8 * (4 * 16 * 64 + 16 * 32 + 32 * 10)
    return Known(
        workload=eg.Workload.train_step(net, optax.adam(1e-3), input_shape=(16,)),
        params=count(params),
        macs=3 * one - 8 * 16 * 64,  # the first layer needs no gradient towards its input
        loops=True,  # of the next random key
    )


@register("haiku")
def resnet18() -> Known:
    import haiku

    net = haiku.transform_with_state(
        lambda x, is_training: haiku.nets.ResNet18(1000)(x, is_training)
    )
    kwargs = {"is_training": False}
    return Known(
        workload=eg.Workload.from_haiku(net, (224, 224, 3), kwargs=kwargs),
        batch=1,
        params=11_689_512,  # torchvision's resnet18
        macs=1_814_073_344,  # torchvision: 1.814 GFLOPS; fvcore and ptflops give this figure
    )


@register("haiku")
def lstm() -> Known:
    import haiku

    def unrolled(x: Any) -> Any:
        core = haiku.LSTM(32)
        outputs, _ = haiku.dynamic_unroll(core, x, core.initial_state(8), time_major=False)
        return haiku.Linear(5)(outputs)

    net = haiku.without_apply_rng(haiku.transform(unrolled))
    return Known(
        workload=eg.Workload.from_haiku(net, (12, 16)),
        params=count(jax.eval_shape(net.init, jax.random.key(0), ones(8, 12, 16))),
        macs=8 * 12 * ((16 + 32) * 4 * 32 + 32 * 5),
        loops=True,
    )


@register("keras")
def separable_convolutions() -> Known:
    keras = keras_on_jax()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(32, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )
    pixels = 16 * 16
    return Known(
        workload=eg.Workload.from_keras(model),
        params=sum(variable.value.size for variable in model.trainable_variables),
        macs=8 * (pixels * (27 * 16 + 9 * 16 + 16 * 32) + 32 * 10),
    )


@register("keras")
def attention() -> Known:
    keras = keras_on_jax()
    layers = keras.layers
    tokens = keras.Input((20, 32))
    attended = layers.MultiHeadAttention(num_heads=4, key_dim=8, name="attention")(tokens, tokens)
    outputs = layers.Dense(5, name="head")(layers.LayerNormalization()(tokens + attended))
    model = keras.Model(tokens, outputs)
    return Known(
        workload=eg.Workload.from_keras(model),
        params=model.count_params(),
        macs=8 * (4 * 20 * 32 * 32 + 2 * 20 * 20 * 32 + 20 * 32 * 5),
    )


def keras_on_jax() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    return keras


@register("diffrax")
def ode() -> Known:
    import diffrax

    def solve(y: Any, a: Any) -> Any:
        term = diffrax.ODETerm(lambda t, y, a: jnp.tanh(a @ y))
        controller = diffrax.PIDController(rtol=1e-5, atol=1e-5)
        return diffrax.diffeqsolve(
            term, diffrax.Tsit5(), 0.0, 1.0, 0.1, y, a, stepsize_controller=controller, max_steps=64
        ).ys

    return Known(workload=function(solve, ones(16), ones(16, 16)), loops=True, layers=False)


@register("lineax")
def conjugate_gradients() -> Known:
    import lineax

    def solve(a: Any, b: Any) -> Any:
        operator = lineax.MatrixLinearOperator(a, lineax.positive_semidefinite_tag)
        return lineax.linear_solve(operator, b, lineax.CG(1e-5, 1e-5)).value

    args = np.eye(64, dtype=np.float32) * 2, ones(64)
    return Known(workload=function(solve, *args), loops=True, layers=False)


@register("optimistix")
def least_squares() -> Known:
    import optimistix

    def fit(y: Any) -> Any:
        solver = optimistix.LevenbergMarquardt(1e-5, 1e-5)
        return optimistix.least_squares(
            lambda y, _: jnp.stack([10 * (y[1] - y[0] ** 2), 1 - y[0]]), solver, y, max_steps=64
        ).value

    return Known(workload=function(fit, ones(2)), loops=True, layers=False)


@register("blackjax")
def hamiltonian_monte_carlo() -> Known:
    import blackjax

    def density(x: Any) -> Any:
        return -0.5 * jnp.sum(jnp.square(x @ x))

    def sample(seed: Any, x: Any) -> Any:
        kernel = blackjax.hmc(density, 1e-2, jnp.ones(64), 10)

        def one(state: Any, key: Any) -> Any:
            state, _ = kernel.step(key, state)
            return state, state.position

        keys = jax.random.split(jax.random.key(seed), 20)
        return jax.lax.scan(one, kernel.init(x), keys)[1]

    return Known(workload=function(sample, np.uint32(0), ones(8, 8)), loops=True, layers=False)


@register("jraph")
def graph_network() -> Known:
    import jraph

    nodes, edges, width = 32, 96, 16

    def message_passing(weights: Any, x: Any, senders: Any, receivers: Any) -> Any:
        graph = jraph.GraphsTuple(
            nodes=x, edges=None, senders=senders, receivers=receivers, globals=None,
            n_node=jnp.array([nodes]), n_edge=jnp.array([edges]),
        )  # fmt: skip
        for each in weights:
            update = jax.tree_util.Partial(lambda w, x: jax.nn.relu(x @ w["w"] + w["b"]), each)
            graph = jraph.GraphConvolution(update)(graph)
        return graph.nodes

    generator = np.random.default_rng(0)
    ends = [generator.integers(0, nodes, edges).astype(np.int32) for _ in range(2)]
    weights = [{"w": ones(width, width), "b": ones(width)} for _ in range(2)]
    return Known(
        workload=function(message_passing, weights, ones(nodes, width), *ends),
        params=2 * (width * width + width),
        macs=2 * nodes * width * width,
    )


@register("gymnax")
def rollout() -> Known:
    import gymnax

    environment, settings = gymnax.make("CartPole-v1")

    def reward(params: Any, seed: Any) -> Any:
        def one(key: Any) -> Any:
            observed, state = environment.reset(key, settings)

            def turn(carry: Any, _: Any) -> Any:
                observed, state, key = carry
                key, choose, move = jax.random.split(key, 3)
                logits = jnp.tanh(observed @ params["hidden"]) @ params["head"]
                action = jax.random.categorical(choose, logits)
                observed, state, reward, *_ = environment.step(move, state, action, settings)
                return (observed, state, key), reward

            return jax.lax.scan(turn, (observed, state, key), None, 50)[1].sum()

        return jax.vmap(one)(jax.random.split(jax.random.key(seed), 16)).mean()

    params = {"hidden": ones(4, 32), "head": ones(32, 2)}
    return Known(
        workload=function(reward, params, np.uint32(0)),
        params=4 * 32 + 32 * 2,
        macs=16 * 50 * (4 * 32 + 32 * 2),
        loops=True,
        layers=False,
    )


@register("numpyro")
def variational_inference() -> Known:
    import numpyro
    from numpyro import distributions
    from numpyro.infer import SVI, Trace_ELBO
    from numpyro.infer.autoguide import AutoNormal

    def model(x: Any, y: Any) -> None:
        prior = distributions.Normal(jnp.zeros(8), 1).to_event(1)
        weights = numpyro.sample("weights", prior)
        numpyro.sample("y", distributions.Normal(x @ weights, 1), obs=y)

    inference = SVI(model, AutoNormal(model), numpyro.optim.Adam(1e-2), Trace_ELBO())
    x, y = ones(64, 8), ones(64)
    state = inference.init(jax.random.PRNGKey(0), x, y)

    def update(state: Any, x: Any, y: Any) -> Any:
        return inference.update(state, x, y)

    return Known(workload=function(update, state, x, y), loops=True, layers=False)


@register("transformers")
def bert() -> Known:
    from transformers import BertConfig, FlaxBertModel

    config = BertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
        vocab_size=100,
    )  # fmt: skip
    model = FlaxBertModel(config, _do_init=False)
    length, width, inner = 16, 64, 128
    block = 4 * length * width * width + 2 * length * length * width + 2 * length * width * inner
    return Known(
        workload=eg.Workload.from_transformers(model, length),
        params=count(model.params_shape_tree),
        macs=8 * (2 * block + width * width),  # and the pooler, of one token
        looks_up=True,
    )
