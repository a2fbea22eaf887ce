"""Split a function into what depends on its weights alone, computed once, and the rest.

The function is traced. What its equations compute from weights and constants alone is known before
there is data: transposed, padded, rounded or scaled weights, and the factors of a normalisation.
Those of these values that the rest needs are prepared. Views of others, and values larger than what
they are made from, such as a bias broadcast over an image, are computed where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
from jax.extend import core, source_info_util

from edgegraph.rewrites.rule import site_of

_VIEWS = frozenset({"slice", "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy"})
"""Primitives whose results XLA reads in place of their operands for nothing."""

_JIT = frozenset({"jit", "pjit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A function in two.

    Attributes:
        prepare: From the weights, the values that the rest needs: a list of arrays.
        run: From these and the data, what the function returns.
        values: Shape and dtype of each prepared value.
    """

    prepare: Callable[..., list[Any]]
    run: Callable[..., Any]
    values: list[jax.ShapeDtypeStruct]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """An equation whose variables are numbered uniquely in the whole function."""

    equation: core.JaxprEqn
    stack: Any
    reads: tuple[Any, ...]
    writes: tuple[int, ...]

    @contextmanager
    def place(self) -> Iterator[None]:
        """Trace what is done meanwhile at the equation's source line and name scope."""
        info = self.equation.source_info
        stack = source_info_util.current_name_stack() + self.stack
        with (
            source_info_util.user_context(info.traceback, name_stack=stack),
            self.equation.ctx.manager,
        ):
            yield


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A number that the program says."""

    value: Any


def split(function: Callable[..., Any], arguments: Sequence[Any], held: int) -> Split:
    """Split a function into what depends on its first arguments alone, and the rest.

    Args:
        function: Of positional arguments.
        arguments: Trees of arrays or `jax.ShapeDtypeStruct`s.
        held: How many of the first are weights.

    Example:
        >>> import jax.numpy as jnp
        >>> halves = split(lambda w, x: x @ w.T, (jnp.ones((3, 2)), jnp.ones((1, 2))), 1)
        >>> [value.shape for value in halves.values]
        [(2, 3)]
        >>> float(halves.run(halves.prepare(jnp.ones((3, 2))), jnp.ones((1, 2)))[0, 0])
        2.0
    """
    traced, shapes = traced_call(function, arguments, held)
    known_count = len(jax.tree.leaves(tuple(arguments[:held])))
    constants, inputs = traced.constants, traced.inputs
    kept, again = traced.frontier()
    early = [step for step in traced.steps if traced.is_known(step)]
    rest = [step for step in traced.steps if not traced.is_known(step) or id(step) in again]

    def prepare(*weights: Any) -> list[Any]:
        leaves = jax.tree.leaves(weights)
        values = _run(early, constants | dict(zip(inputs[:known_count], leaves, strict=True)))
        return [values[number] for number in kept]

    def run(prepared: Sequence[Any], *data: Any) -> Any:
        leaves = jax.tree.leaves(data)
        given = dict(zip(inputs[known_count:], leaves, strict=True))
        values = _run(rest, constants | dict(zip(kept, prepared, strict=True)) | given)
        return traced.returned(values, shapes)

    structs = jax.eval_shape(prepare, *arguments[:held])
    return Split(prepare=prepare, run=run, values=structs)


def held_operands(
    function: Callable[..., Any], arguments: Sequence[Any], held: int
) -> dict[str, tuple[int, ...]]:
    """Return for each kind of site which operands are known from the weights alone.

    Args:
        function: Of positional arguments.
        arguments: Trees of arrays or `jax.ShapeDtypeStruct`s.
        held: How many of the first are weights.

    Returns:
        Positions of operands by signature: those that are known at all equal sites.
    """
    traced, _ = traced_call(function, arguments, held)
    found: dict[str, set[int]] = {}
    for step in traced.steps:
        if traced.is_known(step):
            continue
        places = {n for n, each in enumerate(step.reads) if each in traced.known}
        signature = site_of(step.equation).signature
        found[signature] = found.get(signature, places) & places
    return {signature: tuple(sorted(places)) for signature, places in found.items() if places}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A function as steps, and which values are known from the weights and constants."""

    inputs: Sequence[int]
    constants: dict[int, Any]
    steps: list[Step]
    results: list[Any]
    known: set[Any]

    def is_known(self, step: Step) -> bool:
        """Return whether a step reads only known values."""
        return bool(step.writes) and self.known.issuperset(step.writes)

    def returned(self, values: Mapping[int, Any], shapes: Any) -> Any:
        """Return the function's results, in the tree that it returns."""
        found = [each.value if isinstance(each, Literal) else values[each] for each in self.results]
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    def frontier(self) -> tuple[list[int], set[int]]:
        """Return the values to prepare, and the steps that are recomputed where they are needed."""
        makers = {
            number: step for step in self.steps if self.is_known(step) for number in step.writes
        }
        later = (step for step in self.steps if not self.is_known(step))
        waiting = [each for step in later for each in step.reads] + self.results
        stems = self._stems()
        kept: set[int] = set()
        again: set[int] = set()
        seen: set[Any] = set(self.constants)
        while waiting:
            number = waiting.pop()
            if isinstance(number, Literal) or number not in self.known or number in seen:
                continue
            seen.add(number)
            maker = makers.get(number)
            if maker is None or not _delayed(maker, stems[number]):
                kept.add(number)
            else:
                again.add(id(maker))
                waiting += maker.reads
        return sorted(kept), again

    def _stems(self) -> dict[int, dict[int, int]]:
        """Return for each known value the bytes of every weight that it is made from."""
        stems: dict[int, dict[int, int]] = {}
        for step in self.steps:
            made: dict[int, int] = {}
            for each, atom in zip(step.reads, step.equation.invars, strict=True):
                if each in self.inputs:
                    stems.setdefault(each, {each: _bytes(atom)})
                made |= stems.get(each, {})
            stems.update(dict.fromkeys(step.writes, made))
        return stems


