"""The cache of a decode step: which of its arguments it is, how large, and written in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import jax

from edgegraph.base.axes import BATCH
from edgegraph.errors import InputError
from edgegraph.studies.sweep.plan import Subject, make_workload
from edgegraph.workload import Call, Workload

_BESIDE = 0.01
"""Share of an argument's bytes that may be something else than cache, such as a position."""

IN_PLACE = "its cache is written in place, as a server does"


@dataclass(frozen=True, slots=True)
class InPlace:
    """Makes a decode step that writes its cache in place; it travels to other processes."""

    subject: Subject
    axis: str

    def __call__(self, dtype: str | None = None) -> Workload:
        """Make it, for a dtype where one is given."""
        return in_place(make_workload(self.subject, dtype), self.axis)


def cache_leaves(workload: Workload, axis: str, batch: int, size: int) -> list[list[bool]]:
    """Return which arrays are cache, argument by argument: what grows with batch and axis both.

    Raises:
        InputError: The arguments have another structure at another size.
    """

    def leaves(batch: int, size: int) -> list[list[int]]:
        abstract = workload.call(batch, **{axis: size}).abstract
        return [[_bytes(leaf) for leaf in jax.tree.leaves(tree)] for tree in abstract]

    here = leaves(batch, size)
    others = leaves(2 if batch == 1 else 1, size), leaves(batch, size // 2 or 2)
    try:
        return [
            [own not in rest for own, *rest in zip(*trees, strict=True)]
            for trees in zip(here, *others, strict=True)
        ]
    except ValueError as error:
        raise InputError(
            f"the arguments of {workload.name} have another structure at another {BATCH} or {axis};"
            " expected arrays that grow"
        ) from error


def _bytes(leaf: Any) -> int:
    return int(leaf.size * leaf.dtype.itemsize)


def cache_bytes(workload: Workload, axis: str, batch: int, size: int) -> int | None:
    """Return how large the cache is; None where nothing grows with the batch and the axis both."""
    arguments = workload.call(batch, **{axis: size}).abstract
    held = sum(
        _bytes(leaf)
        for tree, cached in zip(arguments, cache_leaves(workload, axis, batch, size), strict=True)
        for leaf, is_cache in zip(jax.tree.leaves(tree), cached, strict=True)
        if is_cache
    )
    return held or None


def in_place(workload: Workload, axis: str) -> Workload:
    """Return a decode step that donates its cache, where it returns it.

    Arguments that are cache but for a little are donated; the little is returned as it came, so
    that all that is donated finds its place among the results.
    """

    def call(batch: int, **sizes: int) -> Call:
        plain = workload.call(batch, **sizes)
        size = sizes.get(axis, workload.axes[axis])
        assert size is not None  # else the call would have failed
        if plain.stage is not None or plain.keywords:
            return plain
        cached = cache_leaves(workload, axis, batch, size)
        donated = [
            position
            for position, (tree, own) in enumerate(zip(plain.abstract, cached, strict=True))
            if _is_cache(tree, own) and position not in plain.donate
        ]
        if not donated or not _returned(plain, donated, cached):
            return plain
        function = _returning(plain.function, donated, cached)
        return replace(plain, function=function, donate=(*plain.donate, *donated))

    return replace(workload, call=call, notes=(*workload.notes, IN_PLACE))


def _is_cache(tree: Any, cached: list[bool]) -> bool:
    sizes = [_bytes(leaf) for leaf in jax.tree.leaves(tree)]
    beside = sum(size for size, is_cache in zip(sizes, cached, strict=True) if not is_cache)
    return any(cached) and beside <= _BESIDE * sum(sizes)


def _returned(plain: Call, donated: list[int], cached: list[list[bool]]) -> bool:
    """Return whether the results have a place for every array of the cache."""
    results = Counter(
        (leaf.shape, leaf.dtype)
        for leaf in jax.tree.leaves(jax.eval_shape(plain.function, *plain.abstract))
    )
    wanted = Counter(
        (leaf.shape, leaf.dtype)
        for position in donated
        for leaf, is_cache in zip(
            jax.tree.leaves(plain.abstract[position]), cached[position], strict=True
        )
        if is_cache
    )
    return wanted <= results


def _returning(
    function: Callable[..., Any], donated: list[int], cached: list[list[bool]]
) -> Callable[..., Any]:
    @wraps(function)
    def step(*arguments: Any) -> Any:
        beside = [
            leaf
            for position in donated
            for leaf, is_cache in zip(
                jax.tree.leaves(arguments[position]), cached[position], strict=True
            )
            if not is_cache
        ]
        return function(*arguments), beside

    return step
