"""Compare the results of an improved program with those of the plain one, on several inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.base.timing import monotonic_clock
from edgegraph.errors import USER_ERRORS, InputError, first_line
from edgegraph.rewrites.rewriter import rewritten
from edgegraph.studies.improve.trials import ROUNDING, OutputCheck
from edgegraph.studies.improve.whole import PLAIN, Recipe, Whole

SCALES = (1e-3, 1.0, 1e3)
"""Of random inputs."""

BEYOND = float(np.finfo(np.float32).max)
"""Stands for the distance of what is finite from what is not."""


@dataclass(frozen=True, slots=True)
class _Case:
    """Inputs, and the results of the plain program for them and for their neighbours."""

    name: str
    arguments: tuple[Any, ...]
    before: Any
    sensitivity: list[float]
    runs: Callable[[Recipe], Callable[..., Any]]


class Proof:
    """Compares programs with the plain one, whose own results are computed once.

    Args:
        whole: The programs.
        seconds: Take further inputs as long as that lasts; the given ones are taken in any case.
        tolerance: Share of its largest number that a result may move besides four times what it
            moves by itself.
        gradients: Compare the gradient of the sum of all results, too.
    """

    def __init__(
        self,
        whole: Whole,
        *,
        seconds: float,
        tolerance: float = ROUNDING,
        gradients: bool = False,
    ) -> None:
        self._tolerance = tolerance
        self._cases: list[_Case] = []

        def derived(recipe: Recipe) -> Callable[..., Any]:
            return jax.jit(gradient(rewritten(whole.call.function, dict(recipe.decisions))))

        if gradients:
            self._cases.append(_case("given, gradient", whole.arguments, derived))
        given, *others = input_sets(whole.arguments, whole.call.held)
        self._cases.append(_case(*given, whole.runs))
        # Compiling, and making the weights, is done by now.
        end = monotonic_clock() + seconds * 1e9
        for name, arguments in others:
            if monotonic_clock() < end:
                self._cases.append(_case(name, arguments, whole.runs))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(case.name for case in self._cases)

    def check(self, recipe: Recipe) -> tuple[OutputCheck, ...]:
        """Return for each result how far it moved, with the inputs with which it moved furthest."""
        worst: dict[str, OutputCheck] = {}
        for case in self._cases:
            for each in self._compared(case, case.runs(recipe)(*case.arguments)):
                known = worst.get(each.name)
                if known is None or each.share > known.share:
                    worst[each.name] = each
        return tuple(worst.values())

    def _compared(self, case: _Case, after: Any) -> Iterator[OutputCheck]:
        named = jax.tree_util.tree_leaves_with_path(case.before)
        label = "gradient" if case.name.endswith("gradient") else ""
        for (path, one), other, sensitivity in zip(
            named, jax.tree.leaves(after), case.sensitivity, strict=True
        ):
            yield OutputCheck(
                name=f"{label}{jax.tree_util.keystr(path)}" or "result",
                largest=largest(one),
                difference=distance(one, other),
                sensitivity=sensitivity,
                inputs=case.name,
                tolerance=self._tolerance,
            )


def _case(
    name: str, arguments: tuple[Any, ...], runs: Callable[[Recipe], Callable[..., Any]]
) -> _Case:
    plain = runs(PLAIN)
    before = plain(*arguments)
    neighbours = [jax.tree.leaves(plain(*moved_by_one_ulp(arguments, to))) for to in (1, -1)]
    sensitivity = [
        max(distance(one, other, known=True) for other in others)
        for one, *others in zip(jax.tree.leaves(before), *neighbours, strict=True)
    ]
    return _Case(name, arguments, before, sensitivity, runs)


def input_sets(arguments: tuple[Any, ...], held: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the given arguments, and others with their data replaced.

    Numbers become random ones of several scales, and zeros; integers, such as tokens, and truth
    values are the given ones in another order, so that they stay in their range.

    Args:
        arguments: As the program takes them.
        held: How many of the first stay as they are: weights and state.
    """
    yield "given", arguments
    for scale in (*SCALES, 0.0):
        drawn = np.random.default_rng(0)

        def value(leaf: Any, drawn: Any = drawn, scale: float = scale) -> Any:
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                numbers = scale * drawn.standard_normal(leaf.shape)
                return jnp.asarray(numbers, leaf.dtype)
            if scale and jnp.issubdtype(leaf.dtype, jnp.integer) and leaf.size:
                given = np.asarray(leaf)
                return jnp.asarray(drawn.permutation(given.ravel()).reshape(given.shape))
            return leaf

        data = jax.tree.map(value, arguments[held:])
        yield f"random times {scale:g}" if scale else "zeros", (*arguments[:held], *data)


def gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what gives the gradient of the sum of a function's results, for all its numbers."""

    def total(*arguments: Any) -> Any:
        leaves = jax.tree.leaves(function(*arguments))
        floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in floats)

    def found(*arguments: Any) -> Any:
        places = tuple(range(len(arguments)))
        every = jax.grad(total, argnums=places, allow_int=True)(*arguments)
        return jax.tree.map(lambda leaf: None if leaf.dtype == jax.float0 else leaf, every)

    return found


def check_differentiable(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Raise an InputError for a function that has no gradient.

    Raises:
        InputError: JAX cannot differentiate it.
    """
    try:
        jax.eval_shape(gradient(function), *arguments)
    except USER_ERRORS as error:  # rules of derivatives raise what they like
        raise InputError(
            f"gradients cannot be compared, as the function has none: {first_line(error)}"
        ) from error


def largest(array: Any) -> float:
    """Return the largest finite number of an array."""
    values = _numbers(array)
    return float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))


def distance(one: Any, other: Any, *, known: bool = False) -> float:
    """Return the largest difference of two arrays.

    Args:
        one: Whose places that are not finite do not count.
        other: Where this one is not finite besides, it lies beyond all numbers.
        known: Leave out such places.
    """
    left, right = _numbers(one), _numbers(other)
    both = np.isfinite(left) & np.isfinite(right)
    if not known and np.any(np.isfinite(left) & ~both):
        return BEYOND
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.max(np.abs(left - right), initial=0.0, where=both))


def _numbers(array: Any) -> np.ndarray:
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return np.zeros(())
    wide = np.complex128 if jnp.issubdtype(array.dtype, jnp.complexfloating) else np.float64
    return np.asarray(array).astype(wide)


def moved_by_one_ulp(tree: Any, to: int = 1) -> Any:
    """Return a tree whose floating-point numbers are one unit in the last place further up.

    Args:
        tree: Of arrays and numbers.
        to: 1, or -1 for further down.
    """

    def moved(leaf: Any) -> Any:
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            return leaf
        # By NumPy, since JAX compiles it anew for every shape.
        given = np.asarray(leaf, dtype)
        return jnp.asarray(np.nextafter(given, np.asarray(to * np.inf, dtype)))

    return jax.tree.map(moved, tree)
