"""The smallest workload, which other processes make anew from its name."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from edgegraph.workload import Workload


def tiny(dtype: str = "float32", name: str = "tiny") -> Workload:
    def arguments(batch: int) -> tuple[jax.ShapeDtypeStruct, ...]:
        return (jax.ShapeDtypeStruct((batch, 4), dtype),)

    return Workload.from_function(jnp.sin, arguments, name=name)


def tiny_too() -> Workload:
    return tiny(name="tiny_too")
