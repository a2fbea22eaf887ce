"""Splits a function into what depends on its weights alone, computed once, and the rest.

The function is traced. What its equations compute from weights and constants only is known before
there is data: transposed, padded, rounded or scaled weights, and the factors of a normalisation. A
value of these that the rest needs is prepared, unless it is only a view of another, or larger than
what it is made from, as a bias spread over a picture is: that is computed where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import jax
from jax.extend import core, source_info_util

from edgegraph.rewrites.rewriter import Decisions, rewritten
from edgegraph.rewrites.rule import site_of
from edgegraph.workload import Call, Workload

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
class _Step:
    """An equation whose variables have numbers that are unique in the whole function."""

    equation: core.JaxprEqn
    stack: Any
    reads: tuple[Any, ...]
    writes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Literal:
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
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    known_count = len(jax.tree.leaves(tuple(arguments[:held])))
    traced = _traced(jaxpr, known_count)
    constants, inputs, results = traced.constants, traced.inputs, traced.results
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
        found = [each.value if isinstance(each, _Literal) else values[each] for each in results]
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    structs = jax.eval_shape(prepare, *arguments[:held])
    return Split(prepare=prepare, run=run, values=structs)


def held_operands(
    function: Callable[..., Any], arguments: Sequence[Any], held: int
) -> dict[str, tuple[int, ...]]:
    """Return for each kind of site which of its operands are known from the weights alone.

    Args:
        function: Of positional arguments.
        arguments: Trees of arrays or `jax.ShapeDtypeStruct`s.
        held: How many of the first are weights.

    Returns:
        Positions of operands by signature, those that all equal sites have known.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments)
    traced = _traced(jaxpr, len(jax.tree.leaves(tuple(arguments[:held]))))
    found: dict[str, set[int]] = {}
    for step in traced.steps:
        if traced.is_known(step):
            continue
        places = {n for n, each in enumerate(step.reads) if each in traced.known}
        signature = site_of(step.equation).signature
        found[signature] = found.get(signature, places) & places
    return {signature: tuple(sorted(places)) for signature, places in found.items() if places}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """A function as steps, and which of its values are known from the weights and constants."""

    inputs: Sequence[int]
    constants: dict[int, Any]
    steps: list[_Step]
    results: list[Any]
    known: set[Any]

    def is_known(self, step: _Step) -> bool:
        """Return whether a step reads nothing but what is known."""
        return bool(step.writes) and self.known.issuperset(step.writes)

    def frontier(self) -> tuple[list[int], set[int]]:
        """Return the values to prepare, and which steps are done again where they are needed."""
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
            if isinstance(number, _Literal) or number not in self.known or number in seen:
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
        """Return for each known value the bytes of each weight that it is made from."""
        stems: dict[int, dict[int, int]] = {}
        for step in self.steps:
            made: dict[int, int] = {}
            for each, atom in zip(step.reads, step.equation.invars, strict=True):
                if each in self.inputs:
                    stems.setdefault(each, {each: _bytes(atom)})
                made |= stems.get(each, {})
            stems.update(dict.fromkeys(step.writes, made))
        return stems


def _delayed(maker: _Step, stem: Mapping[int, int]) -> bool:
    """Return whether a result is computed where it is needed rather than kept."""
    written = sum(map(_bytes, maker.equation.outvars))
    return maker.equation.primitive.name in _VIEWS or written > sum(stem.values())


def _bytes(atom: Any) -> int:
    return int(prod(atom.aval.shape) * atom.aval.dtype.itemsize)


def _traced(jaxpr: Any, known_count: int) -> _Traced:
    opened = getattr(jaxpr, "jaxpr", jaxpr)
    inputs = range(len(opened.invars))
    constants = {len(inputs) + n: value for n, value in enumerate(jaxpr.consts)}
    numbering: dict[Any, Any] = dict(zip(opened.constvars, constants, strict=True))
    numbering.update(zip(opened.invars, inputs, strict=True))
    known: set[Any] = {*inputs[:known_count], *constants}
    steps = list(_Walk(len(inputs) + len(constants), known).steps(opened, numbering, None))
    results = [_read(atom, numbering) for atom in opened.outvars]
    return _Traced(inputs=inputs, constants=constants, steps=steps, results=results, known=known)


class _Walk:
    """Numbers the variables of a jaxpr, inner ones of jit too, and finds out what is known.

    A jit that reads nothing but what is known stays one equation; of another, the body is walked.
    """

    def __init__(self, first: int, known: set[Any]) -> None:
        self._next = first
        self._known = known

    def steps(self, jaxpr: core.Jaxpr, numbering: dict[Any, Any], outer: Any) -> Iterator[_Step]:
        for equation in jaxpr.eqns:
            reads = tuple(_read(atom, numbering) for atom in equation.invars)
            stack = equation.source_info.name_stack
            stack = stack if outer is None else outer + stack
            known = not equation.effects and all(
                isinstance(each, _Literal) or each in self._known for each in reads
            )
            if not known and _inlined(equation):
                yield from self._body(equation, reads, numbering, stack)
                continue
            writes = tuple(self._number(variable, numbering) for variable in equation.outvars)
            if known:
                self._known.update(writes)
            yield _Step(equation, stack, reads, writes)

    def _body(
        self, equation: core.JaxprEqn, reads: Iterable[Any], numbering: dict[Any, Any], stack: Any
    ) -> Iterator[_Step]:
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
    return _Literal(atom.val) if isinstance(atom, core.Literal) else numbering[atom]


def _run(steps: Iterable[_Step], values: Mapping[int, Any]) -> dict[int, Any]:
    found = dict(values)
    for step in steps:
        operands = [
            each.value if isinstance(each, _Literal) else found[each] for each in step.reads
        ]
        info = step.equation.source_info
        stack = source_info_util.current_name_stack() + step.stack
        with (
            source_info_util.user_context(info.traceback, name_stack=stack),
            step.equation.ctx.manager,
        ):
            results = site_of(step.equation).plain(*operands)
        if not step.equation.primitive.multiple_results:
            results = (results,)
        found.update(zip(step.writes, results, strict=True))
    return found


def prepared_workload(workload: Workload, decisions: Decisions) -> Workload:
    """Return a workload of the data alone, beside the values prepared from its weights.

    Its MACs stay those of the plain one, layer by layer.
    """

    def call(batch: int) -> Call:
        plain = workload.call(batch)
        held = plain.held
        halves = split(rewritten(plain.function, decisions), plain.abstract, held)
        model = plain.original or plain.function

        def original(prepared: Any, *data: Any) -> Any:
            zeros = jax.tree.map(
                lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), plain.abstract[:held]
            )
            return model(*zeros, *data)

        def concrete() -> tuple[Any, ...]:
            arguments = plain.concrete()
            return jax.jit(halves.prepare)(*arguments[:held]), *arguments[held:]

        return replace(
            plain,
            function=halves.run,
            donate=(),
            keywords=(),
            stage=None,
            abstract=(halves.values, *plain.abstract[held:]),
            concrete=concrete,
            original=original,
            held=1,
        )

    return replace(workload, name=f"{workload.name}_prepared", call=call)
