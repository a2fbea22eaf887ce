"""Axes of a workload besides the batch: sizes with a name, such as the length of a sequence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from edgegraph.base.axes import BATCH
from edgegraph.errors import InputError, positive_integer

Axes = Mapping[str, int | None]
"""The size that is meant where none is given, by the name of the axis; None where one has to be."""


def axes_of(make_args: Callable[..., Any]) -> dict[str, int | None]:
    """Return the axes of what makes arguments: its parameters after the first, which is the batch.

    One whose default is no positive integer is none.

    Raises:
        InputError: The batch is not the first.
    """
    try:
        parameters = list(inspect.signature(make_args).parameters.values())[1:]
    except (TypeError, ValueError):  # a built-in function
        return {}
    axes: dict[str, int | None] = {}
    for each in parameters:
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            continue
        if each.default is each.empty:
            axes[each.name] = None
        elif isinstance(each.default, int) and each.default >= 1 and each.default is not True:
            axes[each.name] = each.default
    if BATCH in axes:
        raise InputError(
            f"make_args takes {BATCH} behind another; its first parameter is the batch size, and"
            f" the axes follow: lambda {', '.join([BATCH, *(n for n in axes if n != BATCH)])}: ..."
        )
    return axes


def named_sizes(shapes: Any) -> dict[str, int | None]:
    """Return the axes in one shape, or in a sequence or dict of shapes: what is a name in it.

    Raises:
        InputError: A name is none, or is that of the batch, which no shape has.
    """
    names: dict[str, int | None] = {}
    for each in _leaves(shapes) if isinstance(shapes, (list, tuple, Mapping)) else ():
        if isinstance(each, str):
            if not each.isidentifier() or each == BATCH:
                raise InputError(
                    f"{each!r} in the shape {shapes!r} names no axis; expected a word such as"
                    " length, and no batch, which stands in front by itself"
                )
            names[each] = None
    return names


def _leaves(tree: Any) -> list[Any]:
    parts = tree.values() if isinstance(tree, Mapping) else tree
    return [
        leaf
        for part in parts
        for leaf in (_leaves(part) if isinstance(part, (list, tuple, Mapping)) else [part])
    ]


def with_sizes(shapes: Any, sizes: Mapping[str, int]) -> Any:
    """Return shapes with sizes in the place of names."""
    if isinstance(shapes, Mapping):
        return {key: with_sizes(each, sizes) for key, each in shapes.items()}
    if isinstance(shapes, (list, tuple)):
        filled = [sizes[each] if isinstance(each, str) else with_sizes(each, sizes)
                  for each in shapes]  # fmt: skip
        return type(shapes)(filled)
    return shapes


def checked_sizes(name: str, axes: Axes, sizes: Mapping[str, object]) -> dict[str, int]:
    """Return sizes along axes of the workload called `name`.

    Raises:
        InputError: It has no such axis, or a size is no positive integer.
    """
    for axis in sizes:
        if axis not in axes:
            known = f"it has {', '.join(axes)}" if axes else "it has none besides the batch"
            raise InputError(f"{name} has no axis {axis!r}; {known}")
    return {axis: positive_integer(size, axis) for axis, size in sizes.items()}


def complete(name: str, axes: Axes, sizes: Mapping[str, int]) -> Mapping[str, int]:
    """Return the sizes, where each axis without a default has one.

    Raises:
        InputError: One is missing.
    """
    for axis, default in axes.items():
        if default is None and axis not in sizes:
            raise InputError(
                f"{name} needs a size along its axis {axis}; give --axis {axis}=SIZE, or take"
                f" workload.at({axis}=SIZE)"
            )
    return sizes
