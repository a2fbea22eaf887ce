"""A traced function cut into its layers, each a function of its own.

The function's equations carry the scope in which they were traced. All equations of one scope
and phase make a group: its inputs are the values that flow in from other groups, its outputs
those that flow out. Every equation whose result is needed belongs to exactly one group, so the
groups together do what the function does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend import core

from edgegraph.errors import InputError
from edgegraph.hlo.op_name import parse_op_name

# What only calls a function once, by the name of its primitive. Its equations are taken out of
# it, so that the scopes inside count and repeated layers look alike. XLA inlines them as well.
_CALLS = frozenset(
    {"jit", "pjit", "closed_call", "core_call", "eval_jaxpr", "custom_jvp_call",
     "custom_vjp_call", "checkpoint", "remat", "remat2"}
)  # fmt: skip
_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """The equations of one scope and phase as a function of its own.

    Attributes:
        layer: The scope (``SmallCNN/conv1``); None for equations without one. Equations in the
            layers below it are not in this group.
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        jaxpr: Only its own equations; takes `inputs`, gives `outputs`, has no constants.
        inputs: Variables of the whole that it takes.
        outputs: Variables of the whole that it gives.
        covers: Layers below it that run inside its loops and branches, which stay whole.
    """

    layer: str | None
    phase: str
    jaxpr: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    covers: tuple[str, ...] = ()

    @property
    def function(self) -> Callable[..., list[Any]]:
        """The group as a function of its inputs that gives the list of its outputs."""
        function: Callable[..., list[Any]] = core.jaxpr_as_fun(core.ClosedJaxpr(self.jaxpr, ()))
        return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A traced function and the groups that it was cut into.

    Attributes:
        jaxpr: The function with all calls inlined and without equations nobody needs; its
            constants come first among its inputs.
        constants: Values of those first inputs.
        groups: In the order in which they first do something.
    """

    jaxpr: Any
    constants: tuple[Any, ...]
    groups: tuple[LayerGroup, ...]

    def values(
        self,
        variables: Iterable[Any],
        arguments: Sequence[Any],
        options: Mapping[str, str | int | float | bool] | None = None,
    ) -> dict[Any, Any]:
        """Run the whole function once and keep some of its values.

        Args:
            variables: Which to keep; XLA frees all others as it goes.
            arguments: The function's arguments, flattened.
            options: XLA compiler options.
        """
        given = dict(zip(self.jaxpr.invars, (*self.constants, *arguments), strict=True))
        wanted = dict.fromkeys(variables)
        computed = [variable for variable in wanted if variable not in given]
        if computed:
            function = core.jaxpr_as_fun(
                core.ClosedJaxpr(_function(self.jaxpr, self.jaxpr.invars, computed), ())
            )
            compiled = compile_flat(function, list(given.values()), options)
            given.update(zip(computed, compiled(*given.values()), strict=True))
        return {variable: given[variable] for variable in wanted}


def compile_flat(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, str | int | float | bool] | None = None,
) -> Any:
    """Compile a function of arrays for these arguments, keeping those that it does not use."""
    compiler_options: Any = dict(options) if options else None
    lowered = jax.jit(function, keep_unused=True).lower(*arguments)
    return lowered.compile(compiler_options=compiler_options)


def layer_groups(traced: Any) -> tuple[LayerGroup, ...]:
    """Cut a traced function into its layers.

    Args:
        traced: A ClosedJaxpr, such as ``jax.make_jaxpr(f)(x)``.

    Raises:
        InputError: Equations share a mutable reference, so they cannot run one without another.

    Example:
        >>> def net(x):
        ...     with jax.named_scope("Net"), jax.named_scope("double"):
        ...         return x * 2
        >>> [(group.layer, group.phase) for group in layer_groups(jax.make_jaxpr(net)(1.0))]
        [('Net/double', 'forward')]
    """
    return partition(traced).groups


