"""A small decoder-only transformer: prefill of a prompt, and decoding with a KV cache.

Prefill reads every weight once for many tokens; decoding reads every weight, and the whole cache,
for a single one, which makes it the extreme of memory-bound work.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

import edgegraph as eg
from models.attention import SelfAttention, attend
from models.layers import FeedForward, layer_norm
from models.network import Network

WIDTH = 512
DEPTH = 8
HEADS = 8
VOCABULARY = 16_384
CONTEXT = 1024


class CachedAttention(SelfAttention):
    """Causal attention of new tokens to a cache that they are written into.

    Args:
        width: Width of a token.
        heads: Number of heads, which share the width.
        batch: Sequences that the cache holds.
        capacity: Tokens that the cache holds of each.
        dtype: Of parameters, cache and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self, width: int, heads: int, *, batch: int, capacity: int, dtype: str, rngs: nnx.Rngs
    ) -> None:
        super().__init__(width, heads, dtype=dtype, rngs=rngs)
        shape = (batch, capacity, heads, width // heads)
        self.key_cache = nnx.Cache(jnp.zeros(shape, dtype))
        self.value_cache = nnx.Cache(jnp.zeros(shape, dtype))

    @property
    def cache(self) -> tuple[jax.Array, jax.Array]:
        """Keys and values, each (batch, capacity, heads, width of a head)."""
        return self.key_cache[...], self.value_cache[...]

    def append(self, x: jax.Array, position: jax.Array) -> jax.Array:
        """Write tokens (batch, tokens, width) at `position`, and attend to all up to each."""
        query, key, value = self.project(x)
        start = (0, position, 0, 0)
        keys = lax.dynamic_update_slice(self.key_cache[...], key, start)
        values = lax.dynamic_update_slice(self.value_cache[...], value, start)
        self.key_cache[...], self.value_cache[...] = keys, values
        asked_at = position + jnp.arange(query.shape[1])
        mask = jnp.arange(keys.shape[1])[None, :] <= asked_at[:, None]
        return self.merge(attend(query, keys, values, mask))


class DecoderBlock(nnx.Module):
    """Cached attention and two dense layers, behind layer normalisations, beside shortcuts.

    Args:
        width: Width of a token.
        heads: Number of heads.
        batch: Sequences that the cache holds.
        capacity: Tokens that the cache holds of each.
        dtype: Of parameters, cache and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self, *, width: int, heads: int, batch: int, capacity: int, dtype: str, rngs: nnx.Rngs
    ) -> None:
        self.norm1 = layer_norm(width, dtype=dtype, rngs=rngs)
        self.attention = CachedAttention(
            width, heads, batch=batch, capacity=capacity, dtype=dtype, rngs=rngs
        )
        self.norm2 = layer_norm(width, dtype=dtype, rngs=rngs)
        self.mlp = FeedForward(width, 4 * width, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, position: jax.Array) -> jax.Array:
        """Map tokens (batch, tokens, width), of which the first is at `position`, to themselves."""
        x = x + self.attention.append(self.norm1(x), position)
        return x + self.mlp(self.norm2(x))


class Transformer(nnx.Module):
    """A decoder-only transformer of GPT-2's form, with its KV cache as state.

    Positions are learned, and the output layer shares the embedding's weights.

    Args:
        width: Width of a token.
        depth: Number of blocks.
        heads: Heads of each attention.
        vocabulary: Number of different tokens.
        context: Tokens that a sequence can have.
        batch: Sequences that the cache holds.
        capacity: Tokens that the cache holds of each.
        cached: Tokens that the cache holds already.
        dtype: Of parameters, cache and arithmetic.
        rngs: Where the weights come from.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        vocabulary: int,
        context: int,
        batch: int,
        capacity: int,
        cached: int,
        dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.embedding = nnx.Embed(vocabulary, width, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.positions = nnx.Embed(context, width, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.blocks = nnx.List(
            [
                DecoderBlock(
                    width=width,
                    heads=heads,
                    batch=batch,
                    capacity=capacity,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(depth)
            ]
        )
        self.norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.position = nnx.Cache(jnp.asarray(cached, jnp.int32))

    def __call__(self, tokens: jax.Array) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
        """Append tokens (batch, tokens) to the cache.

        Returns:
            The logits of the next token, (batch, vocabulary), and the keys and values that the
            cache holds now, block by block.
        """
        position = self.position[...]
        x = self.embedding(tokens) + self.positions(position + jnp.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x, position)
        self.position[...] = position + tokens.shape[1]
        logits: jax.Array = self.embedding.attend(self.norm(x[:, -1]))
        return logits, [block.attention.cache for block in self.blocks]


def transformer_prefill(
    tokens: int = 256,
    width: int = WIDTH,
    depth: int = DEPTH,
    heads: int = HEADS,
    vocabulary: int = VOCABULARY,
    context: int = CONTEXT,
    dtype: str = "float32",
) -> eg.Workload:
    """Read a prompt of `tokens` tokens into an empty cache; return the next token's logits.

    The prompt's length is the axis ``length``.

    Raises:
        eg.EdgeGraphError: The prompt does not fit into the context, or there is no such dtype.
    """
    if not 1 <= tokens <= context:
        raise eg.EdgeGraphError(f"tokens={tokens} must be from 1 to context={context}")
    sizes = {"width": width, "depth": depth, "heads": heads, "vocabulary": vocabulary}
    return _workload("transformer_prefill", tokens, sizes | {"context": context}, dtype)


def transformer_decode(
    context: int = CONTEXT,
    width: int = WIDTH,
    depth: int = DEPTH,
    heads: int = HEADS,
    vocabulary: int = VOCABULARY,
    dtype: str = "float32",
) -> eg.Workload:
    """Decode one token, the last that a cache of `context` tokens has room for.

    How many tokens the cache has room for is the axis ``length``, at most `context`.
    """
    sizes = {"width": width, "depth": depth, "heads": heads, "vocabulary": vocabulary}
    return _workload("transformer_decode", context, sizes | {"context": context}, dtype)


def _workload(name: str, length: int, sizes: dict[str, int], dtype: str) -> eg.Workload:
    """Make the Workload; the cache is part of the module, and so made for each batch size."""
    decodes = name == "transformer_decode"

    def network(batch: int, length: int) -> Network:
        if length > sizes["context"]:
            raise eg.EdgeGraphError(
                f"length={length} must be from 1 to context={sizes['context']}; give"
                f" --set context={length}"
            )
        held = {"capacity": length, "cached": length - 1 if decodes else 0}
        return Network(
            name=name,
            nnx=Transformer,
            sizes=sizes | held | {"batch": batch},
            input_shape=(1 if decodes else length,),
            input_dtype="int32",
            integers_below=sizes["vocabulary"],
        )

    network(1, length).module("nnx", dtype)  # refuses a wrong dtype before any size is known
    return eg.Workload(
        name=name,
        call=lambda batch, length=length: network(batch, length).forward(dtype=dtype).call(batch),
        axes={"length": length},
    )
