"""Holds every rule that applies to a function against the function itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.rewrites.rewriter import find_sites, rewritten
from edgegraph.rewrites.rule import forms

NEAR = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 2e-2, "float16": 2e-3}
"""Largest difference by the order of sums alone, relative to the largest result."""


def drawn(*shape: int, seed: int = 0, dtype: Any = "float32") -> jax.Array:
    """Return random numbers, by NumPy: JAX compiles its own anew for every shape."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return jnp.asarray(numbers, np.float64 if dtype == "float64" else np.float32).astype(dtype)


def applying(function: Callable[..., Any], *arguments: Any) -> dict[str, set[str]]:
    """Return the rules that apply somewhere in a function, with the signatures of their sites."""
    found: dict[str, set[str]] = {}
    for each in find_sites(jax.make_jaxpr(function)(*arguments)):
        for rule, _ in forms(each.site):
            found.setdefault(rule.name, set()).add(each.site.signature)
    return found


def forced(function: Callable[..., Any], rule: str, *arguments: Any) -> Callable[..., Any]:
    """Return a function with one rule applied wherever it can be."""
    return rewritten(function, dict.fromkeys(applying(function, *arguments)[rule], rule))


def check(function: Callable[..., Any], rule: str, *arguments: Any, equal: bool = False) -> None:
    """Check that a rule applies, and that it leaves the results as they are."""
    expected = jax.jit(function)(*arguments)
    found = jax.jit(forced(function, rule, *arguments))(*arguments)
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        assert one.dtype == other.dtype
        near = 0.0 if equal else NEAR[str(one.dtype)]
        left, right = np.asarray(one, np.float64), np.asarray(other, np.float64)
        largest = np.max(np.abs(left), initial=0.0, where=np.isfinite(left))
        np.testing.assert_allclose(right, left, rtol=0, atol=near * max(largest, 1e-30))
