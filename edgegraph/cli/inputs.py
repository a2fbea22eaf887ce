"""The shapes of ``--input``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edgegraph.errors import InputError


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape such as ``28x28x1`` or ``28,28,1``."""
    parts = text.strip("()[] ").replace("x", ",").split(",")
    try:
        sizes = tuple(int(part) for part in parts if part.strip())
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise InputError(
            f"--input {text!r} is not a shape; write the sizes without batch, such as 28x28x1"
        )
    return sizes


def parse_inputs(texts: Sequence[str]) -> Any:
    """Read the inputs of a model: one shape, several in a row, or several by name.

    A shape is ``28x28x1``, or with a dtype of its own ``i32[128]``, which makes it a
    `jax.ShapeDtypeStruct`.

    Raises:
        InputError: One is no shape, some have names and some have none, or a name is there twice.
    """
    pairs = [_named(text) for text in texts]
    names = [name for name, _ in pairs]
    if not any(names):
        shapes = [shape for _, shape in pairs]
        return shapes[0] if len(shapes) == 1 else shapes
    if not all(names):
        raise InputError(
            f"--input {' '.join(texts)}: give every input a name, such as x=16, or none"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--input gives {twice!r} twice; give it once")
    return dict(pairs)


def _named(text: str) -> tuple[str, Any]:
    name, equals, shape = text.rpartition("=")
    if equals and not name.strip().isidentifier():
        raise InputError(f"--input {text!r} is not NAME=SHAPE, such as x=28x28x1")
    return name.strip(), _shape(shape.strip())


def _shape(text: str) -> Any:
    if not re.fullmatch(r"[a-z]\w*\[.*\]", text):
        return parse_shape(text)
    from edgegraph.workload.arguments import read_arguments

    (found,) = read_arguments([f"input={text}"]).values()
    if not hasattr(found, "shape"):
        raise InputError(f"--input {text!r} is not a shape, such as 28x28x1 or i32[128]")
    return found
