"""From a SPEC, ``package.module:attribute``, and its arguments to the Workload it names."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union

import jax

from edgegraph.errors import USER_ERRORS, EdgeGraphError, InputError
from edgegraph.workload import Workload
from edgegraph.workload.arguments import command, takes_no
from edgegraph.workload.cast import check_castable, is_floating
from edgegraph.workload.flax_model import (
    called_with,
    is_flax_class,
    is_flax_module,
    parameters_of,
    required,
)
from edgegraph.workload.names import describe, find_object
from edgegraph.workload.values import literal

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
                raise InputError(takes_no(spec, name, parameters))
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
        return literal(value)
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
        return kind(literal(item) for item in items)
    if kind is list or members[-1] is Ellipsis or len(members) == 1:
        types = [members[0]] * len(items)
    else:
        types = list(members)
    return kind(_convert(item, one) for item, one in zip(items, types, strict=True))


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
    input_shape: Any = None,
    dtype: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    method: str | None = None,
    called: bool = False,
) -> Any:
    """Find the Workload that a SPEC names.

    Args:
        spec: As `edgegraph.workload.names.find_object` takes it, where the attribute is a
            function returning a Workload; a Workload; a Flax module, linen or NNX; a class of one;
            or a function that makes one.
        input_shape: Shape of one example, without batch, for a Flax module; a list of shapes for
            several inputs, or shapes by name. A `jax.ShapeDtypeStruct` is a shape with a dtype.
        dtype: Handed to a function or class that has such a parameter; for a Flax module also the
            dtype of its input and, where that is floating, the one that it computes in.
        arguments: Of the function or class, or of the call of a Flax module; text is converted.
        method: Name of the method of a Flax module to call in place of ``__call__``.
        called: Whether it is a function that is itself to be compiled.

    Returns:
        The Workload. What was called, or is of JAX (jitted, traced, ..., exported), is returned
        itself.
    """
    found = find_object(spec)
    given = _Given(spec, input_shape, dtype, method, dict(arguments or {}))
    if called and (isinstance(found, Workload) or is_flax_module(found)):
        raise InputError(f"{spec} is {_what(found)}, which takes no --arg; leave it out")
    if called or _of_jax(found):
        _refuse(f"{spec} is analysed itself", given.all)
        return found
    if isinstance(found, Workload):
        _refuse(f"{spec} is a Workload already", given.all)
        return found
    if is_flax_module(found):
        takes = called_with(type(found), method)
        unknown = {name: given.arguments[name] for name in given.arguments if name not in takes}
        _refuse(f"{spec} is an instance already", unknown)
        return _from_flax(given, found, type(found))
    if is_flax_class(found):
        return _from_class(given, found)
    if callable(found) and not inspect.isclass(found):
        return _from_function(given, found)
    raise InputError(f"{spec} is {_what(found)}; expected {EXPECTED}")


def _of_jax(found: Any) -> bool:
    """Return whether it is something that JAX made: a jitted function, or a stage of one."""
    return type(found).__module__.partition(".")[0] in ("jax", "jaxlib") or (
        callable(getattr(found, "lower", None)) and not inspect.isclass(found)
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands beside a SPEC, and the SPEC for messages."""

    spec: str
    input_shape: Any
    dtype: str | None
    method: str | None
    arguments: dict[str, Any]

    @property
    def all(self) -> dict[str, Any]:
        return {
            "input shape": self.input_shape,
            "dtype": self.dtype,
            "method": self.method,
            **self.arguments,
        }


def _what(value: Any) -> str:
    is_class = inspect.isclass(value)
    return f"the class {value.__name__}" if is_class else f"a value of type {type(value).__name__}"


def _refuse(reason: str, given: Mapping[str, Any]) -> None:
    """Refuse what would have no effect."""
    superfluous = [name for name, value in given.items() if value is not None]
    if superfluous:
        raise InputError(f"{reason}; it does not take {', '.join(superfluous)}")


def _from_flax(given: _Given, module: Any, kind: Any = None) -> Workload:
    """Return the workload of a module; `kind` is its class, as far as it is known."""
    if given.input_shape is None:
        raise InputError(
            f"{given.spec} is a Flax module, whose input is unknown; give its shape without"
            " batch, such as --input 28x28x1"
        )
    takes = None if kind is None else called_with(kind, given.method)
    constants = _constants(given, takes)
    dtype = given.dtype or "float32"
    check_castable(dtype)
    shapes, dtypes, keywords = _inputs(given, dtype, takes)
    computing_in = dtype if given.dtype is not None and is_floating(dtype) else None
    made = Workload.from_flax(
        module,
        shapes,
        dtypes,
        kwargs={**keywords, **constants},
        method=given.method,
        name=given.spec.partition(":")[2],
        computing_in=computing_in,
    )
    cast = () if computing_in is None else (_CAST.format(dtype=dtype),)
    return replace(made, notes=(_mode(takes), *cast))


