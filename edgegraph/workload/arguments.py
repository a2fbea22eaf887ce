"""Arguments of a function as text: ``x=f32[8,784]``, ``n=3``, ``params.dense.bias=f32[10]``."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from edgegraph.errors import InputError
from edgegraph.workload.flax_model import required
from edgegraph.workload.functions import Constant
from edgegraph.workload.values import literal, parse_dtypes

_ARRAY = re.compile(r"([a-z]\w*)\[([\d,x\s]*)\]")
_SHORT = {"f": "float", "bf": "bfloat", "s": "int", "i": "int", "u": "uint", "c": "complex"}


MOST_NAMES = 100
"""Names in a path to a value."""


def read_arguments(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``PATH=VALUE`` pairs as the arguments of a function, by name.

    Args:
        pairs: A value is an array, written by dtype and shape, as HLO writes it or with NumPy's
            name of the dtype; or else a Python value. Dots in the path lead into dicts, and
            numbers, counted from 0, into lists.

    Raises:
        InputError: A pair is none, a path is given twice, or a dtype does not exist.
    """
    tree: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise InputError(f"--arg {pair!r} is not NAME=VALUE, such as x=f32[8,784] or n=3")
        if len(names) > MOST_NAMES:
            raise InputError(
                f"--arg {pair[:60]!r}... leads through {len(names)} names; expected at most"
                f" {MOST_NAMES}"
            )
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise InputError(f"--arg {pair!r} leads into {name!r}, which is a value already")
        if names[-1] in node:
            raise InputError(f"--arg gives {path.strip()!r} twice; give it once")
        node[names[-1]] = _value(text.strip())
    return {name: _with_lists(value) for name, value in tree.items()}


def _value(text: str) -> Any:
    array = _ARRAY.fullmatch(text)
    if array is None:
        return {"true": True, "false": False, "none": None}.get(text.lower(), literal(text))
    sizes = tuple(int(size) for size in re.split(r"[,x\s]+", array[2]) if size)
    return jax.ShapeDtypeStruct(sizes, parse_dtypes(_dtype(array[1]), 1)[0])


def _dtype(word: str) -> str:
    """Return NumPy's name of a dtype that may be written as HLO does."""
    short = re.fullmatch(r"([a-z]{1,2}?)(\d+)(\w*)", word)
    if word == "pred":
        return "bool"
    if short is None or short[1] not in _SHORT:
        return word
    return f"{_SHORT[short[1]]}{short[2]}{'_' * bool(short[3])}{short[3]}"


def _with_lists(tree: Any) -> Any:
    """Return a tree in which what is numbered from 0 is a list."""
    if not isinstance(tree, dict):
        return tree
    made = {name: _with_lists(value) for name, value in tree.items()}
    numbered = [str(number) for number in range(len(made))]
    return [made[name] for name in numbered] if sorted(made) == sorted(numbered) else made


def bind_arguments(
    spec: str, function: Callable[..., Any], given: Mapping[str, Any], *, constants: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments for a function.

    Args:
        spec: What the user calls it, for messages.
        function: The function.
        given: Its arguments by name, or by position from 0.
        constants: Whether numbers are constants while it is traced; where not, a jit decides.

    Raises:
        InputError: It takes no such argument, or needs more of them; the message shows the command.
    """
    made = {name: _constant(value) if constants else value for name, value in given.items()}
    positional = [made.pop(str(place)) for place in range(len(made)) if str(place) in made]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in function
        return tuple(positional), made
    parameters = signature.parameters
    open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in () if open_ended else made:
        if name not in parameters:
            raise InputError(takes_no(spec, name, parameters))
    for name, parameter in list(parameters.items())[len(positional) :]:
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            break
        if name in made:
            positional.append(made.pop(name))
    try:
        bound = signature.bind(*positional, **made)
    except TypeError as error:
        unknown = [
            each
            for each in required(list(parameters.values())[len(positional) :])
            if each not in made
        ]
        raise InputError(
            f"{spec} needs {', '.join(unknown)}; type: {command(spec, function, given)}"
            if unknown
            else f"{spec}: {error}"
        ) from None
    return bound.args, bound.kwargs


def _constant(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: Constant(leaf) if isinstance(leaf, (bool, int, float, complex)) else leaf, tree
    )


def command(spec: str, function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return the command that analyses a function: what was given, and examples of the rest."""
    parameters = list(inspect.signature(function).parameters.values())
    positions = [name for name in given if name.isdecimal()]
    missing = [each for each in required(parameters[len(positions) :]) if each not in given]
    by_name = {each.name: each for each in parameters}
    texts = [text for name, value in given.items() for text in _texts(name, value)]
    texts += [f"{name}={_example(by_name[name])}" for name in missing]
    return " ".join([f"edgegraph analyze {spec}", *(f"--arg {text}" for text in texts)])


def _texts(path: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for name, each in value.items() for text in _texts(f"{path}.{name}", each)]
    if isinstance(value, list):
        return _texts(path, {str(place): each for place, each in enumerate(value)})
    if isinstance(value, jax.ShapeDtypeStruct):
        return [f"{path}={value.dtype.name}[{','.join(map(str, value.shape))}]"]
    return [f"{path}={value}"]


def _example(parameter: inspect.Parameter) -> str:
    """Return what an argument may look like, by its annotation."""
    words = {"int": "3", "float": "0.1", "bool": "true", "str": "WORD"}
    annotation = parameter.annotation
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return words.get(name, "f32[8,128]")


def takes_no(spec: str, name: str, parameters: Iterable[str]) -> str:
    """Say that something has no parameter of a name, and which it may be or which there are."""
    names = [known for known in parameters if known != "rngs"]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"{spec} takes no {name!r}; did you mean {close[0]}?"
    return f"{spec} takes no {name!r}; it takes {', '.join(names) or 'no arguments'}"
