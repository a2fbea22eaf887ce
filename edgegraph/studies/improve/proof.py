"""Holds the results of an improved program against those of the plain one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.studies.improve.result import OutputCheck
from edgegraph.studies.improve.whole import PLAIN, Recipe, Whole


class Proof:
    """Compares programs with the plain one, whose own results are computed once."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        plain = whole.program(PLAIN).executable
        self._before = plain(*whole.arguments)
        self._moved = plain(*moved_by_one_ulp(whole.arguments))

    def check(self, recipe: Recipe) -> tuple[OutputCheck, ...]:
        """Compare all results of a program, and of the plain one with inputs moved a little."""
        after = self.whole.program(recipe).executable(*self.whole.arguments)
        named = jax.tree_util.tree_leaves_with_path(self._before)
        return tuple(
            OutputCheck(
                name=jax.tree_util.keystr(path) or "result",
                largest=largest(one),
                difference=largest(one, other),
                sensitivity=largest(one, third),
            )
            for (path, one), other, third in zip(
                named, *map(jax.tree.leaves, (after, self._moved)), strict=True
            )
        )


def largest(array: Any, other: Any = None) -> float:
    """Return the largest number of an array, or of its difference from another."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return 0.0
    values = np.asarray(array, np.float64)
    if other is not None:
        values = values - np.asarray(other, np.float64)
    return float(np.nanmax(np.abs(values), initial=0.0))


def moved_by_one_ulp(tree: Any) -> Any:
    """Return a tree whose floating-point numbers are larger by one unit in the last place."""

    def moved(leaf: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return leaf
        return jnp.nextafter(leaf, jnp.full_like(leaf, jnp.inf))

    return jax.tree.map(moved, tree)
