"""Driving a program's data out of the caches."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from edgegraph.device import host
from edgegraph.errors import InputError

TIMES_LAST_CACHE = 4
"""At four times the last cache's size, replacement keeps little of what was there."""


def cold_bytes() -> int:
    """Return how much has to be touched so that nothing else is left in the caches.

    Raises:
        InputError: The system does not tell how large its caches are.
    """
    caches = host.caches(host.usable_cores())
    if not caches:
        raise InputError(
            "this system does not report how large its caches are, so they cannot be emptied;"
            " measure with warm caches"
        )
    return TIMES_LAST_CACHE * caches[-1].size_bytes


def cache_emptier(size_bytes: int | None = None) -> Callable[[], None]:
    """Return a call that reads and writes more data than the caches hold, on all threads of XLA.

    Args:
        size_bytes: How much; four times the last cache where None.

    Raises:
        InputError: The system does not tell how large its caches are.
    """
    count = (cold_bytes() if size_bytes is None else size_bytes) // 4
    struct = jax.ShapeDtypeStruct((count,), jnp.float32)
    with jax.default_device(jax.devices("cpu")[0]):
        touch = jax.jit(lambda held: held + 1.0, donate_argnums=0).lower(struct).compile()
        held = jnp.zeros((count,), jnp.float32)

    def empty() -> None:
        nonlocal held
        held = jax.block_until_ready(touch(held))

    return empty
