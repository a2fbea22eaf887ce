"""How a Flax model is called: its inputs as trees and by keyword, constants, and the method."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from edgegraph.errors import InputError
from edgegraph.workload.values import Shape, parse_dtypes, parse_shapes

Inputs = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the inputs of a model, in a row, are handed to it.

    Attributes:
        structure: Of the positional arguments and the keywords that are inputs; None where all
            inputs are positional arguments.
        constants: Keyword arguments that are handed on as they are.
        method: Name of the method that is called.
    """

    structure: Any = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    method: str = "__call__"

    def arguments(self, inputs: Inputs) -> tuple[Inputs, dict[str, Any]]:
        """Return the positional and the keyword arguments."""
        args, keywords = (
            (inputs, {}) if self.structure is None else jax.tree.unflatten(self.structure, inputs)
        )
        return args, {**keywords, **self.constants}


PLAIN_FORM = Form()


def input_form(
    input_shape: Any,
    dtype: Any,
    kwargs: Mapping[str, Any] | None,
    method: str | Callable[..., Any] | None,
) -> tuple[tuple[Shape, ...], tuple[str, ...], Form]:
    """Return shapes, without batch, and dtypes of a model's inputs in a row, and their form.

    Args:
        input_shape: One shape, a dict of shapes for an input that is a dict, or a sequence of
            these; None where no argument is positional.
        dtype: Of all inputs; or one for each, formed like them.
        kwargs: Keyword arguments; a `jax.ShapeDtypeStruct`, without batch, is an input.
        method: The method, or its name; ``__call__`` where None.

    Raises:
        InputError: A shape or a dtype is none, or no input is given.
    """
    keywords = dict(kwargs or {})
    named = {
        name: keywords.pop(name)
        for name in sorted(keywords)
        if isinstance(keywords[name], jax.ShapeDtypeStruct)
    }
    shapes = tuple(itertools.chain.from_iterable(map(_shapes, _positional(input_shape))))
    if not shapes and not named:
        raise InputError("no input is given; give input_shape, or a jax.ShapeDtypeStruct in kwargs")
    structs = iter([jax.ShapeDtypeStruct(shape, "float32") for shape in shapes])
    args = tuple(_filled(tree, structs) for tree in _positional(input_shape))
    dtypes = parse_dtypes(_in_a_row(dtype), len(shapes))
    name = method if isinstance(method, str) else getattr(method, "__name__", "__call__")
    form = Form(structure=jax.tree.structure((args, named)), constants=keywords, method=name)
    own = parse_dtypes([each.dtype for each in named.values()], len(named))
    return (*shapes, *(each.shape for each in named.values())), (*dtypes, *own), form


def _positional(input_shape: Any) -> Sequence[Any]:
    if input_shape is None:
        return []
    if isinstance(input_shape, Mapping):
        return [input_shape]
    if isinstance(input_shape, Sequence) and any(isinstance(each, Mapping) for each in input_shape):
        return input_shape
    return parse_shapes(input_shape)


def _shapes(tree: Any) -> tuple[Shape, ...]:
    """Return the shapes in a tree in JAX's order, which is that of sorted keys."""
    if isinstance(tree, Mapping):
        return tuple(itertools.chain.from_iterable(_shapes(tree[key]) for key in sorted(tree)))
    return parse_shapes([tree])


def _filled(tree: Any, structs: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _filled(tree[key], structs) for key in sorted(tree)}
    return next(structs)


def _in_a_row(dtype: Any) -> Any:
    several = isinstance(dtype, Mapping) or (
        isinstance(dtype, (list, tuple)) and any(isinstance(each, Mapping) for each in dtype)
    )
    return jax.tree.leaves(dtype) if several else dtype
