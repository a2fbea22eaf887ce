"""ViT-B/16: a transformer encoder over patches of 16x16 pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

import edgegraph as eg
from models.attention import EncoderBlock
from models.layers import conv, dense, layer_norm
from models.network import Network

PATCH = 16


class VisionTransformer(nnx.Module):
    """A patch embedding, a class token, encoder blocks, and a dense layer on the class token.

    Args:
        width: Width of a token.
        depth: Number of blocks.
        heads: Heads of each attention.
        hidden: Hidden width of the dense layers of a block.
        classes: Number of outputs.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        classes: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        tokens = (224 // PATCH) ** 2 + 1
        self.patches = conv(3, width, PATCH, stride=PATCH, padding=0, dtype=dtype, rngs=rngs)
        self.class_token = nnx.Param(jnp.zeros((1, 1, width), dtype))
        self.positions = nnx.Param(
            nnx.initializers.normal(0.02)(rngs.params(), (1, tokens, width), dtype)
        )
        self.blocks = nnx.List(
            [
                EncoderBlock(width=width, heads=heads, hidden=hidden, dtype=dtype, rngs=rngs)
                for _ in range(depth)
            ]
        )
        self.norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.dense = dense(width, classes, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Map images (batch, 224, 224, 3) to logits (batch, classes)."""
        x = self.patches(images)
        batch, _, _, width = x.shape
        x = x.reshape(batch, -1, width)
        class_token = jnp.broadcast_to(self.class_token[...], (batch, 1, width))
        x = jnp.concatenate([class_token, x], axis=1) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.dense(self.norm(x[:, 0]))


B16 = Network(
    name="vit_b16",
    nnx=VisionTransformer,
    sizes={"width": 768, "depth": 12, "heads": 12, "hidden": 3072, "classes": 1000},
    input_shape=(224, 224, 3),
)


def vit_b16(dtype: str = "float32") -> eg.Workload:
    """Run ViT-B/16 forward on images of 224x224x3."""
    return B16.forward(dtype=dtype)
