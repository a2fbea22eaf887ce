"""Multi-head attention, over a whole sequence or over a cache of keys and values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.layers import FeedForward, dense, layer_norm


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Average the values by how well their keys match each query.

    Args:
        query: Of shape (batch, queries, heads, width of a head).
        key: Of shape (batch, keys, heads, width of a head).
        value: Of the shape of `key`.
        mask: Which keys a query may see, broadcast to (batch, heads, queries, keys).

    Returns:
        An array of the shape of `query`. The softmax is float32, whatever the inputs are.
    """
    with jax.named_scope("scores"):
        scores = lax.dot_general(query, key, (((3,), (3,)), ((0, 2), (0, 2))))
    with jax.named_scope("softmax"):
        scores = scores * query.shape[-1] ** -0.5
        if mask is not None:
            scores = jnp.where(mask, scores, -jnp.inf)
        weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(value.dtype)
    with jax.named_scope("average"):
        averages = lax.dot_general(weights, value, (((3,), (1,)), ((0, 1), (0, 2))))
        return averages.swapaxes(1, 2)


class SelfAttention(nnx.Module):
    """Attention of a sequence to itself, with one dense layer for query, key and value.

    Args:
        width: Width of a token.
        heads: Number of heads, which share the width.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(self, width: int, heads: int, *, dtype: str, rngs: nnx.Rngs) -> None:
        self.heads = heads
        self.qkv = dense(width, 3 * width, dtype=dtype, rngs=rngs)
        self.output = dense(width, width, dtype=dtype, rngs=rngs)

    def project(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return query, key and value, each (batch, tokens, heads, width of a head)."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        return qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]

    def merge(self, heads: jax.Array) -> jax.Array:
        """Mix the heads' results into tokens of (batch, tokens, width)."""
        return self.output(heads.reshape(*heads.shape[:2], -1))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (batch, tokens, width) to itself; every token sees every other."""
        return self.merge(attend(*self.project(x)))


class EncoderBlock(nnx.Module):
    """Attention and two dense layers, each behind a layer normalisation, beside shortcuts.

    Args:
        width: Width of a token.
        heads: Number of heads.
        hidden: Width between the two dense layers.
        dtype: Of parameters and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(self, *, width: int, heads: int, hidden: int, dtype: str, rngs: nnx.Rngs) -> None:
        self.norm1 = layer_norm(width, dtype=dtype, rngs=rngs)
        self.attention = SelfAttention(width, heads, dtype=dtype, rngs=rngs)
        self.norm2 = layer_norm(width, dtype=dtype, rngs=rngs)
        self.mlp = FeedForward(width, hidden, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (batch, tokens, width) to itself."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
