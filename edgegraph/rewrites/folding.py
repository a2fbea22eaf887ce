"""Folds what multiplies and shifts the channels of a product into its weights and one addition.

    (conv(x, w) - mean) * factor + bias = conv(x, w * factor) + (bias - mean * factor)

with a number for each channel of the result: batch norms as they are when a model is used, with
statistics that are known. Where these come from the data, as in training, nothing is folded. The
sum of a product is multiplied before it is taken, so that results differ by the order of rounding;
a factor that is not finite makes all it multiplies NaN or infinite, as plain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph.rewrites.prepared import Literal, Step, Traced, run_step, traced_call
from edgegraph.rewrites.rule import site_of

_AFFINE = frozenset({"add", "sub", "mul", "div"})


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """A product, and the steps that multiply and shift what it makes, one after the other."""

    product: Step
    steps: tuple[Step, ...]
    made: int

    def run(self, values: dict[int, Any]) -> None:
        """Compute the product of folded weights, and add what is left, in the last step's place."""
        kernel = self.product.reads[1]
        weights = values[kernel]
        factor: Any = jnp.ones((), weights.dtype)
        shift: Any = None
        for step in self.steps:
            other = step.reads[1]
            number = other.value if isinstance(other, Literal) else values[other]
            match step.equation.primitive.name:
                case "add":
                    shift = number if shift is None else shift + number
                case "sub":
                    shift = -number if shift is None else shift - number
                case "mul":
                    factor, shift = factor * number, None if shift is None else shift * number
                case "div":
                    factor, shift = factor / number, None if shift is None else shift / number
        shape = [1] * weights.ndim
        shape[self.made] = weights.shape[self.made]
        factor = jnp.broadcast_to(jnp.ravel(factor), weights.shape[self.made])
        folded = dict(values) | {kernel: weights * factor.reshape(shape)}
        run_step(self.product, folded)
        last = self.steps[-1]
        with last.place():
            found = folded[self.product.writes[0]]
            values[last.writes[0]] = found if shift is None else found + shift


def folded(function: Callable[..., Any], arguments: Sequence[Any], held: int) -> Folded:
    """Return a function whose products have what follows them folded into their weights.

    Args:
        function: Of positional arguments.
        arguments: Trees of arrays or `jax.ShapeDtypeStruct`s.
        held: How many of the first are weights, which alone a factor may depend on.

    Example:
        >>> import jax.numpy as jnp
        >>> def dense(weights, x):
        ...     return (x @ weights["w"]) * weights["factor"] + 1.0
        >>> weights = {"w": jnp.ones((2, 3)), "factor": jnp.arange(3.0)}
        >>> found = folded(dense, (weights, jnp.ones((1, 2))), 1)
        >>> found.count, found.function(weights, jnp.ones((1, 2))).tolist()
        (1, [[1.0, 3.0, 5.0]])
    """
    traced, shapes = traced_call(function, arguments, held)
    chains = list(_chains(traced))
    last = {id(chain.steps[-1]): chain for chain in chains}
    gone = {id(step) for chain in chains for step in (chain.product, *chain.steps)}

    def run(*given: Any) -> Any:
        values = traced.constants | dict(zip(traced.inputs, jax.tree.leaves(given), strict=True))
        for step in traced.steps:
            if id(step) in last:
                last[id(step)].run(values)
            elif id(step) not in gone:
                run_step(step, values)
        return traced.returned(values, shapes)

    return Folded(run if chains else function, len(chains))


@dataclass(frozen=True, slots=True)
class Folded:
    """A function, and how many of its products have been folded."""

    function: Callable[..., Any]
    count: int


def _chains(traced: Traced) -> Iterator[_Chain]:
    readers: dict[Any, Step] = {each: step for step in traced.steps for each in step.reads}
    uses = Counter(each for step in traced.steps for each in step.reads)
    uses.update(each for each in traced.results if not isinstance(each, Literal))
    for step in traced.steps:
        channels = _channels(step)
        if channels is None or traced.is_known(step) or step.reads[1] not in traced.known:
            continue
        feature, made = channels
        steps: list[Step] = []
        value = step.writes[0]
        while uses[value] == 1 and value in readers:
            reader = readers[value]
            if not _by_channel(reader, value, feature, traced):
                break
            steps.append(reader)
            value = reader.writes[0]
        if any(each.equation.primitive.name in ("mul", "div") for each in steps):
            yield _Chain(step, tuple(steps), made)


def _channels(step: Step) -> tuple[int, int] | None:
    """Return which dimension of a product's result, and of its weights, are the channels out."""
    site = site_of(step.equation)
    if len(site.operands) != 2 or len(site.results) != 1:
        return None
    # Narrower weights would be rounded once more.
    dtypes = {each.dtype for each in (*site.operands, *site.results)}
    if dtypes not in ({jnp.dtype(jnp.float32)}, {jnp.dtype(jnp.float64)}):
        return None
    if site.name == "conv_general_dilated":
        numbers = site.params["dimension_numbers"]
        return numbers.out_spec[1], numbers.rhs_spec[0]
    if site.name == "dot_general":
        (_, taken), (_, batched) = site.params["dimension_numbers"]
        free = [n for n in range(site.operands[1].ndim) if n not in taken]
        if not batched and len(free) == 1:
            return site.results[0].ndim - 1, free[0]
    return None


def _by_channel(step: Step, value: int, feature: int, traced: Traced) -> bool:
    """Return whether a step multiplies or shifts a value by one known number for each channel."""
    site = site_of(step.equation)
    if site.name not in _AFFINE or step.reads[0] != value:
        return False
    other, shape = step.reads[1], site.operands[1].shape
    known = isinstance(other, Literal) or other in traced.known
    return known and all(size == 1 or n == feature for n, size in enumerate(shape))
