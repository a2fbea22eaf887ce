"""What must hold on real networks: loops cost their trips, and nearly all work has a layer."""

from __future__ import annotations

import importlib
from typing import Any

import jax
import pytest
from flax import linen as nn

import edgegraph as eg
import models
from edgegraph.results.analysis import Totals
from tests.traffic import beyond

LAYERS = 12
WIDTH = 64


class Block(nn.Module):
    """A pre-norm transformer block, shaped for `nn.scan`."""

    @nn.compact
    def __call__(self, x: jax.Array, _: Any) -> tuple[jax.Array, None]:
        y = nn.LayerNorm(name="norm1")(x)
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(y)
        y = nn.LayerNorm(name="norm2")(x)
        return x + nn.Dense(WIDTH, name="down")(nn.gelu(nn.Dense(4 * WIDTH, name="up")(y))), None


class Transformer(nn.Module):
    """Twelve blocks, in a loop or one after the other."""

    scanned: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.scanned:
            split: Any = {"params": True}
            stack = nn.scan(Block, variable_axes={"params": 0}, split_rngs=split, length=LAYERS)
            x, _ = stack(name="blocks")(x, None)
        else:
            for i in range(LAYERS):
                x, _ = Block(name=f"block_{i}")(x, None)
        out: jax.Array = nn.Dense(10, name="head")(x[:, -1])
        return out


def train_totals(module: nn.Module, stage: str) -> Totals:
    import optax

    step = eg.Workload.train_step(module, optax.adamw(1e-3), input_shape=(16, WIDTH))
    return eg.analyze(step, batch=2, stage=stage).totals


@pytest.mark.parametrize("stage", ["lowered", pytest.param("optimized", marks=pytest.mark.slow)])
def test_a_scanned_transformer_costs_what_the_unrolled_one_costs(stage: str) -> None:
    scanned = train_totals(Transformer(scanned=True), stage)
    unrolled = train_totals(Transformer(scanned=False), stage)
    assert scanned.params == unrolled.params
    assert scanned.macs == unrolled.macs
    assert scanned.flops == pytest.approx(unrolled.flops, rel=0.01)
    assert scanned.xla_flops is not None
    assert scanned.xla_flops < unrolled.flops / 5
    assert not scanned.lower_bound


TRAINED = ("models.cnn:small_cnn_train", "models.mlp:mlp_train", "models.resnet:resnet18_train")


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*(entry["name"] for entry in models.catalogue()), *TRAINED])
def test_nearly_all_work_has_a_layer_and_no_op_moves_more_than_it_has(spec: str) -> None:
    module, _, name = spec.partition(":")
    analysis = eg.analyze(getattr(importlib.import_module(module), name)(), batch=1)
    assert not beyond(analysis)
    totals = analysis.totals
    assert totals.flops_coverage > 0.98
    assert totals.bytes_coverage > 0.95
    assert totals.xla_flops is not None
    # XLA counts all of what a fusion computes and uses a part of: a token of a sequence.
    assert 0.999 * totals.xla_flops < totals.flops < 1.0001 * totals.xla_flops