def _delayed(maker: Step, stem: Mapping[int, int]) -> bool:
    """Return whether a result is computed where it is needed rather than prepared."""
    written = sum(map(_bytes, maker.equation.outvars))
    return maker.equation.primitive.name in _VIEWS or written > sum(stem.values())


def _bytes(atom: Any) -> int:
    return int(prod(atom.aval.shape) * atom.aval.dtype.itemsize)


def traced_call(
    function: Callable[..., Any], arguments: Sequence[Any], held: int
) -> tuple[Traced, Any]:
    """Return a function of weights and data as steps, and the shapes of its results."""
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return _traced(jaxpr, len(jax.tree.leaves(tuple(arguments[:held])))), shapes


def _traced(jaxpr: Any, known_count: int) -> Traced:
    opened = getattr(jaxpr, "jaxpr", jaxpr)
    inputs = range(len(opened.invars))
    constants = {len(inputs) + n: value for n, value in enumerate(jaxpr.consts)}
    numbering: dict[Any, Any] = dict(zip(opened.constvars, constants, strict=True))
    numbering.update(zip(opened.invars, inputs, strict=True))
    known: set[Any] = {*inputs[:known_count], *constants}
    steps = list(_Walk(len(inputs) + len(constants), known).steps(opened, numbering, None))
    results = [_read(atom, numbering) for atom in opened.outvars]
    return Traced(inputs=inputs, constants=constants, steps=steps, results=results, known=known)


class _Walk:
    """Number the variables of a jaxpr, those inside jit included, and find out what is known.

    A jit that reads only known values stays one equation; the body of any other one is walked.
    """

    def __init__(self, first: int, known: set[Any]) -> None:
        self._next = first
        self._known = known

    def steps(self, jaxpr: core.Jaxpr, numbering: dict[Any, Any], outer: Any) -> Iterator[Step]:
        for equation in jaxpr.eqns:
            reads = tuple(_read(atom, numbering) for atom in equation.invars)
            stack = equation.source_info.name_stack
            stack = stack if outer is None else outer + stack
            known = not equation.effects and all(
                isinstance(each, Literal) or each in self._known for each in reads
            )
            if not known and _inlined(equation):
                yield from self._body(equation, reads, numbering, stack)
                continue
            writes = tuple(self._number(variable, numbering) for variable in equation.outvars)
            if known:
                self._known.update(writes)
            yield Step(equation, stack, reads, writes)

    def _body(
        self, equation: core.JaxprEqn, reads: Iterable[Any], numbering: dict[Any, Any], stack: Any
    ) -> Iterator[Step]:
        closed = equation.params["jaxpr"]
        body = getattr(closed, "jaxpr", closed)
        inner = dict(zip(body.invars, reads, strict=True))
        yield from self.steps(body, inner, stack)
        for variable, atom in zip(equation.outvars, body.outvars, strict=True):
            numbering[variable] = _read(atom, inner)

    def _number(self, variable: Any, numbering: dict[Any, Any]) -> int:
        numbering[variable] = self._next
        self._next += 1
        return self._next - 1


def _inlined(equation: core.JaxprEqn) -> bool:
    closed = equation.params.get("jaxpr")
    return (
        equation.primitive.name in _JIT
        and not any(equation.params.get("donated_invars", ()))
        and not getattr(closed, "consts", ())
    )


def _read(atom: Any, numbering: Mapping[Any, Any]) -> Any:
    return Literal(atom.val) if isinstance(atom, core.Literal) else numbering[atom]


def _run(steps: Iterable[Step], values: Mapping[int, Any]) -> dict[int, Any]:
    found = dict(values)
    for step in steps:
        run_step(step, found)
    return found


def run_step(step: Step, values: dict[int, Any]) -> None:
    """Compute a step from the values before it, and add its own to them."""
    operands = [each.value if isinstance(each, Literal) else values[each] for each in step.reads]
    with step.place():
        results = site_of(step.equation).plain(*operands)
    if not step.equation.primitive.multiple_results:
        results = (results,)
    values.update(zip(step.writes, results, strict=True))
