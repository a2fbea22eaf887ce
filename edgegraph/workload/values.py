"""Example values for arguments of which only shape and dtype are known."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.errors import InputError

Shape = tuple[int, ...]

_QUICK_TO_COMPILE = {"xla_backend_optimization_level": 1}


def literal(value: Any) -> Any:
    """Read text as a Python literal, or leave it as it is."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def run_once(function: Callable[[], Any]) -> Any:
    """Run a function that makes weights, compiled together but hardly optimised.

    Drawing the weights of a network compiles longer than it runs.
    """
    return jax.jit(function, compiler_options=_QUICK_TO_COMPILE)()


def input_structs(
    shapes: Sequence[Shape], dtypes: Sequence[str], batch: int
) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Return the inputs at a batch size, the batch in front."""
    return tuple(
        jax.ShapeDtypeStruct((batch, *shape), dtype)
        for shape, dtype in zip(shapes, dtypes, strict=True)
    )


def parse_shapes(input_shape: Any) -> tuple[Shape, ...]:
    """Read one shape, or a sequence of shapes, all without batch."""
    if isinstance(input_shape, Sequence) and not isinstance(input_shape, str):
        several = bool(input_shape) and all(isinstance(item, Sequence) for item in input_shape)
        shapes = tuple(tuple(shape) for shape in (input_shape if several else [input_shape]))
        if all(_is_size(size) for size in itertools.chain.from_iterable(shapes)):
            return shapes
    raise InputError(
        f"input_shape {input_shape!r} is not a shape; give the positive sizes without batch, such"
        " as (28, 28, 1), or a sequence of such shapes"
    )


def _is_size(size: object) -> bool:
    return isinstance(size, (int, np.integer)) and not isinstance(size, bool) and int(size) >= 1


def parse_dtypes(dtype: Any, count: int) -> tuple[str, ...]:
    """Read one dtype for all of `count` inputs, or one for each."""
    several = isinstance(dtype, (list, tuple))
    dtypes = tuple(_dtype_name(one) for one in (dtype if several else (dtype,) * count))
    if len(dtypes) != count:
        raise InputError(f"{len(dtypes)} dtypes were given for {count} inputs; give one for each")
    return dtypes


def _dtype_name(dtype: Any) -> str:
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind in "OSUmM":
        raise InputError(
            f"dtype {dtype!r} is not a dtype of JAX, such as float32, bfloat16 or int32"
        )
    usable = jax.dtypes.canonicalize_dtype(found)
    if usable != found:
        raise InputError(
            f"dtype {found.name} needs 64-bit JAX; set JAX_ENABLE_X64=1, or use {usable.name}"
        )
    return str(found.name)


def random_values(structs: Any, *, seed: int, integers_below: int = 2) -> Any:
    """Fill a tree of `jax.ShapeDtypeStruct`s with values that depend on `seed` alone.

    Leaves that are something else stay what they are. Floats are standard normal, integers
    uniform in [0, `integers_below`).
    """
    generator = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: (
            _random_value(leaf, generator, integers_below)
            if isinstance(leaf, jax.ShapeDtypeStruct)
            else leaf
        ),
        structs,
    )


def _random_value(
    struct: jax.ShapeDtypeStruct, generator: np.random.Generator, integers_below: int
) -> jax.Array:
    shape, dtype = struct.shape, struct.dtype
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        seeds = jnp.asarray(generator.integers(0, 2**31, size=shape, dtype=np.uint32))
        return jax.vmap(jax.random.key)(seeds.reshape(-1)).reshape(shape)
    if jnp.issubdtype(dtype, jnp.integer) or dtype == jnp.bool_:
        return jnp.asarray(generator.integers(0, integers_below, size=shape), dtype)
    values = generator.standard_normal(shape, np.float32)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return jnp.asarray(values + 1j * generator.standard_normal(shape, np.float32), dtype)
    return jnp.asarray(values, dtype)
