"""Shapes, dtypes and random values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edgegraph.errors import InputError
from edgegraph.workload.values import (
    input_structs,
    parse_dtypes,
    parse_shapes,
    random_values,
    run_once,
)


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ((28, 28, 1), ((28, 28, 1),)),
        ([28, 28], ((28, 28),)),
        ((), ((),)),
        ([(4,), (2, 3)], ((4,), (2, 3))),
        ((np.int64(5),), ((5,),)),
    ],
)
def test_shapes(given: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    assert parse_shapes(given) == shapes


@pytest.mark.parametrize("given", ["28", 28, (0,), (-1, 2), (True,), (2.0,), [(2,), (0,)], None])
def test_what_is_no_shape_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="is not a shape; give the positive sizes without batch"):
        parse_shapes(given)


def test_dtypes() -> None:
    assert parse_dtypes("bfloat16", 2) == ("bfloat16", "bfloat16")
    assert parse_dtypes([jnp.int32, np.float16], 2) == ("int32", "float16")
    with pytest.raises(InputError, match="2 dtypes were given for 3 inputs"):
        parse_dtypes(("int32", "int8"), 3)
    for wrong in ("float33", "O", "datetime64[s]"):
        with pytest.raises(InputError, match="is not a dtype of JAX"):
            parse_dtypes(wrong, 1)
    with pytest.raises(InputError, match="set JAX_ENABLE_X64=1, or use float32"):
        parse_dtypes("float64", 1)


def test_the_batch_stands_in_front() -> None:
    (image, token) = input_structs(((8, 8), ()), ("float32", "int32"), 5)
    assert (image.shape, token.shape) == ((5, 8, 8), (5,))
    assert (image.dtype, token.dtype) == (jnp.float32, jnp.int32)


def test_values_depend_on_the_seed_alone_and_fill_their_range() -> None:
    struct = jax.ShapeDtypeStruct((10_000,), "float32")
    tokens = jax.ShapeDtypeStruct((10_000,), "int32")
    complex_ = jax.ShapeDtypeStruct((10_000,), "complex64")
    floats, integers, others, kept = random_values(
        (struct, tokens, complex_, 2.5), seed=3, integers_below=7
    )
    again = random_values((struct, tokens, complex_, 2.5), seed=3, integers_below=7)
    np.testing.assert_array_equal(floats, again[0])
    assert not np.array_equal(floats, random_values(struct, seed=4))
    # Of 10,000 standard normal values the mean is known to 0.01 and the deviation to 0.007.
    assert float(floats.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(floats.std()) == pytest.approx(1.0, abs=0.04)
    assert sorted(set(integers.tolist())) == list(range(7))
    assert float(others.imag.std()) == pytest.approx(1.0, abs=0.04)
    assert kept == 2.5


def test_weights_are_made_as_the_function_says() -> None:
    made = run_once(lambda: {"w": jnp.arange(3.0) * 2})
    np.testing.assert_array_equal(made["w"], [0.0, 2.0, 4.0])
