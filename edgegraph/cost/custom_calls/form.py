"""Reading a call: its matrices and its attributes, or an `UnknownFormError`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError
from edgegraph.hlo.module import Shape

_ATTRIBUTE = re.compile(r"(\w+) = (?:(-?\d{1,19})(?: : \w+)?|(true|false))\b")
"""``uplo = 76 : ui8`` or ``lower = true``, as MLIR writes attributes."""

WORKSPACE_DTYPES = ("s8", "u8")


class Matrix(NamedTuple):
    """A batch of matrices."""

    batch: int
    rows: int
    columns: int


def operand(call: CustomCall, number: int) -> Shape:
    """Return the shape of an operand."""
    if number >= len(call.operands):
        raise UnknownFormError(f"{call.target} has no operand {number}")
    return call.operands[number]


def result(call: CustomCall, number: int) -> Shape:
    """Return the shape of a result."""
    results = call.results
    if number >= len(results):
        raise UnknownFormError(f"{call.target} has no result {number}")
    return results[number]


def matrix(shape: Shape) -> Matrix:
    """Take the last two dimensions as rows and columns, the ones before as batch."""
    if len(shape.dimensions) < 2:
        raise UnknownFormError(f"{shape} is no matrix")
    *batch, rows, columns = shape.dimensions
    return Matrix(math.prod(batch), rows, columns)


def square(shape: Shape) -> Matrix:
    """Take a batch of square matrices."""
    found = matrix(shape)
    if found.rows != found.columns:
        raise UnknownFormError(f"{shape} is not square")
    return found


def attributes(call: CustomCall) -> Mapping[str, int]:
    """Read the attributes of a typed call: ``{mode = 83 : ui8, lower = true}``."""
    return {
        name: int(number) if number else int(truth == "true")
        for name, number, truth in _ATTRIBUTE.findall(call.instruction.backend_config)
    }


def attribute(call: CustomCall, name: str) -> int:
    """Read an attribute that a typed call must have."""
    found = attributes(call)
    if name not in found:
        raise UnknownFormError(f"{call.target} has no attribute {name!r}")
    return found[name]


def letter(call: CustomCall, name: str) -> str:
    """Read an attribute that holds a character, as LAPACK's options do: 83 is ``S``."""
    code = attribute(call, name)
    if not 0 < code < 128:
        raise UnknownFormError(f"{call.target}: attribute {name!r} is no character but {code}")
    return chr(code)


def configuration(call: CustomCall, *path: str) -> Mapping[str, Any]:
    """Read an object inside a backend configuration that is JSON.

    Args:
        call: A call whose ``backend_config`` is JSON.
        path: Keys to descend by; the last may be missing where an optional part is meant.
    """
    try:
        found = json.loads(call.instruction.backend_config)
    except (ValueError, RecursionError):
        found = None
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise UnknownFormError(f"{call.target}: its configuration has no {'.'.join(path)}")
    return found


def integers(values: object) -> tuple[int, ...]:
    """Read a list of integers, which JSON of protobufs writes as strings."""
    try:
        if isinstance(values, list):
            found = tuple(int(value) for value in values)
            if all(abs(value) < 1 << 63 for value in found):
                return found
    except (OverflowError, TypeError, ValueError):
        pass
    raise UnknownFormError(f"expected a list of integers, found {values!r}")


def integer(value: object) -> int:
    """Read an integer, which JSON of protobufs writes as a string."""
    return integers([value])[0]


def bytes_without_workspace(call: CustomCall) -> int:
    """Return the bytes of the results, without the scratch memory that a library asks for.

    It stands last in the result, as ``s8[4194304]`` or ``u8[0]``. XLA does not count it either:
    that would reward an algorithm for using more of it (``gpu_hlo_cost_analysis.cc``).
    """
    results = call.results
    last = results[-1] if len(results) > 1 else None
    if last is not None and last.dtype in WORKSPACE_DTYPES and len(last.dimensions) == 1:
        results = results[:-1]
    return sum(shape.bytes for shape in results)
