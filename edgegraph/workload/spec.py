"""From a SPEC, ``package.module:attribute``, and its arguments to the Workload it names."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.workload import Workload
from edgegraph.workload.flax_model import (
    is_flax_class,
    is_flax_module,
    parameters_of,
    required,
)

_WORDS: Mapping[Any, Mapping[str, Any]] = {
    bool: {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False},
    NoneType: {"none": None},
}

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

    Values are text, or what was read from text already; `spec` is how the user called the function,
    for messages.
    """
    hints: dict[str, Any] = {}
    with suppress(NameError, TypeError):  # names for type checkers only; then the defaults tell
        hints = typing.get_type_hints(function)
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
        default = parameter.default
        told = default is not None and default is not parameter.empty
        wanted = hints.get(name, type(default) if told else Any)
        try:
            converted[name] = _convert(value, wanted)
        except ValueError:
            raise InputError(
                f"{name}={value} does not suit {spec}; expected {_describe_type(wanted)}"
            ) from None
    return converted


def _unknown(spec: str, name: str, parameters: Iterable[str]) -> str:
    names = [known for known in parameters if known != "rngs"]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"{spec} takes no {name!r}; did you mean {close[0]}?"
    return f"{spec} takes no {name!r}; it takes {', '.join(names) or 'no arguments'}"


def _convert(value: Any, wanted: Any) -> Any:
    """Convert one value; a ValueError says that it does not fit."""
    origin, members = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, UnionType):
        return _first_that_fits(value, members)
    if origin in (tuple, list, Sequence) or wanted in (tuple, list):
        return _convert_sequence(value, list if (origin or wanted) is list else tuple, members)
    if wanted is str:
        return str(value)
    if wanted in (int, float):
        if isinstance(value, bool) or (wanted is int and isinstance(value, float)):
            raise ValueError
        return wanted(value)
    if origin is Literal:
        words: Mapping[str, Any] = {str(member): member for member in members}
        text = str(value)
    elif wanted in _WORDS:
        words, text = _WORDS[wanted], str(value).lower()
    else:
        return _literal(value)
    if text not in words:
        raise ValueError
    return words[text]


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


def _describe_type(wanted: Any) -> str:
    origin, members = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        return " or ".join(map(str, members))
    if origin in (Union, UnionType):
        return " or ".join(_describe_type(member) for member in members)
    return _NAMES.get(origin or wanted, getattr(wanted, "__name__", str(wanted)))


EXPECTED = "a function returning a Workload, a Workload, or a Flax module"