def partition(traced: Any) -> Partition:
    """Cut a traced function into its layers, and keep what is needed to run it."""
    inlined = _Inlined()
    inlined.run(traced)
    outputs = inlined.outputs
    placed = _needed(inlined.equations, outputs)
    inputs = [*inlined.constants, *traced.jaxpr.invars]
    whole = traced.jaxpr.replace(
        constvars=[],
        invars=inputs,
        outvars=outputs,
        eqns=[equation for equation, _ in placed],
        effects=_effects(equation for equation, _ in placed),
    )
    return Partition(
        jaxpr=whole,
        constants=tuple(inlined.constants.values()),
        groups=_groups(whole, [path for _, path in placed]),
    )


class _Inlined:
    """The equations of a function with those of the calls inside it, in variables of their own.

    Attributes:
        equations: With the scope path of each.
        constants: Values by variable.
        outputs: What the function gives.
    """

    def __init__(self) -> None:
        self.equations: list[tuple[Any, str]] = []
        self.constants: dict[Any, Any] = {}
        self.outputs: list[Any] = []

    def run(self, traced: Any) -> None:
        names = {variable: variable for variable in traced.jaxpr.invars}
        self.outputs = self._inline(traced.jaxpr, traced.consts, names, "")

    def _inline(self, jaxpr: Any, constants: Sequence[Any], names: Any, scope: str) -> list[Any]:
        """Add the equations of `jaxpr`, whose inputs have `names`; give its outputs' names."""

        def name(atom: Any) -> Any:
            return atom if isinstance(atom, core.Literal) else names[atom]

        for variable, value in zip(jaxpr.constvars, constants, strict=True):
            names[variable] = core.Var(variable.aval)
            self.constants[names[variable]] = value
        for equation in jaxpr.eqns:
            path = _join(scope, str(equation.source_info.name_stack))
            inputs = [name(atom) for atom in equation.invars]
            called = _called(equation)
            if called is not None:
                inner = dict(zip(called.invars, inputs, strict=True))
                closed = getattr(equation.params[_called_key(equation)], "consts", ())
                outputs = self._inline(called, closed, inner, _inner_scope(equation, path))
                names.update(zip(equation.outvars, outputs, strict=True))
                continue
            made = [_fresh(variable) for variable in equation.outvars]
            names.update(zip(equation.outvars, made, strict=True))
            self.equations.append((equation.replace(invars=inputs, outvars=made), path))
        return [name(atom) for atom in jaxpr.outvars]


def _called_key(equation: Any) -> str:
    return next((key for key in _CALLED if key in equation.params), "")


def _called(equation: Any) -> Any:
    """Give the jaxpr that an equation only calls, or None."""
    if equation.primitive.name not in _CALLS:
        return None
    called = equation.params.get(_called_key(equation))
    # A Jaxpr is its own .jaxpr in newer versions of jax; a ClosedJaxpr holds it there.
    return getattr(called, "jaxpr", called)


def _fresh(variable: Any) -> Any:
    return variable if isinstance(variable, core.DropVar) else core.Var(variable.aval)


def _inner_scope(equation: Any, path: str) -> str:
    """Give the scope of the equations inside another one, written as XLA's op_names write it."""
    primitive = equation.primitive.name
    if primitive in ("jit", "pjit"):
        return _join(path, f"jit({equation.params['name']})")
    if primitive in ("scan", "while"):
        return _join(path, "while/body/eval_jaxpr")
    return path


