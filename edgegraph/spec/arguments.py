"""Arguments that come as text, converted to what a function's parameters ask for."""

from __future__ import annotations

import ast
import difflib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union

from edgegraph.errors import InputError

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    tuple: "a list such as 64,128",
    NoneType: "none",
}


def convert_arguments(
    spec: str,
    function: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Convert arguments to what a function's annotations, or else its defaults, ask for.

    Args:
        spec: How the user called the function, for messages.
        function: Whose annotations count.
        parameters: Its parameters by name.
        given: Values by name: text, or what was read from text already.

    Raises:
        InputError: There is no such parameter, or a value does not fit.

    Example:
        >>> def network(widths: tuple[int, ...], bias=True, scale: float | None = None): ...
        >>> parameters = inspect.signature(network).parameters
        >>> given = {"widths": "64,128", "bias": "no", "scale": "2"}
        >>> convert_arguments("zoo:network", network, parameters, given)
        {'widths': (64, 128), 'bias': False, 'scale': 2.0}
    """
    hints = _hints(function)
    converted = {}
    for name, value in given.items():
        parameter = parameters.get(name)
        if parameter is None or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
            parameter.POSITIONAL_ONLY,
        ):
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                raise InputError(_unknown(spec, name, parameters))
            converted[name] = value
            continue
        wanted = hints.get(name, _type_of_default(parameter))
        try:
            converted[name] = _convert(value, wanted)
        except ValueError:
            raise InputError(
                f"{name}={value} does not suit {spec}; expected {_describe(wanted)}"
            ) from None
    return converted


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        # Names that exist for type checkers only; then the defaults tell.
        return {}


def _type_of_default(parameter: inspect.Parameter) -> Any:
    if parameter.default is None or parameter.default is parameter.empty:
        return Any
    return type(parameter.default)


def _unknown(spec: str, name: str, parameters: Iterable[str]) -> str:
    names = [known for known in parameters if known != "rngs"]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"{spec} takes no {name!r}; did you mean {close[0]}?"
    return f"{spec} takes no {name!r}; it takes {', '.join(names) or 'no arguments'}"


def _convert(value: Any, wanted: Any) -> Any:
    """Convert one value.

    Raises:
        ValueError: It does not fit.
    """
    origin, members = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, UnionType):
        return _first_that_fits(value, members)
    if origin is Literal:
        return next(_or_refuse(m for m in members if m == value or str(m) == str(value)))
    if origin in (tuple, list, Sequence) or wanted in (tuple, list):
        return _convert_sequence(value, list if (origin or wanted) is list else tuple, members)
    if wanted is str:
        return str(value)
    if wanted is bool:
        return next(_or_refuse(b for text, b in _TRUTH.items() if text == str(value).lower()))
    if wanted is NoneType:
        return next(_or_refuse(None for _ in range(str(value).lower() == "none")))
    if wanted in (int, float):
        if isinstance(value, bool) or (wanted is int and isinstance(value, float)):
            raise ValueError
        return wanted(value)
    return _literal(value)


def _or_refuse(values: Iterable[Any]) -> typing.Iterator[Any]:
    yield from values
    raise ValueError


def _first_that_fits(value: Any, members: Iterable[Any]) -> Any:
    # Text fits anything, so it is tried last.
    for member in sorted(members, key=lambda member: member is str):
        try:
            return _convert(value, member)
        except ValueError:
            continue
    raise ValueError


def _convert_sequence(value: Any, kind: type, members: tuple[Any, ...]) -> Any:
    if isinstance(value, str):
        value = [part.strip() for part in value.strip("()[] ").split(",") if part.strip()]
    items = list(value) if isinstance(value, (tuple, list)) else [value]
    if not members:
        return kind(_literal(item) for item in items)
    if kind is list or members[-1] is Ellipsis or len(members) == 1:
        types = [members[0]] * len(items)
    else:
        types = list(members)
    return kind(_convert(item, one) for item, one in zip(items, types, strict=True))


def _literal(value: Any) -> Any:
    """Read text as a Python literal, or leave it as it is."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _describe(wanted: Any) -> str:
    origin, members = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        return " or ".join(map(str, members))
    if origin in (Union, UnionType):
        return " or ".join(_describe(member) for member in members)
    return _NAMES.get(origin or wanted, getattr(wanted, "__name__", str(wanted)))
