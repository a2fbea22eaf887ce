"""Which arguments are the cache, and that a decode step writes them in place."""

from __future__ import annotations

from typing import Any

import jax
import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.serve.cache import InPlace, cache_bytes, cache_leaves, in_place
from models.transformer import transformer_decode

SIZES: dict[str, Any] = {"width": 32, "depth": 2, "heads": 4, "vocabulary": 50, "context": 64}


def struct(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, "float32")


def step(returns: bool = True) -> eg.Workload:
    """Return a step with a cache, a mask as long as it, a table of positions, and a token."""

    def decode(cache: Any, mask: jax.Array, table: jax.Array, token: jax.Array) -> Any:
        keys = cache["keys"] + token[:, None]
        out = (keys * mask[:, None] + table).sum(1)
        return (out, keys) if returns else out

    def arguments(batch: int, length: int) -> Any:
        cache = {"keys": struct(batch, length, 8), "position": struct()}
        return cache, struct(length), struct(length, 8), struct(batch, 8)

    return eg.Workload.from_function(decode, arguments, name="step")


def test_what_grows_with_batch_and_context_is_the_cache() -> None:
    assert cache_leaves(step(), "length", 2, 16) == [[True, False], [False], [False], [False]]
    assert cache_bytes(step(), "length", 2, 16) == 2 * 16 * 8 * 4
    assert cache_bytes(step(), "length", 1, 1) == 8 * 4
    # Keys and values of two blocks: 3 sequences of 16 tokens of 32 floats.
    assert cache_bytes(transformer_decode(**SIZES), "length", 3, 16) == 2 * 2 * 3 * 16 * 32 * 4


def test_nothing_that_grows_is_no_cache() -> None:
    dense = eg.Workload.from_function(
        lambda x: x, lambda batch, length: (struct(batch, 8), struct(length, 8))
    )
    assert cache_bytes(dense, "length", 2, 16) is None
    assert in_place(dense, "length").call(2, length=16).donate == ()


def test_the_cache_is_donated_with_what_little_stands_beside_it() -> None:
    call = in_place(step(), "length").call(2, length=16)
    assert call.donate == (0,)
    made = InPlace(step(), "length")().at(length=16)
    assert made.notes == ("its cache is written in place, as a server does",)
    # The results are the output, the cache over the argument's memory, and its position.
    program = eg.compile(made, batch=2)
    assert program.memory is not None
    assert program.memory.alias_bytes == 2 * 16 * 8 * 4 + 4


def test_a_cache_that_is_not_returned_is_left_alone() -> None:
    assert in_place(step(returns=False), "length").call(2, length=16).donate == ()


def test_another_structure_is_refused() -> None:
    odd = eg.Workload.from_function(
        lambda x: x, lambda batch, length: ([struct(batch, 8)] * length,), name="odd"
    )
    with pytest.raises(InputError, match="the arguments of odd have another structure at another"):
        cache_leaves(odd, "length", 2, 4)
