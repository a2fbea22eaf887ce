"""From a SPEC, ``package.module:attribute``, to the Workload that it names."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.spec.arguments import convert_arguments
from edgegraph.workload import Workload
from edgegraph.workload.flax_classes import is_flax_class, is_flax_module

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
        arguments: Arguments of the function or class; text is converted to what the parameter's
            annotation, or else its default, asks for.

    Raises:
        InputError: SPEC names nothing that can be used, or does not take an argument.
    """
    found = _find(spec)
    given = dict(arguments or {})
    if isinstance(found, Workload):
        _refuse(f"{spec} is a Workload already", input_shape, dtype, given)
        return found
    if is_flax_module(found):
        _refuse(f"{spec} is an instance already", None, None, given)
        return _from_flax(spec, found, input_shape, dtype)
    if is_flax_class(found):
        return _from_class(spec, found, input_shape, dtype, given)
    if callable(found) and not inspect.isclass(found):
        return _from_function(spec, found, input_shape, dtype, given)
    raise InputError(f"{spec} is {_what(found)}; expected {EXPECTED}")


def _what(value: Any) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    return f"a value of type {type(value).__name__}"


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
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise InputError(
                f"there is no module {missing!r} in {directory} or among the installed"
                f" packages{_did_you_mean(missing, _sibling_modules(missing))}"
            ) from error
        raise _import_failure(name, error) from error
    except EdgeGraphError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        raise _import_failure(name, error) from error


def _import_failure(name: str, error: Exception) -> InputError:
    return InputError(f"importing {name} failed: {_describe(error)}")


def _describe(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def _sibling_modules(name: str) -> list[str]:
    parent, _, _ = name.rpartition(".")
    paths = getattr(sys.modules.get(parent), "__path__", None) if parent else [os.getcwd()]
    prefix = f"{parent}." if parent else ""
    return [prefix + module.name for module in pkgutil.iter_modules(paths or [])]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _refuse(
    reason: str,
    input_shape: Sequence[int] | None,
    dtype: str | None,
    arguments: Mapping[str, Any],
) -> None:
    """Refuse what would have no effect."""
    given = {"input shape": input_shape, "dtype": dtype, **arguments}
    superfluous = [name for name, value in given.items() if value is not None]
    if superfluous:
        raise InputError(f"{reason}; it does not take {', '.join(superfluous)}")


def _from_flax(
    spec: str, module: Any, input_shape: Sequence[int] | None, dtype: str | None
) -> Workload:
    if input_shape is None:
        raise InputError(
            f"{spec} is a Flax module, whose input is unknown; give its shape without batch, such"
            " as --input 28x28x1"
        )
    name = spec.partition(":")[2]
    return Workload.from_flax(module, input_shape, dtype or "float32", name=name)


def _from_class(
    spec: str,
    module_class: Any,
    input_shape: Sequence[int] | None,
    dtype: str | None,
    arguments: dict[str, Any],
) -> Workload:
    # The signature of an NNX class is that of its metaclass, which takes anything.
    parameters = dict(list(inspect.signature(module_class.__init__).parameters.items())[1:])
    if dtype is not None and "dtype" in parameters:
        arguments.setdefault("dtype", dtype)
    converted = convert_arguments(spec, module_class.__init__, parameters, arguments)
    made = functools.partial(module_class, **converted)
    if "rngs" in parameters:
        return _from_flax(spec, made, input_shape, dtype)
    return _from_flax(spec, _call(spec, made, parameters, converted), input_shape, dtype)


def _from_function(
    spec: str,
    function: Callable[..., Any],
    input_shape: Sequence[int] | None,
    dtype: str | None,
    arguments: dict[str, Any],
) -> Workload:
    parameters = dict(inspect.signature(function).parameters)
    makes_nnx = "rngs" in parameters
    for name, value in {"input_shape": input_shape, "dtype": dtype}.items():
        if value is not None and name in parameters:
            if name in arguments:
                raise InputError(f"{name} of {spec} is given twice; give it once")
            arguments[name] = value
    converted = convert_arguments(spec, function, parameters, arguments)
    made = functools.partial(function, **converted)
    if makes_nnx:
        return _from_flax(spec, made, input_shape, dtype)
    result = _call(spec, made, parameters, converted)
    if is_flax_module(result):
        return _from_flax(spec, result, input_shape, dtype)
    if not isinstance(result, Workload):
        raise InputError(f"{spec} returned {_what(result)}; expected {EXPECTED}")
    for name, value in {"input_shape": input_shape, "dtype": dtype}.items():
        if value is not None and name not in parameters:
            raise InputError(
                f"{spec} has no parameter {name}, and the Workload that it returns knows its"
                " own; leave it out"
            )
    return result


def _call(
    spec: str,
    made: Callable[[], Any],
    parameters: Mapping[str, inspect.Parameter],
    arguments: Mapping[str, Any],
) -> Any:
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in arguments
    ]
    if missing:
        raise InputError(
            f"{spec} needs {', '.join(missing)}; give each, such as --set {missing[0]}=VALUE"
            f" (expected: {EXPECTED})"
        )
    try:
        return made()
    except EdgeGraphError:
        raise
    except Exception as error:  # the user's function may raise anything
        raise InputError(f"{spec} failed: {_describe(error)}") from error
