"""Small networks that differ in one respect."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

import edgegraph as eg


class Net(nn.Module):
    """Two convolutions of 8 and 16 channels on 8x8 images, and a dense layer."""

    kernel: int = 3
    normalised: bool = False
    dtype: Any = jnp.float32
    names: tuple[str, str, str] = ("conv1", "conv2", "dense")

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        numbers = {"dtype": self.dtype, "param_dtype": self.dtype}
        first, second, last = self.names
        x = nn.relu(nn.Conv(8, (3, 3), name=first, **numbers)(x))
        size = (self.kernel, self.kernel)
        x = nn.Conv(16, size, name=second, use_bias=not self.normalised, **numbers)(x)
        if self.normalised:
            x = nn.BatchNorm(use_running_average=True, name="bn", **numbers)(x)
        x = nn.relu(x).reshape(x.shape[0], -1)
        out: jax.Array = nn.Dense(10, name=last, **numbers)(x)
        return out


@cache
def analysis(
    *, stage: str = "optimized", batch: int = 4, fused: bool = True, **settings: Any
) -> eg.Analysis:
    """Analyse the network with some of its settings changed."""
    net = Net(**settings)
    x = jax.ShapeDtypeStruct((batch, 8, 8, 3), net.dtype)
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    off = {"xla_disable_hlo_passes": "fusion,cpu-instruction-fusion"}
    program = eg.compile(
        lambda variables, x: net.apply(variables, x), variables, x,
        name="net", stage=stage, options=None if fused else off,
    )  # fmt: skip
    return eg.analyze(program)


def without_figures(diff: eg.Diff) -> dict[str, str]:
    """Return the layers that differ, and how."""
    return {row.layer: row.kind for row in diff.layer_changes if row.kind != "same"}
