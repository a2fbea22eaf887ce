"""A traced function taken apart: its equations, and those inside its loops and branches.

What is only called once is inlined. Every body of a loop, and every branch, becomes a region of
its own, with variables of its own, so that the values in it can be asked for like any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jax.extend import core

# What only calls a function once, by the name of its primitive. Its equations are taken out of
# it, so that the scopes inside count and repeated layers look alike. XLA inlines them as well.
_CALLS = frozenset(
    {"jit", "pjit", "closed_call", "core_call", "eval_jaxpr", "custom_jvp_call",
     "custom_vjp_call", "checkpoint", "remat", "remat2"}
)  # fmt: skip
_NUMBER = jax.core.ShapedArray((), np.dtype("int32"))
_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """Equations that run together: the function's own, or those of a loop's body or a branch.

    Attributes:
        kind: ``function``, ``scan``, ``while`` (its body), ``condition`` or ``branch``.
        name: From the outermost loop to the innermost (``scan of 12/branch 1``).
        jaxpr: Calls inlined, unneeded equations left out. The function's constants come first
            among its inputs; in other regions they are free variables.
        paths: The scope path of every equation.
        inside: By an equation's position, the regions that it runs, where it can be opened.
    """

    kind: str
    name: str
    jaxpr: Any
    paths: tuple[str, ...]
    inside: Mapping[int, tuple[Region, ...]]

    def walk(self) -> Iterator[Region]:
        """Yield this region and all those inside it."""
        yield self
        for regions in self.inside.values():
            for region in regions:
                yield from region.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """A traced function as a tree of regions.

    `constants` are values of variables that are given in every region; `positions` has the variable
    among them by the number of an iteration that a scan begins with; `places` the layer and phase
    of equations, by region and position, where more is known than their names say.
    """

    root: Region
    constants: Mapping[Any, Any]
    positions: Mapping[int, Any]
    places: Mapping[tuple[Region, int], tuple[str | None, str]] = field(default_factory=dict)


def find_regions(traced: Any) -> Regions:
    """Split a traced function, such as ``jax.make_jaxpr(f)(x)``, into regions."""
    inliner = _Inliner()
    root = inliner.region("function", "", traced, "")
    positions = {first: core.Var(_NUMBER) for first in sorted(_first_iterations(root))}
    numbers = {variable: np.int32(first) for first, variable in positions.items()}
    constants = {**inliner.constants, **numbers}
    inputs = [*constants, *root.jaxpr.invars]
    root = replace(root, jaxpr=root.jaxpr.replace(invars=inputs))
    return Regions(root=root, constants=constants, positions=positions)


def _first_iterations(root: Region) -> set[int]:
    """Return the positions in what they scan over that the scans begin with."""
    scans = [
        region.jaxpr.eqns[position].params
        for region in root.walk()
        for position, bodies in region.inside.items()
        if bodies[0].kind == "scan"
    ]
    return {scan["length"] - 1 if scan["reverse"] else 0 for scan in scans}


class _Inliner:
    """Makes regions; collects the constants that the calls inside them hold, by variable."""

    def __init__(self) -> None:
        self.constants: dict[Any, Any] = {}

    def region(self, kind: str, name: str, closed: Any, scope: str) -> Region:
        """Make the region of a jaxpr, with those inside it."""
        jaxpr = _open(closed)
        inputs = [core.Var(variable.aval) for variable in jaxpr.invars]
        names = dict(zip(jaxpr.invars, inputs, strict=True))
        equations: list[tuple[Any, str]] = []
        outputs = self._inline(jaxpr, getattr(closed, "consts", ()), names, scope, equations)
        placed = _needed(equations, outputs)
        kept = [equation for equation, _ in placed]
        return Region(
            kind=kind,
            name=name,
            jaxpr=jaxpr.replace(
                constvars=[], invars=inputs, outvars=outputs, eqns=kept, effects=effects_of(kept)
            ),
            paths=tuple(path for _, path in placed),
            inside={
                position: tuple(
                    self.region(inner, f"{name}/{label}" if name else label, body, scope)
                    for inner, label, body, scope in bodies
                )
                for position, (equation, path) in enumerate(placed)
                # How often something runs inside a condition could not be counted.
                if kind != "condition" and (bodies := tuple(_bodies(equation, path)))
            },
        )

    def _inline(
        self,
        jaxpr: Any,
        constants: Sequence[Any],
        names: dict[Any, Any],
        scope: str,
        equations: list[tuple[Any, str]],
    ) -> list[Any]:
        """Add the equations of `jaxpr`, whose inputs have `names`; return its outputs' names."""

        def name(atom: Any) -> Any:
            return atom if isinstance(atom, core.Literal) else names[atom]

        for variable, value in zip(jaxpr.constvars, constants, strict=True):
            names[variable] = core.Var(variable.aval)
            self.constants[names[variable]] = value
        for equation in jaxpr.eqns:
            path = join(scope, str(equation.source_info.name_stack))
            inputs = [name(atom) for atom in equation.invars]
            # What it only calls, or None.
            found = [equation.params[key] for key in _CALLED if key in equation.params]
            closed = found[0] if found and equation.primitive.name in _CALLS else None
            if closed is not None:
                called, held = _open(closed), getattr(closed, "consts", ())
                inner = dict(zip(called.invars, inputs, strict=True))
                outputs = self._inline(called, held, inner, inner_scope(equation, path), equations)
                names.update(zip(equation.outvars, outputs, strict=True))
                continue
            made = [
                variable if isinstance(variable, core.DropVar) else core.Var(variable.aval)
                for variable in equation.outvars
            ]
            names.update(zip(equation.outvars, made, strict=True))
            equations.append((equation.replace(invars=inputs, outvars=made), path))
        return [name(atom) for atom in jaxpr.outvars]


