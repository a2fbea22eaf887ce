"""What derivatives cost: custom rules, rematerialisation, gradients through loops."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn
from jax import lax

import edgegraph as eg
from tests.constructs.construct import (
    STAGES,
    Construct,
    Figures,
    analysed,
    array,
    check,
    every,
    ops,
)

PRODUCT = 4 * 8 * 16


@jax.custom_vjp
def bounded(x: Any, w: Any) -> Any:
    """A product whose gradient towards `x` is bounded, and is not computed towards `w`."""
    return x @ w


def _forward(x: Any, w: Any) -> Any:
    return bounded(x, w), w


def _backward(w: Any, gradient: Any) -> Any:
    return jnp.tanh(gradient @ w.T), jnp.zeros_like(w)


bounded.defvjp(_forward, _backward)


@jax.custom_jvp
def half_square(x: Any) -> Any:
    return x * x / 2


@half_square.defjvp
def _half_square_rule(primals: Any, tangents: Any) -> Any:
    (x,), (moved,) = primals, tangents
    return half_square(x), jnp.sin(x) * moved


RULES = {
    "custom_vjp": Construct(
        function=bounded,
        arguments=(array(4, 8), array(8, 16)),
        lowered=Figures(macs=PRODUCT, flops=2 * PRODUCT, read=4 * (32 + 128), written=4 * 4 * 16),
    ),
    # The product, one by the rule and its tanh; of the square, twice the root; the sum.
    "gradient by a custom_vjp": Construct(
        function=jax.value_and_grad(lambda x, w: jnp.square(bounded(x, w)).sum()),
        arguments=(array(4, 8), array(8, 16)),
        lowered=Figures(macs=2 * PRODUCT, flops=None, transcendentals=32),
    ),
    # 32 products, and for the value 32 divisions and a sum.
    "gradient by a custom_jvp": Construct(
        function=jax.value_and_grad(lambda x: half_square(x).sum()),
        arguments=(array(4, 8),),
        lowered=Figures(flops=None, transcendentals=32),
    ),
}


@every(RULES)
def test_custom_rules(construct: Construct, stage: str) -> None:
    check(construct, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_the_rule_of_a_custom_vjp_is_the_backward_pass(stage: str) -> None:
    def loss(x: Any, w: Any) -> Any:
        with jax.named_scope("layer"):
            return jnp.square(bounded(x, w)).sum()

    analysis = analysed(jax.value_and_grad(loss), array(4, 8), array(8, 16), stage=stage)
    phases = {(op.phase, op.macs) for op in ops(analysis, "dot")}
    assert phases == {("forward", PRODUCT), ("backward", PRODUCT)}
    assert {op.phase for op in ops(analysis, "tanh")} == {"backward"}


LAYERS, BATCH, WIDTH = 12, 4, 8
LAYER = BATCH * WIDTH * 4 * WIDTH


class Block(nn.Module):
    """Two dense layers, each with its tanh, whose derivative needs the result."""

    @nn.compact
    def __call__(self, x: jax.Array, _: Any = None) -> tuple[jax.Array, None]:
        x = nn.tanh(nn.Dense(4 * WIDTH, name="up", use_bias=False)(x))
        return nn.tanh(nn.Dense(WIDTH, name="down", use_bias=False)(x)), None


class Network(nn.Module):
    """Twelve blocks in a loop, rematerialised or not."""

    remat: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        block: Any = nn.remat(Block, prevent_cse=False) if self.remat else Block
        split: Any = {"params": True}
        stack = nn.scan(block, variable_axes={"params": 0}, split_rngs=split, length=LAYERS)
        out: jax.Array = stack(name="blocks")(x, None)[0]
        return out


def train_step(remat: bool) -> eg.Workload:
    return eg.Workload.train_step(Network(remat), optax.sgd(0.1), input_shape=(WIDTH,))


@pytest.mark.parametrize("stage", STAGES)
def test_remat_shows_what_it_computes_once_more(stage: str) -> None:
    """The forward pass of every block, in the loop of the backward pass: a phase of its own."""
    by_phase = {}
    for remat in (False, True):
        analysis = eg.analyze(train_step(remat), batch=BATCH, stage=stage)
        layers = analysis.layers[analysis.layers.leaf]
        sums = layers.groupby("phase")[["macs", "transcendentals"]].sum()
        by_phase[remat] = {phase: tuple(row) for phase, row in sums.iterrows() if any(row)}
        assert not analysis.totals.lower_bound
    forward = (LAYERS * 2 * LAYER, LAYERS * BATCH * 5 * WIDTH)
    assert by_phase[False]["forward"][0] == by_phase[True]["forward"][0] == forward[0]
    assert by_phase[False]["backward"][0] == by_phase[True]["backward"][0] == 2 * forward[0]
    assert by_phase[True]["rematerialised"] == forward
    assert "rematerialised" not in by_phase[False]


def test_remat_outside_of_loops_shows_before_optimisation() -> None:
    """XLA may find that what is rematerialised is the same as what was kept, and merge the two."""

    def loss(x: Any, w: Any) -> Any:
        layer = jax.checkpoint(lambda v: jnp.tanh(v @ w))
        return layer(layer(x)).sum()

    arguments, once = (array(4, 8), array(8, 8)), 4 * 8 * 8
    found = []
    for stage in STAGES:
        analysis = analysed(jax.value_and_grad(loss, (0, 1)), *arguments, stage=stage)
        phases = analysis.layers.groupby("phase").macs.sum()
        assert (phases["forward"], phases["backward"]) == (2 * once, 4 * once)
        found.append(phases.get("rematerialised", 0))
    assert found in ([2 * once, 0], [2 * once, 2 * once])


@pytest.mark.parametrize("stage", STAGES)
def test_the_gradient_of_a_scan_is_that_of_the_unrolled_layers(stage: str) -> None:
    def scanned(x: Any, weights: Any) -> Any:
        return lax.scan(lambda v, w: (jnp.tanh(v @ w), None), x, weights)[0].sum()

    def unrolled(x: Any, weights: Any) -> Any:
        for w in weights:
            x = jnp.tanh(x @ w)
        return x.sum()

    loop, flat = (
        analysed(jax.value_and_grad(function, (0, 1)), array(4, 64), weights, stage=stage).totals
        for function, weights in (
            (scanned, array(LAYERS, 64, 64)),
            (unrolled, [array(64, 64)] * LAYERS),
        )
    )
    assert loop.macs == flat.macs == 3 * LAYERS * 4 * 64 * 64
    assert loop.transcendentals == flat.transcendentals == LAYERS * 4 * 64
    # The loops count besides.
    assert loop.flops == pytest.approx(flat.flops, rel=0.01)
    assert loop.xla_flops is not None
    assert loop.xla_flops < flat.flops / 10
