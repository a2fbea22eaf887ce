"""Flax NNX modules as a `Model`, with the names that linen would give their parts."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx
from flax.traverse_util import unflatten_dict

from edgegraph.errors import USER_ERRORS, EdgeGraphError, InputError, first_line
from edgegraph.workload.cast import nnx_in
from edgegraph.workload.flax_model import (
    Model,
    Variables,
    mode_arguments,
    parameters_of,
    required,
)
from edgegraph.workload.inputs import PLAIN_FORM, Form, Inputs
from edgegraph.workload.values import run_once

Names = tuple[str, ...]

_OWN_ATTRIBUTE = "_pytree__"
"""How Flax's own bookkeeping attributes begin."""


def canonical_names(root: nnx.Module) -> dict[int, Names]:
    """Name every module, variable and array that hangs under `root`, by its ``id``.

    An attribute names what it holds; a position in a list or a key of a dict is joined to the
    attribute's name (``blocks_0``), as in linen. What is reachable in several ways takes the
    shortest, and of these the first by alphabet.
    """
    return {id(member): names for names, member in named_members(root)}


def named_members(root: nnx.Module) -> Iterator[tuple[Names, Any]]:
    """Yield `root` and all that hangs under it once, each with its canonical name."""
    seen = {id(root)}
    level: list[tuple[Names, Any]] = [((), root)]
    while level:
        yield from level
        below = []
        for path, parent in level:
            if not isinstance(parent, nnx.Pytree):
                continue
            for name, member in _members(parent):
                if id(member) not in seen:
                    seen.add(id(member))
                    below.append(((*path, name), member))
        level = below


