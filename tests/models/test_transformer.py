"""The transformer: its cache, and what it counts."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

import edgegraph as eg
from models.transformer import Transformer, transformer_decode, transformer_prefill
from tests.models.macs import products

SIZES: dict[str, Any] = {"width": 32, "depth": 2, "heads": 4, "vocabulary": 50}


def transformer(capacity: int) -> Transformer:
    return Transformer(
        **SIZES,
        context=16,
        batch=2,
        capacity=capacity,
        cached=0,
        dtype="float32",
        rngs=nnx.Rngs(0),
    )


def test_decoding_token_by_token_gives_what_prefill_gives() -> None:
    tokens = jax.random.randint(jax.random.key(1), (2, 8), 0, SIZES["vocabulary"])
    at_once, _ = transformer(capacity=8)(tokens)
    one_by_one = transformer(capacity=16)
    for position in range(8):
        logits, _ = one_by_one(tokens[:, position : position + 1])
    np.testing.assert_allclose(logits, at_once, rtol=1e-5, atol=1e-5)
    assert int(one_by_one.position[...]) == 8


def test_a_token_does_not_see_later_ones() -> None:
    tokens = jax.random.randint(jax.random.key(1), (2, 8), 0, SIZES["vocabulary"])
    other = tokens.at[:, 6:].set(0)
    caches = [transformer(capacity=8)(these)[1] for these in (tokens, other)]
    for (keys, values), (other_keys, other_values) in zip(*caches, strict=True):
        np.testing.assert_allclose(keys[:, :6], other_keys[:, :6], atol=1e-6)
        np.testing.assert_allclose(values[:, :6], other_values[:, :6], atol=1e-6)


def test_decoding_reads_the_cache_of_every_sequence() -> None:
    call = transformer_decode(context=64, **SIZES).call(3)
    state = call.abstract[1]
    assert state["blocks_1"]["attention"]["key_cache"].shape == (3, 64, 4, 8)
    logits, cache = jax.eval_shape(call.function, *call.abstract)
    assert logits.shape == (3, 50)
    assert [keys.shape for keys, _ in cache] == [(3, 64, 4, 8)] * 2


def test_decoding_starts_behind_a_full_cache() -> None:
    _, state, tokens = transformer_decode(context=64, **SIZES).call(1).concrete()
    assert int(state["position"]) == 63
    assert tokens.shape == (1, 1)


@pytest.mark.parametrize("context", [256, 512])
def test_the_cache_costs_macs_in_its_length(context: int) -> None:
    width, depth = SIZES["width"], SIZES["depth"]
    macs = sum(product.macs for product in products(transformer_decode(context=context, **SIZES)))
    blocks = depth * (12 * width**2 + 2 * context * width)
    assert macs == blocks + SIZES["vocabulary"] * width


def test_the_length_is_an_axis_of_both() -> None:
    prefill = transformer_prefill(tokens=16, context=64, **SIZES)
    assert prefill.axes == {"length": 16}
    assert prefill.call(2, length=8).abstract[2].shape == (2, 8)
    decode = transformer_decode(context=64, **SIZES)
    assert decode.axes == {"length": 64}
    short = decode.at(length=8).call(2).abstract
    assert short[1]["blocks_0"]["attention"]["key_cache"].shape == (2, 8, 4, 8)
    assert short[0]["positions"]["embedding"].shape == (64, 32)  # the model stays what it is
    with pytest.raises(eg.EdgeGraphError, match="length=65 must be from 1 to context=64; give"):
        decode.call(1, length=65)


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    with pytest.raises(eg.EdgeGraphError, match="tokens=65 must be from 1 to context=64"):
        transformer_prefill(tokens=65, context=64)
