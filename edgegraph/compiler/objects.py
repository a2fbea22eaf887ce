"""What people hold in Python: functions, jitted or not, and what JAX made of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import jax
from jax import export, stages

from edgegraph import xla
from edgegraph.compiler.exported import exported_workload
from edgegraph.compiler.program import Program, by_position, memory_use
from edgegraph.compiler.scopes import module_scopes
from edgegraph.errors import USER_ERRORS, CompileError, InputError, first_line
from edgegraph.hlo.decode import decode
from edgegraph.hlo.platform import platform_of
from edgegraph.workload.calls import Call
from edgegraph.workload.flax_model import is_flax_module
from edgegraph.workload.functions import is_array, plain, shapes_of
from edgegraph.workload.values import random_values
from edgegraph.workload.workload import Workload, function_name

_STAGES = (stages.Traced, stages.Lowered, stages.Compiled)


def opened(
    thing: Any, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
) -> Workload | Program:
    """Return what JAX can run as a Workload of fixed shapes; what is compiled, as a Program.

    Args:
        thing: A function with its arguments, jitted or not, also something with a `lower` like
            `jax.jit`'s; a `jax.stages.Traced`, `Lowered` or `Compiled`, a `jax.export.Exported`.
        args: Positional arguments of a function, as `edgegraph.compile` takes them.
        kwargs: Its keyword arguments.

    Raises:
        InputError: It is none of these, or a function without arguments.
    """
    inner = _unwrapped(thing)
    if isinstance(inner, (*_STAGES, export.Exported)):
        if args or kwargs:
            raise InputError(
                f"a {type(inner).__name__} has its arguments' shapes; leave the arguments out"
            )
        if isinstance(inner, export.Exported):
            return exported_workload(inner)
        if isinstance(inner, stages.Compiled):
            return _program(inner)
        name = getattr(inner, "fun_name", None) or _module_name(inner)
        return Workload(name=name, call=lambda batch: _staged(inner), batched=False)
    if is_flax_module(thing):
        raise InputError(
            f"{type(thing).__name__} is a Flax module; give"
            " Workload.from_flax(module, input_shape), which takes its parameters apart"
        )
    if not callable(thing):
        raise InputError(
            f"cannot compile {thing!r:.80}; expected a Workload, or a function and its arguments"
        )
    if args is None and kwargs is None:
        raise InputError(
            f"cannot analyse {thing!r:.80} without arguments; pass them as args=(...), or give a"
            " Workload"
        )
    make = partial(_function, thing, tuple(args or ()), dict(kwargs or {}))
    return Workload(name=function_name(thing), call=lambda batch: make(), batched=False)


def _unwrapped(thing: Any) -> Any:
    """Return the stage of JAX that one of Flax or Equinox holds."""
    for name in ("traced", "lowered", "compiled"):
        held = getattr(thing, name, None)
        if isinstance(held, _STAGES):
            return held
    return thing


def _module_name(lowered: Any) -> str:
    return decode(xla.lowered_module(lowered)).name.removeprefix("jit_")


def is_jitted(function: Any) -> bool:
    """Return whether a function is jitted already: it has a `lower` of its own."""
    return callable(getattr(function, "lower", None)) and not isinstance(function, type)


def _function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    if isinstance(function, stages.Wrapped) and hasattr(function, "_jit_info"):
        return _jitted(function, args, kwargs)
    if is_jitted(function):
        return _lowered_by_itself(function, args, kwargs)
    return plain(function, lambda: args, kwargs=kwargs)


def _jitted(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Return the call of a jitted function, which is traced as it is and never within another."""
    numbers, names = xla.static_arguments(function)
    static = {number % len(args) for number in numbers if -len(args) <= number < len(args)}
    places = [number for number in range(len(args)) if number not in static]
    keywords = tuple(sorted(kwargs.keys() - names))
    values = (*(args[place] for place in places), *(kwargs[name] for name in keywords))

    def call(*given: Any) -> Any:
        positional = list(args)
        for place, value in zip(places, given[: len(places)], strict=True):
            positional[place] = value
        named = dict(zip(keywords, given[len(places) :], strict=True))
        return function(*positional, **kwargs | named)

    for leaf in jax.tree.leaves(values):
        if not is_array(leaf):
            raise InputError(
                f"{function_name(function)} is jitted, and the argument {leaf!r:.60} is a"
                f" {type(leaf).__name__}, which jax.jit does not take; name it in static_argnames,"
                " or give the function that is not jitted"
            )
    donated, donated_names = xla.donated_arguments(function)
    taken = {number % len(args) for number in donated if -len(args) <= number < len(args)}
    order = (*places, *keywords)
    return Call(
        function=call,
        abstract=shapes_of(lambda: values),
        concrete=lambda: random_values(values, seed=0),
        donate=tuple(n for n, each in enumerate(order) if each in taken | donated_names),
        keywords=keywords,
        stage=lambda: function.trace(*args, **kwargs),
    )