_CAST = "inputs, parameters and modules are in {dtype}; what XLA computes in, `products` says"
_TRAINS = {
    "train": "true", "training": "true", "is_training": "true", "deterministic": "false",
    "use_running_average": "false",
}  # fmt: skip
"""What models call the argument that sets their mode, and its value for training."""


def _mode(takes: Mapping[str, inspect.Parameter] | None) -> str:
    """Say in which mode a model runs, and what changes it where its call takes that."""
    changes = [f"; --set {name}={value} changes it" for name, value in _TRAINS.items()
               if name in (takes or ())]  # fmt: skip
    return "the model runs in evaluation mode" + "".join(changes[:1])


def _constants(given: _Given, takes: Mapping[str, inspect.Parameter] | None) -> dict[str, Any]:
    """Return the arguments that the call takes, read as what it has for default."""
    if not given.arguments:
        return {}
    if takes is None:
        raise InputError(
            f"{given.spec} takes no {', '.join(given.arguments)}, and what it makes is called with"
            " its inputs only; name the class, or return a Workload"
        )
    return convert_arguments(given.spec, lambda: None, takes, given.arguments)


def _inputs(
    given: _Given, dtype: str, takes: Mapping[str, inspect.Parameter] | None
) -> tuple[Any, Any, dict[str, Any]]:
    """Return shapes and dtypes of what is handed in by position, and the rest by keyword."""
    asked = given.input_shape
    if isinstance(asked, Mapping):
        unknown = [] if takes is None else [name for name in asked if name not in takes]
        structs = {name: _struct(each, dtype) for name, each in asked.items()}
        if not unknown:
            return None, dtype, structs
        if len(unknown) < len(asked):
            raise InputError(f"{given.spec} is called with {', '.join(takes or ())}, and not with"
                             f" {', '.join(unknown)}; --input names one of these")  # fmt: skip
        shapes = {name: each.shape for name, each in structs.items()}
        return shapes, {name: str(each.dtype) for name, each in structs.items()}, {}
    # One shape may be a list of sizes, as JSON has it.
    several = isinstance(asked, list) and not all(isinstance(each, int) for each in asked)
    row = [_struct(each, dtype) for each in (asked if several else [asked])]
    return [each.shape for each in row], [str(each.dtype) for each in row], {}


def _struct(shape: Any, dtype: str) -> jax.ShapeDtypeStruct:
    if isinstance(shape, jax.ShapeDtypeStruct):
        return shape
    return jax.ShapeDtypeStruct(tuple(shape), dtype)


def _from_class(given: _Given, module_class: Any) -> Workload:
    parameters = parameters_of(module_class)
    if given.dtype is not None and "dtype" in parameters:
        given.arguments.setdefault("dtype", given.dtype)
    takes = called_with(module_class, given.method)
    own = {name: value for name, value in given.arguments.items() if name in parameters}
    rest = {name: value for name, value in given.arguments.items() if name not in own}
    if any(name not in takes for name in rest):  # the message names what the class takes
        own, rest = given.arguments, {}
    converted = convert_arguments(given.spec, module_class.__init__, parameters, own)
    made = functools.partial(module_class, **converted)
    model = made if "rngs" in parameters else _call(replace(given, arguments=own), made, parameters)
    return _from_flax(replace(given, arguments=rest), model, module_class)


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
        kind = type(result) if is_flax_module(result) else None
        return _from_flax(replace(given, arguments={}), result, kind)
    if not isinstance(result, Workload):
        raise InputError(f"{given.spec} returned {_what(result)}; expected {EXPECTED}")
    for name, value in {**own, "method": given.method}.items():
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
            f" {missing[0]}=VALUE, where it returns a Workload; to analyse the function itself,"
            f" type: {command(given.spec, made, {})}"
        )
    try:
        return made()
    except EdgeGraphError:
        raise
    except USER_ERRORS as error:
        raise InputError(f"{given.spec} failed: {describe(error)}") from error
