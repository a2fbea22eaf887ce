"""The values that flow inside a function, inside its loops too, and how often its parts run.

The whole function is run once with a watch on it. Of a value inside a loop or branch, the one of
the first time that it runs is kept; how often every region runs is counted on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from edgegraph.measure.regions import Region, Regions, effects_of, scan_parts, struct_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The values of the variables asked for, and how often the regions ran that were watched."""

    values: Mapping[Any, Any]
    executions: Mapping[Region, int]


def compile_flat(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, str | int | float | bool] | None = None,
    donated: Sequence[int] = (),
) -> Any:
    """Compile a function of arrays for these arguments, keeping those that it does not use."""
    compiler_options: Any = dict(options) if options else None
    lowered = jax.jit(function, keep_unused=True, donate_argnums=tuple(donated)).lower(*arguments)
    return lowered.compile(compiler_options=compiler_options)


def run_watched(
    regions: Regions,
    wanted: Iterable[Any],
    counted: Iterable[Region],
    arguments: Sequence[Any],
    options: Mapping[str, str | int | float | bool] | None = None,
) -> Flow:
    """Run a function once; keep the `wanted` values and count the runs of the `counted` regions."""
    root = regions.root
    given = dict(zip(root.jaxpr.invars, (*regions.constants.values(), *arguments), strict=True))
    asked = dict.fromkeys(wanted)
    executions = static_executions(root)
    watch = _Watch(
        regions,
        [variable for variable in asked if variable not in given],
        [region for region in counted if region not in executions],
    )
    values = {variable: given[variable] for variable in asked if variable in given}
    if watch.watched:
        inputs = list(given.values())
        seen = compile_flat(watch.observe, inputs, options)(*inputs)
        executions.update(watch.counts(seen))
        values.update(watch.values(seen, executions))
    return Flow(values=values, executions=executions)


def static_executions(root: Region) -> dict[Region, int]:
    """Count the runs that stand in the program: of scans in nothing but scans."""
    counted = {root: 1}
    for region in root.walk():
        for position, bodies in region.inside.items():
            if region in counted and bodies[0].kind == "scan":
                counted[bodies[0]] = counted[region] * region.jaxpr.eqns[position].params["length"]
    return counted


_Seen = dict[tuple[str, int], Any]
"""How often regions ran (`_COUNT`), and the values they saw at first (`_VALUE`), by number."""

_COUNT, _VALUE = "count", "value"