def _join(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope and name else scope or name


def _needed(equations: Sequence[tuple[Any, str]], outputs: Iterable[Any]) -> list[tuple[Any, str]]:
    """Drop equations whose results nobody needs; XLA would drop them too."""
    needed = {atom for atom in outputs if not isinstance(atom, core.Literal)}
    kept: list[tuple[Any, str]] = []
    for equation, path in reversed(equations):
        if equation.effects or not needed.isdisjoint(equation.outvars):
            needed.update(_variables(equation.invars))
            kept.append((equation, path))
    return kept[::-1]


def _variables(atoms: Iterable[Any]) -> Iterator[Any]:
    return (atom for atom in atoms if not isinstance(atom, core.Literal))


def _effects(equations: Iterable[Any]) -> set[Any]:
    return set().union(*(equation.effects for equation in equations))


def _function(whole: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Give a jaxpr like `whole` with other inputs and outputs."""
    return whole.replace(constvars=[], invars=list(inputs), outvars=list(outputs))


@dataclass(frozen=True, slots=True)
class _Place:
    layer: str | None
    phase: str
    covers: tuple[str, ...] = ()


def _groups(whole: Any, paths: Sequence[str]) -> tuple[LayerGroup, ...]:
    members: dict[tuple[str | None, str], list[int]] = {}
    covers: dict[tuple[str | None, str], dict[str, None]] = {}
    producers: dict[Any, tuple[str | None, str]] = {}
    for index, (equation, path) in enumerate(zip(whole.eqns, paths, strict=True)):
        place = _place(equation, path)
        key = (place.layer, place.phase)
        members.setdefault(key, []).append(index)
        covers.setdefault(key, {}).update(dict.fromkeys(place.covers))
        producers.update(dict.fromkeys(equation.outvars, key))
    taken: dict[Any, dict[Any, None]] = {key: {} for key in members}
    given: dict[Any, dict[Any, None]] = {key: {} for key in members}
    for key, indices in members.items():
        for index in indices:
            for variable in _variables(whole.eqns[index].invars):
                producer = producers.get(variable)
                if producer != key:
                    taken[key][variable] = None
                    if producer is not None:
                        given[producer][variable] = None
    for variable in _variables(whole.outvars):
        if variable in producers:
            given[producers[variable]][variable] = None
    return tuple(
        _group(whole, key, indices, tuple(taken[key]), tuple(given[key]), tuple(covers[key]))
        for key, indices in members.items()
    )


def _group(
    whole: Any,
    key: tuple[str | None, str],
    indices: Sequence[int],
    inputs: tuple[Any, ...],
    outputs: tuple[Any, ...],
    covers: tuple[str, ...],
) -> LayerGroup:
    layer, phase = key
    for variable in (*inputs, *outputs):
        if not isinstance(variable.aval, jax.core.ShapedArray):
            raise InputError(
                f"layer {layer or 'without a name'!r} shares {variable.aval} with another layer, so"
                " neither can be timed alone; keep mutable references inside one layer"
            )
    equations = [whole.eqns[index] for index in indices]
    jaxpr = whole.replace(
        constvars=[],
        invars=list(inputs),
        outvars=list(outputs),
        eqns=equations,
        effects=_effects(equations),
    )
    return LayerGroup(
        layer=layer, phase=phase, jaxpr=jaxpr, inputs=inputs, outputs=outputs, covers=covers
    )


def _place(equation: Any, path: str) -> _Place:
    """Say where an equation belongs; a loop or branch to what all of its inside have in common."""
    own = parse_op_name(f"{path}/{equation.primitive.name}")
    inside = {parse_op_name(f"{inner}/{name}").layer for inner, name in _inside(equation, path)}
    layers = {layer for layer in inside if layer is not None}
    if layers <= {own.layer}:
        return _Place(own.layer, own.phase)
    common = _common(layers) or own.layer
    return _Place(common, own.phase, tuple(sorted(layers - {common})))


def _common(layers: Iterable[str]) -> str:
    """Give the path that all the layers begin with, "" if there is none."""
    parts = [layer.split("/") for layer in layers]
    first, last = min(parts), max(parts)
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "/".join(part for part, _ in shared)


def _inside(equation: Any, path: str) -> Iterator[tuple[str, str]]:
    """Give the path and primitive of every equation inside a loop, branch or other body."""
    scope = _inner_scope(equation, path)
    for body in core.jaxprs_in_params(equation.params):
        for inner in body.eqns:
            inner_path = _join(scope, str(inner.source_info.name_stack))
            nested = list(_inside(inner, inner_path))
            if nested:
                yield from nested
            else:
                yield inner_path, inner.primitive.name