def _lowered_by_itself(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Return the call of what has a jit of its own, as of Flax NNX and Equinox."""
    name = function_name(function)
    try:
        with module_scopes():
            how = getattr(function, "trace", function.lower)
            stage = _unwrapped(how(*args, **kwargs))
    except USER_ERRORS as error:
        raise CompileError(f"{name} cannot be lowered: {first_line(error)}") from error
    if not isinstance(stage, (stages.Traced, stages.Lowered)):
        raise InputError(
            f"{name}.lower made a {type(stage).__name__}; expected a jax.stages.Lowered"
        )
    given = _named_leaves(function, args, kwargs)
    call = _staged(stage, list(given.values()))
    if isinstance(stage, stages.Lowered) and _kinds(given.values()) == _kinds(call.abstract):
        names = list(given)
        return replace(call, arguments=tuple(names[at] for at in xla.kept_arguments(stage)))
    return call


def _named_leaves(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays among arguments by the names that `jax.jit` gives them: ``m.a.weight``.

    Equinox hands them on in lists, in this order.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path((args, kwargs))
    names: list[str] = []
    with suppress(TypeError, ValueError):  # it may have no signature
        names = [
            name
            for name, each in inspect.signature(function).parameters.items()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
    found = {}
    for (side, at, *path), leaf in leaves:
        if _has_values(leaf):
            named = side.idx == 0 and at.idx < len(names)
            name = names[at.idx] if named else getattr(at, "key", f"args{at}")
            found[f"{name}{jax.tree_util.keystr(tuple(path))}"] = leaf
    return found


def _kinds(arrays: Any) -> list[tuple[Any, Any]]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(list(arrays))]


def _has_values(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and is_array(leaf)


def _staged(stage: stages.Traced | stages.Lowered, values: Sequence[Any] = ()) -> Call:
    """Return the call of what is traced or lowered; `values` where they are those of its arguments.

    They are random where they are not, one by one, of the shapes and dtypes of its arguments.
    """
    abstract, keywords = _arguments(stage)
    leaves, structure = jax.tree.flatten(abstract)
    given = list(values) if _kinds(values) == _kinds(leaves) else leaves
    arguments = jax.tree.unflatten(structure, given)
    return Call(
        function=_no_function,
        abstract=abstract,
        concrete=lambda: random_values(arguments, seed=0),
        keywords=keywords,
        stage=lambda: stage,
    )


def _arguments(stage: Any) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return shapes of the arguments that a stage takes, and names of the last ones."""
    args, kwargs = jax.tree.map(
        lambda info: jax.ShapeDtypeStruct(info.shape, info.dtype), stage.args_info
    )
    keywords = tuple(sorted(kwargs))
    return (*args, *(kwargs[name] for name in keywords)), keywords


def _no_function(*_: Any) -> Any:
    raise InputError("what is traced or lowered already cannot be changed; give the function")


def _program(compiled: stages.Compiled) -> Program:
    """Return what JAX has compiled as a Program, which runs where it was compiled for this host."""
    serialized = xla.compiled_module(compiled)
    target = platform_of(serialized) or "cpu"
    abstract, keywords = _arguments(compiled)
    statistics = compiled.memory_analysis()
    return Program(
        name=decode(serialized).name.removeprefix("jit_"),
        batch=None,
        target=target,
        stage="optimized",
        serialized=serialized,
        memory=None if statistics is None else memory_use(statistics),
        executable=by_position(compiled, keywords) if target == "cpu" else None,
        concrete=lambda: random_values(abstract, seed=0),
    )
