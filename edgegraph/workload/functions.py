"""Makes the calls of any function: its arguments split into arrays and the rest, by keyword too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import jax
import numpy as np

from edgegraph.errors import USER_ERRORS, EdgeGraphError, InputError
from edgegraph.workload.calls import Call
from edgegraph.workload.names import describe
from edgegraph.workload.values import random_values


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that a function is to be traced with as it is, where others become arguments."""

    value: Any


def plain(
    function: Callable[..., Any],
    make_args: Callable[[], tuple[Any, ...]],
    *,
    seed: int = 0,
    kwargs: Mapping[str, Any] | None = None,
    donate: Sequence[int] = (),
) -> Call:
    """Return the call of any function; refuse arguments that are no tuple.

    Leaves that are neither arrays nor numbers are bound, as if by `functools.partial`.
    """

    def args() -> tuple[Any, ...]:
        try:
            made = make_args()
        except EdgeGraphError:
            raise
        except USER_ERRORS as error:
            raise InputError(f"the arguments cannot be made: {describe(error)}") from error
        if not isinstance(made, tuple):
            raise InputError(
                f"the arguments came as a {type(made).__name__}; give a tuple of the positional"
                " arguments, such as (x,)"
            )
        return made

    if kwargs:
        return _with_keywords(function, args(), kwargs, seed)
    abstract = _traced_shapes(args)
    if abstract is not None:
        return Call(
            function=function,
            abstract=abstract,
            concrete=lambda: random_values(args(), seed=seed),
            donate=checked_donation(donate, len(abstract)),
        )
    arrays, bound = split(args(), function)
    return Call(
        function=bound, abstract=shapes_of(lambda: arrays),
        concrete=lambda: random_values(split(args(), function)[0], seed=seed),
        donate=checked_donation(donate, len(arrays)),
    )  # fmt: skip


def _with_keywords(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], seed: int
) -> Call:
    """Trace with the keywords, so that parameters keep their names; call with positions."""
    names, count = tuple(sorted(kwargs)), len(args)
    given = (*args, *(kwargs[name] for name in names))
    arrays, bound = split(given, function, names)
    abstract = shapes_of(lambda: arrays)
    keywords = dict(zip(names, abstract[count:], strict=True))

    def by_position(*values: Any) -> Any:
        return bound(*values[:count], **dict(zip(names, values[count:], strict=True)))

    return Call(
        function=by_position,
        abstract=abstract,
        concrete=lambda: random_values(arrays, seed=seed),
        keywords=names,
        stage=lambda: jax.jit(bound, keep_unused=True).trace(*abstract[:count], **keywords),
    )  # fmt: skip


def argument_name(function: Callable[..., Any], params: str | int) -> str:
    """Return the name of an argument that is given by name, path or position.

    Raises:
        InputError: There is no argument at the position.
    """
    if isinstance(params, str):
        return params
    names: list[str] = []
    for name, each in inspect.signature(function).parameters.items():
        if each.kind is each.VAR_POSITIONAL:
            names += [f"{name}[{number}]" for number in range(max(0, params + 1 - len(names)))]
            break
        names.append(name)
    if isinstance(params, bool) or not 0 <= params < len(names):
        raise InputError(
            f"params={params!r} is no argument's position; expected 0 to {len(names) - 1}, or a"
            " name"
        )
    return names[params]


def checked_donation(donate: Sequence[int], count: int) -> tuple[int, ...]:
    """Return which of `count` arguments are donated.

    Raises:
        InputError: A position is none of an argument.
    """
    for position in donate:
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < count:
            raise InputError(
                f"donate={tuple(donate)!r} names argument {position!r}; expected positions from 0"
                f" to {count - 1}"
            )
    return tuple(donate)


def split(
    values: tuple[Any, ...], function: Callable[..., Any], names: Sequence[str] = ()
) -> tuple[tuple[Any, ...], Callable[..., Any]]:
    """Split arguments into arrays, None in the place of the rest, and a function with the rest.

    The last ones are by keyword, under `names`. What the function returns is split likewise.
    """
    leaves, structure = jax.tree.flatten(values)
    kept = [is_array(leaf) for leaf in leaves]
    arrays = jax.tree.unflatten(
        structure, [leaf if keep else None for leaf, keep in zip(leaves, kept, strict=True)]
    )
    if all(kept):
        return arrays, function
    count = len(values) - len(names)
    rest = [None if keep else leaf for leaf, keep in zip(leaves, kept, strict=True)]

    @wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        given = iter(jax.tree.leaves((args, [kwargs[name] for name in names])))
        full = [
            next(given) if keep else leaf.value if isinstance(leaf, Constant) else leaf
            for leaf, keep in zip(rest, kept, strict=True)
        ]
        made = jax.tree.unflatten(structure, full)
        out = function(*made[:count], **dict(zip(names, made[count:], strict=True)))
        return jax.tree.map(lambda leaf: leaf if is_array(leaf) else None, out)

    return arrays, bound


def is_array(leaf: Any) -> bool:
    """Return whether JAX takes it as an argument: an array, its shape, or a number."""
    if isinstance(leaf, (bool, int, float, complex)):
        return True
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "OSUmM"
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _traced_shapes(make_args: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """Return the arguments' shapes, by tracing what makes them where it can be traced."""
    try:
        return shapes_of(make_args)
    except USER_ERRORS:  # such as NumPy working on JAX's arrays; then they have to be made
        return None


def shapes_of(make_args: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the shapes of arguments that may be arrays, numbers or shapes already."""
    trees: list[Any] = []

    def arrays() -> list[Any]:
        trees[:] = jax.tree.flatten(make_args())
        return [leaf for leaf in trees[0] if not isinstance(leaf, jax.ShapeDtypeStruct)]

    made = iter(jax.eval_shape(arrays))
    leaves, treedef = trees
    shapes = [leaf if isinstance(leaf, jax.ShapeDtypeStruct) else next(made) for leaf in leaves]
    tree: tuple[Any, ...] = jax.tree.unflatten(treedef, shapes)
    return tree