def _members(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what `node` holds, looking through lists and dicts."""
    for key, value in _items(node):
        name = f"{prefix}_{key}" if prefix else str(key)
        if _is_container(value):
            yield from _members(value, name)
        elif isinstance(value, (nnx.Pytree, nnx.Variable, jax.Array)):
            yield name, value


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, Mapping, nnx.List, nnx.Dict))


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, (list, tuple, nnx.List)):
        return enumerate(node)
    items = node.items() if isinstance(node, Mapping) else vars(node).items()
    by_name = sorted(items, key=lambda item: str(item[0]))
    return (item for item in by_name if not str(item[0]).startswith(_OWN_ATTRIBUTE))


def leaf_names(root: nnx.Module, state: Any) -> tuple[Names, ...]:
    """Name the leaves of a state that was split from `root`, in the order of `jax.tree.leaves`."""
    names = canonical_names(root)
    return tuple(
        _leaf_name(root, [_key(entry) for entry in path], names)
        for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]
    )


def _leaf_name(root: Any, path: list[Any], names: Mapping[int, Names]) -> Names:
    """Follow `path` to the variable or array, whose name is known; add what lies inside it."""
    node = root
    for position, key in enumerate(path):
        if isinstance(node, nnx.Variable):
            inside = tuple(str(key) for key in path[position + 1 :])
            return names[id(node)] + inside
        node = node[key] if _is_container(node) else getattr(node, str(key))
    return names[id(node)]


def _key(entry: Any) -> Any:
    """Return the plain key behind an entry of a JAX key path."""
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return str(entry)


@dataclass(frozen=True, slots=True)
class _Part:
    """How the leaves of one part of an NNX state lie in a nested dict."""

    names: tuple[Names, ...]
    treedef: Any

    def dict_of(self, leaves: Sequence[Any]) -> dict[str, Any]:
        """Return the leaves by their names."""
        named: dict[str, Any] = unflatten_dict(dict(zip(self.names, leaves, strict=True)))
        return named

    def state_of(self, tree: Any) -> Any:
        """Undo it."""
        leaves = [functools.reduce(operator.getitem, path, tree) for path in self.names]
        return jax.tree.unflatten(self.treedef, leaves)


@dataclass(frozen=True, slots=True)
class _Split:
    """An NNX module without its values."""

    name: str
    graphdef: Any
    params: _Part
    rest: _Part

    def merge(self, params: Any, state: Any) -> Any:
        return nnx.merge(self.graphdef, self.params.state_of(params), self.rest.state_of(state))

    def state_after(self, module: Any) -> dict[str, Any]:
        """Return the state that the module holds now, without what its calls added."""
        now = nnx.state(module, nnx.Not(nnx.Param))
        held = dict(zip(leaf_names(module, now), jax.tree.leaves(now), strict=True))
        return self.rest.dict_of([held[name] for name in self.rest.names])


def _split(module: nnx.Module) -> tuple[_Split, Variables]:
    """Split a module into structure and values; the module stays as it is."""
    pieces: Any = nnx.split(module, nnx.Param, ...)
    graphdef, params, rest = pieces
    split = _Split(type(module).__name__, graphdef, _part(module, params), _part(module, rest))
    return split, (
        split.params.dict_of(jax.tree.leaves(params)),
        split.rest.dict_of(jax.tree.leaves(rest)),
    )


def _part(module: nnx.Module, state: Any) -> _Part:
    names = leaf_names(module, state)
    taken = {name[:length] for name in set(names) for length in range(1, len(name))}
    if len(set(names)) < len(names) or taken & set(names):
        twice = next(name for name in names if names.count(name) > 1 or name in taken)
        raise InputError(
            f"two variables of {type(module).__name__} are both called {'/'.join(twice)}; rename"
            " the attribute that reads like an element of a list"
        )
    return _Part(names, jax.tree.structure(state))


def nnx_model(
    module: nnx.Module | Callable[..., nnx.Module],
    *,
    seed: int,
    form: Form = PLAIN_FORM,
    computing_in: str | None = None,
) -> Model:
    """Wrap an NNX module, or what makes one.

    The values of an instance are used; a class or function makes one from nothing or from
    ``rngs``, and then no weight exists before it is needed.
    """
    if isinstance(module, nnx.Module):
        if computing_in is not None:
            module = nnx_in(module, computing_in)
        split, variables = _split(module)
        return _model(split, form, jax.eval_shape(lambda: variables), lambda: variables)

    taken: list[_Split] = []

    def make_variables() -> Variables:
        made = _call_factory(module, seed)
        if computing_in is not None:
            made = nnx_in(made, computing_in)
        split, variables = _split(made)
        if _holds_tracer(made):
            raise _HoldsArrayError
        taken.append(split)
        return variables

    try:
        abstract: Variables = jax.eval_shape(make_variables)
    except _HoldsArrayError:
        # Flax takes a bare array attribute that is being traced for a constant of the graph.
        made = _call_factory(module, seed)
        return nnx_model(made, seed=seed, form=form, computing_in=computing_in)
    return _model(taken[0], form, abstract, lambda: run_once(make_variables))


class _HoldsArrayError(Exception):
    """The module holds a bare array outside a variable, so that it cannot be made abstractly."""


def _holds_tracer(module: nnx.Module) -> bool:
    names = canonical_names(module)
    return any(
        isinstance(value, jax.core.Tracer)
        for _, node in nnx.iter_graph(module)
        if id(node) in names and isinstance(node, nnx.Pytree)
        for value in vars(node).values()
    )


def _call_factory(factory: Callable[..., Any], seed: int) -> nnx.Module:
    function: Any = factory
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", repr(function))
    parameters = parameters_of(factory)
    needed = [each for each in required(parameters.values()) if each != "rngs"]
    if needed:
        raise InputError(
            f"{name} needs {', '.join(needed)}; bind them with functools.partial, or give an"
            " instance"
        )
    try:
        made = factory(rngs=nnx.Rngs(seed)) if "rngs" in parameters else factory()
    except EdgeGraphError:
        raise
    except USER_ERRORS as error:
        raise InputError(f"{name} cannot be made: {first_line(error)}") from error
    if not isinstance(made, nnx.Module):
        raise InputError(f"{name} made a {type(made).__name__}; expected an NNX module")
    return made


def _model(split: _Split, form: Form, abstract: Variables, make: Callable[[], Variables]) -> Model:
    values = functools.cache(make)

    def apply(params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        module = split.merge(params, state)
        (module.train if train else module.eval)()
        mode = mode_arguments(module, form, train=train)
        args, keywords = form.arguments(inputs)
        outputs = getattr(module, form.method)(*args, **{**mode, **keywords})
        return outputs, split.state_after(module) if train else state

    return Model(
        name=split.name,
        abstract=lambda inputs, train: abstract,
        concrete=lambda inputs, train: values(),
        apply=apply,
    )