def _open(closed: Any) -> Any:
    """Return the jaxpr of a ClosedJaxpr; in newer versions of jax a Jaxpr is its own."""
    return getattr(closed, "jaxpr", closed)


def inner_scope(equation: Any, path: str) -> str:
    """Return the scope of the equations inside another one, written as XLA's op_names write it."""
    primitive = equation.primitive.name
    if primitive in ("jit", "pjit"):
        return join(path, f"jit({equation.params['name']})")
    if primitive in ("scan", "while"):
        return join(path, "while/body/eval_jaxpr")
    return path


def join(scope: str, name: str) -> str:
    """Put a scope and what stands in it together."""
    return f"{scope}/{name}" if scope and name else scope or name


def _bodies(equation: Any, path: str) -> Iterator[tuple[str, str, Any, str]]:
    """Yield kind, name, jaxpr and scope of every body of an equation that can be opened."""
    parameters, scope = equation.params, inner_scope(equation, path)
    match equation.primitive.name:
        case "scan" if parameters["length"] and _holds_arrays_only(equation):
            yield "scan", f"scan of {parameters['length']}", parameters["jaxpr"], scope
        case "while" if _holds_arrays_only(equation):
            condition = parameters["cond_jaxpr"]
            # A loop under vmap asks for every element of the batch; XLA's loop is another one.
            if _open(condition).outvars[0].aval.shape == ():
                yield "condition", "condition", condition, scope
                yield "while", "while", parameters["body_jaxpr"], scope
        case "cond" if _holds_arrays_only(equation) and not parameters.get("branches_platforms"):
            for number, branch in enumerate(parameters["branches"]):
                yield "branch", f"branch {number}", branch, scope


def _holds_arrays_only(equation: Any) -> bool:
    """Return whether no mutable reference flows through an equation or what is inside it."""
    atoms = (*equation.invars, *equation.outvars)
    return all(isinstance(atom.aval, jax.core.ShapedArray) for atom in atoms) and all(
        _holds_arrays_only(inner)
        for body in core.jaxprs_in_params(equation.params)
        for inner in body.eqns
    )


def _needed(equations: Sequence[tuple[Any, str]], outputs: Iterable[Any]) -> list[tuple[Any, str]]:
    """Drop equations whose results nobody needs; XLA would drop them too."""
    needed = set(variables(outputs))
    kept: list[tuple[Any, str]] = []
    for equation, path in reversed(equations):
        if equation.effects or not needed.isdisjoint(equation.outvars):
            needed.update(variables(equation.invars))
            kept.append((equation, path))
    return kept[::-1]


def variables(atoms: Iterable[Any]) -> Iterator[Any]:
    """Return those that are no literals."""
    return (atom for atom in atoms if not isinstance(atom, core.Literal))


def struct_of(variable: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of a variable."""
    return jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype)


def effects_of(equations: Iterable[Any]) -> set[Any]:
    """Return the effects of all the equations."""
    return set().union(*(equation.effects for equation in equations))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanParts:
    """What flows into and out of a scan, in the function that holds it and in its body.

    Of the body's inputs, `constants` are the same for every iteration, `carries` are handed from
    one to the next. The rest are `rows` of `scanned`; those that it makes are stacked outside.
    """

    constants: int
    carries: int
    scanned: tuple[Any, ...]
    rows: tuple[Any, ...]
    stacked: tuple[Any, ...]
    made: tuple[Any, ...]


def scan_parts(equation: Any, body: Any) -> ScanParts:
    """Separate what is carried from what is sliced or stacked, which has one axis more outside."""

    def same(outer: Sequence[Any], inner: Sequence[Any]) -> int:
        pairs = zip(outer, inner, strict=True)
        return sum(first.aval.ndim == second.aval.ndim for first, second in pairs)

    kept = same(equation.invars, body.invars)
    carries = same(equation.outvars, body.outvars)
    return ScanParts(
        constants=kept - carries,
        carries=carries,
        scanned=tuple(equation.invars[kept:]),
        rows=tuple(body.invars[kept:]),
        stacked=tuple(equation.outvars[carries:]),
        made=tuple(body.outvars[carries:]),
    )