class _Watch:
    """Evaluates a function, and returns besides its results what was seen in `watched` regions."""

    def __init__(self, regions: Regions, wanted: Sequence[Any], counted: Sequence[Region]) -> None:
        self._regions = regions
        self._constants: dict[Any, Any] = {}
        self._wanted = wanted
        every = list(regions.root.walk())
        self._number = {region: number for number, region in enumerate(every)}
        owner = {
            variable: region
            for region in every
            for made in (region.jaxpr.invars, *(each.outvars for each in region.jaxpr.eqns))
            for variable in made
        }
        self._region = {index: owner[variable] for index, variable in enumerate(wanted)}
        self._of: dict[Region, list[int]] = {}
        for index, region in self._region.items():
            self._of.setdefault(region, []).append(index)
        seen = {*self._of, *counted}
        self.watched = {region for region in every if not seen.isdisjoint(region.walk())}

    def observe(self, *inputs: Any) -> _Seen:
        """Evaluate the whole function for what can be seen in it."""
        self._constants = dict(zip(self._regions.constants, inputs, strict=False))
        return self.run(self._regions.root, inputs)[1]

    def counts(self, seen: _Seen) -> dict[Region, int]:
        """Return how often the regions ran that were watched."""
        regions = list(self._number)
        return {regions[at]: int(count) for (kind, at), count in seen.items() if kind == _COUNT}

    def values(self, seen: _Seen, executions: Mapping[Region, int]) -> dict[Any, Any]:
        """Return what was seen, without the zeros that stand for regions that never ran."""
        return {
            self._wanted[index]: value
            for (kind, index), value in seen.items()
            if kind == _VALUE and executions[self._region[index]]
        }

    def run(self, region: Region, inputs: Sequence[Any]) -> tuple[list[Any], _Seen]:
        """Evaluate a region; return its results and what was seen in it and below."""
        values = {**self._constants, **dict(zip(region.jaxpr.invars, inputs, strict=True))}
        seen: _Seen = {(_COUNT, self._number[region]): jnp.asarray(1, jnp.int32)}

        def read(atom: Any) -> Any:
            return _literal(atom) if isinstance(atom, core.Literal) else values[atom]

        for position, equation in enumerate(region.jaxpr.eqns):
            operands = [read(atom) for atom in equation.invars]
            inside = region.inside.get(position, ())
            if any(inner in self.watched for inner in inside):
                results, below = self._open(equation, inside, operands)
                seen |= below
            else:
                results = _evaluate(region.jaxpr, equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
        for index in self._of.get(region, ()):
            seen[_VALUE, index] = values[self._wanted[index]]
        return [read(atom) for atom in region.jaxpr.outvars], seen

    def _open(
        self, equation: Any, inside: tuple[Region, ...], operands: list[Any]
    ) -> tuple[Sequence[Any], _Seen]:
        match equation.primitive.name:
            case "scan":
                return self._scan(equation, inside[0], operands)
            case "while":
                return self._while(equation, inside[0], inside[1], operands)
            case _:
                return self._branch(inside, operands)

    def _scan(
        self, equation: Any, body: Region, operands: list[Any]
    ) -> tuple[Sequence[Any], _Seen]:
        parts = scan_parts(equation, body.jaxpr)
        constants = operands[: parts.constants]
        carry = operands[parts.constants : parts.constants + parts.carries]
        scanned = operands[parts.constants + parts.carries :]

        def step(state: Any, rows: Any) -> Any:
            carry, seen = state
            results, now = self.run(body, [*constants, *carry, *rows])
            return (results[: parts.carries], self._first(seen, now)), results[parts.carries :]

        (carry, seen), stacked = lax.scan(
            step,
            (carry, self._nothing(body)),
            scanned,
            length=equation.params["length"],
            reverse=equation.params["reverse"],
        )
        return [*carry, *stacked], seen

    def _while(
        self, equation: Any, condition: Region, body: Region, operands: list[Any]
    ) -> tuple[Sequence[Any], _Seen]:
        start = equation.params["cond_nconsts"]
        end = start + equation.params["body_nconsts"]
        asked, constants, carry = operands[:start], operands[start:end], operands[end:]

        def goes_on(state: Any) -> Any:
            return self.run(condition, [*asked, *state[0]])[0][0]

        def step(state: Any) -> Any:
            carry, seen = state
            results, now = self.run(body, [*constants, *carry])
            return results, self._first(seen, now)

        _, first = self.run(condition, [*asked, *carry])
        carry, seen = lax.while_loop(goes_on, step, (carry, self._nothing(body)))
        asked_count = seen[_COUNT, self._number[body]] + 1
        return carry, {**first, **seen, (_COUNT, self._number[condition]): asked_count}

    def _branch(
        self, branches: tuple[Region, ...], operands: list[Any]
    ) -> tuple[Sequence[Any], _Seen]:
        index, *inputs = operands
        nothing = {key: zero for one in branches for key, zero in self._nothing(one).items()}

        def take(chosen: Region) -> Callable[..., Any]:
            def run(*inputs: Any) -> Any:
                results, seen = self.run(chosen, inputs)
                return results, {**nothing, **seen}

            return run

        outcome: tuple[Sequence[Any], _Seen] = lax.switch(
            index, [take(branch) for branch in branches], *inputs
        )
        return outcome

    def _nothing(self, region: Region) -> _Seen:
        """Return zeros for everything that can be seen in a region."""
        inputs = [struct_of(variable) for variable in region.jaxpr.invars]
        _, seen = jax.eval_shape(lambda: self.run(region, _zeros(inputs)))
        nothing: _Seen = _zeros(seen)
        return nothing

    def _first(self, before: _Seen, now: _Seen) -> _Seen:
        """Add the counts up; keep the values of regions that had run before."""

        def join(kind: str, index: int) -> Any:
            old, new = before[kind, index], now[kind, index]
            if kind == _COUNT:
                return old + new
            return jnp.where(before[_COUNT, self._number[self._region[index]]] == 0, new, old)

        return {key: join(*key) for key in now}


def _literal(atom: Any) -> Any:
    return jnp.asarray(atom.val, atom.aval.dtype)


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _evaluate(whole: Any, equation: Any, operands: Sequence[Any]) -> list[Any]:
    """Evaluate one equation by itself."""
    pairs = zip(equation.invars, operands, strict=True)
    inputs = {atom: operand for atom, operand in pairs if not isinstance(atom, core.Literal)}
    made = [v for v in equation.outvars if not isinstance(v, core.DropVar)]
    alone = whole.replace(
        constvars=[],
        invars=list(inputs),
        outvars=made,
        eqns=[equation],
        effects=effects_of([equation]),
    )
    results = iter(core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*inputs.values()))
    return [None if isinstance(v, core.DropVar) else next(results) for v in equation.outvars]