def resolve_spec(
    spec: str,
    *,
    input_shape: Sequence[int] | None = None,
    dtype: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Workload:
    """Find the Workload that a SPEC names.

    Modules are looked for in the current directory first, as ``python -m`` does.

    Args:
        spec: ``package.module:attribute``, where the attribute is a function returning a
            Workload; a Workload; a Flax module, linen or NNX; a class of one; or a function
            that makes one.
        input_shape: Shape of one example, without batch, for a Flax module.
        dtype: Handed to a function or class that has such a parameter; for a Flax module also
            the dtype of its input.
        arguments: Of the function or class; text is converted.
    """
    found = _find(spec)
    given = _Given(spec, input_shape, dtype, dict(arguments or {}))
    if isinstance(found, Workload):
        _refuse(f"{spec} is a Workload already", given.all)
        return found
    if is_flax_module(found):
        _refuse(f"{spec} is an instance already", given.arguments)
        return _from_flax(given, found)
    if is_flax_class(found):
        return _from_class(given, found)
    if callable(found) and not inspect.isclass(found):
        return _from_function(given, found)
    raise InputError(f"{spec} is {_what(found)}; expected {EXPECTED}")


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands beside a SPEC, and the SPEC for messages."""

    spec: str
    input_shape: Sequence[int] | None
    dtype: str | None
    arguments: dict[str, Any]

    @property
    def all(self) -> dict[str, Any]:
        return {"input shape": self.input_shape, "dtype": self.dtype, **self.arguments}


def _what(value: Any) -> str:
    is_class = inspect.isclass(value)
    return f"the class {value.__name__}" if is_class else f"a value of type {type(value).__name__}"


def _find(spec: str) -> Any:
    module_name, colon, path = spec.partition(":")
    names = [*module_name.split("."), *path.split(".")]
    if not colon or not all(name.isidentifier() for name in names):
        raise InputError(
            f"SPEC {spec!r} is not package.module:attribute, such as models.cnn:small_cnn"
        )
    found: Any = _import(module_name)
    where = module_name
    for name in path.split("."):
        if not hasattr(found, name):
            known = [n for n in dir(found) if not n.startswith("_")]
            raise InputError(f"{where} has no attribute {name!r}{_did_you_mean(name, known)}")
        found = getattr(found, name)
        where = f"{where}:{name}" if where == module_name else f"{where}.{name}"
    return found


def _import(name: str) -> ModuleType:
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    except EdgeGraphError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise InputError(
                f"there is no module {missing!r} in {directory} or among the installed"
                f" packages{_did_you_mean(missing, _sibling_modules(missing))}"
            ) from error
        raise InputError(f"importing {name} failed: {_describe(error)}") from error


def _describe(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def _sibling_modules(name: str) -> list[str]:
    parent, _, _ = name.rpartition(".")
    paths = getattr(sys.modules.get(parent), "__path__", None) if parent else [str(Path.cwd())]
    prefix = f"{parent}." if parent else ""
    return [prefix + module.name for module in pkgutil.iter_modules(paths or [])]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _refuse(reason: str, given: Mapping[str, Any]) -> None:
    """Refuse what would have no effect."""
    superfluous = [name for name, value in given.items() if value is not None]
    if superfluous:
        raise InputError(f"{reason}; it does not take {', '.join(superfluous)}")


def _from_flax(given: _Given, module: Any) -> Workload:
    if given.input_shape is None:
        raise InputError(
            f"{given.spec} is a Flax module, whose input is unknown; give its shape without"
            " batch, such as --input 28x28x1"
        )
    name = given.spec.partition(":")[2]
    return Workload.from_flax(module, given.input_shape, given.dtype or "float32", name=name)


def _from_class(given: _Given, module_class: Any) -> Workload:
    parameters = parameters_of(module_class)
    if given.dtype is not None and "dtype" in parameters:
        given.arguments.setdefault("dtype", given.dtype)
    converted = convert_arguments(given.spec, module_class.__init__, parameters, given.arguments)
    made = functools.partial(module_class, **converted)
    return _from_flax(given, made if "rngs" in parameters else _call(given, made, parameters))


def _from_function(given: _Given, function: Callable[..., Any]) -> Workload:
    parameters = parameters_of(function)
    own = {"input_shape": given.input_shape, "dtype": given.dtype}
    for name, value in own.items():
        if value is not None and name in parameters:
            if name in given.arguments:
                raise InputError(f"{name} of {given.spec} is given twice; give it once")
            given.arguments[name] = value
    made = functools.partial(
        function, **convert_arguments(given.spec, function, parameters, given.arguments)
    )
    result = made if "rngs" in parameters else _call(given, made, parameters)
    if "rngs" in parameters or is_flax_module(result):
        return _from_flax(given, result)
    if not isinstance(result, Workload):
        raise InputError(f"{given.spec} returned {_what(result)}; expected {EXPECTED}")
    for name, value in own.items():
        if value is not None and name not in parameters:
            raise InputError(
                f"{given.spec} has no parameter {name}, and the Workload that it returns knows"
                " its own; leave it out"
            )
    return result


def _call(
    given: _Given, made: Callable[[], Any], parameters: Mapping[str, inspect.Parameter]
) -> Any:
    missing = [name for name in required(parameters.values()) if name not in given.arguments]
    if missing:
        raise InputError(
            f"{given.spec} needs {', '.join(missing)}; give each, such as --set"
            f" {missing[0]}=VALUE (expected: {EXPECTED})"
        )
    try:
        return made()
    except EdgeGraphError:
        raise
    except Exception as error:  # the user's function may raise anything
        raise InputError(f"{given.spec} failed: {_describe(error)}") from error
