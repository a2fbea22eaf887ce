"""Replace chosen equations of a function, wherever they stand, and leave all else as it is.

The function is traced, and its equations are bound again one by one: the chosen ones in another
form, those that hold chosen ones (jit, scan, while, cond, remat, custom derivatives, shard_map) as
the same primitive with a changed body, all others unchanged. Donation, shardings, effects,
derivative rules, name scopes and source lines are therefore kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import jax
import numpy as np
from jax.extend import core, source_info_util

from edgegraph.errors import CompileError
from edgegraph.rewrites.rule import Site, form_named, forms, joined, joins, rules, site_of

Decisions = Mapping[str, str]
"""Names of rules by the signature of the sites that they are applied to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Equal sites of a program.

    Attributes:
        site: One of them.
        scopes: Where each stands, as the program's name scopes tell.
        executions: How often they run in one call, counting the trips of loops of known length.
    """

    site: Site
    scopes: tuple[str, ...]
    executions: int


def find_sites(
    jaxpr: core.ClosedJaxpr,
    wanted: Callable[[Site], bool] = lambda site: True,
    among: Collection[str] | None = None,
) -> tuple[Found, ...]:
    """Return all equations of a program, inner ones included, grouped by signature.

    Two equations that some rule replaces together are a site of their own, beside each of them.

    Args:
        jaxpr: As `jax.make_jaxpr` returns it.
        wanted: Whether to return a site.
        among: Names of the primitives to look at, all where None; others cost no time.

    Example:
        >>> import jax
        >>> [found] = find_sites(jax.make_jaxpr(jax.numpy.sin)(1.0))
        >>> found.site.primitive.name, found.executions
        ('sin', 1)
    """
    groups: dict[str, list[tuple[Site, str, int]]] = {}
    for site, scope, executions in _sites(_open(jaxpr), "", 1, among):
        if not wanted(site):
            continue
        groups.setdefault(site.signature, []).append((site, scope, executions))
    return tuple(
        Found(
            site=group[0][0],
            scopes=tuple(dict.fromkeys(scope for _, scope, _ in group)),
            executions=sum(executions for _, _, executions in group),
        )
        for group in groups.values()
    )


def find_replaceable(jaxpr: core.ClosedJaxpr, allow: Collection[str]) -> tuple[Found, ...]:
    """Return the sites that some rule replaces which needs no other permissions than `allow`."""
    return find_sites(
        jaxpr,
        lambda site: any(True for _ in forms(site, allow)),
        frozenset(rule.primitive for rule in rules().values()),
    )


def rewritten(function: Callable[..., Any], decisions: Decisions) -> Callable[..., Any]:
    """Return a function with the same arguments and results, some of its equations replaced.

    It traces `function` at every call, as `jax.jit` does once: wrap it in `jax.jit` to run it
    often. Arrays among the arguments are traced; everything else is passed through.

    Args:
        function: Any function of arrays, jitted or not.
        decisions: Which rule replaces which sites.

    Raises:
        CompileError: A form returns other shapes or dtypes than what it replaces.
        InputError: A rule is unknown, or does not apply where it was decided on.

    Example:
        >>> import jax
        >>> fast = rewritten(jax.numpy.tanh, {})
        >>> float(fast(0.0))
        0.0
    """

    @wraps(function)
    def fast(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, kwargs))
        traced = [index for index, leaf in enumerate(leaves) if _is_array(leaf)]

        def of_arrays(arrays: Sequence[Any]) -> Any:
            filled = list(leaves)
            for index, array in zip(traced, arrays, strict=True):
                filled[index] = array
            again, named = jax.tree.unflatten(tree, filled)
            return function(*again, **named)

        arrays = [leaves[index] for index in traced]
        jaxpr, shapes = jax.make_jaxpr(of_arrays, return_shape=True)(arrays)
        results = _replay(_open(jaxpr), jaxpr.consts, arrays, decisions)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return fast


def _replay(
    jaxpr: core.Jaxpr, constants: Sequence[Any], operands: Sequence[Any], decisions: Decisions
) -> list[Any]:
    values: dict[core.Var, Any] = {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    values.update(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, operands, strict=True))
    for equation, before in _with_makers(jaxpr):
        stack = source_info_util.current_name_stack() + equation.source_info.name_stack
        with (
            source_info_util.user_context(equation.source_info.traceback, name_stack=stack),
            equation.ctx.manager,
        ):
            if before is not None and _decided(joined(before, equation), decisions):
                atoms = [*before.invars, *equation.invars[1:]]
                results = _formed(joined(before, equation), map(read, atoms), decisions)
            else:
                results = _bind(equation, [read(atom) for atom in equation.invars], decisions)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _bind(equation: core.JaxprEqn, operands: Sequence[Any], decisions: Decisions) -> Sequence[Any]:
    """Compute one equation, in another form where one was chosen."""
    site = site_of(equation)
    if _decided(site, decisions):
        return _formed(site, operands, decisions)
    if any(_holds(inner, decisions) for inner in _inner(equation)):
        params = {key: _changed(value, decisions) for key, value in equation.params.items()}
        site = replace(site, params=params)
    results = site.plain(*operands)
    return results if site.primitive.multiple_results else (results,)


def _formed(site: Site, operands: Iterable[Any], decisions: Decisions) -> Sequence[Any]:
    """Compute a site in the chosen form."""
    name = decisions[site.signature]
    results = form_named(site, name)(*operands)
    results = results if isinstance(results, tuple | list) else (results,)
    found = [(each.shape, each.dtype) for each in results]
    expected = [(each.shape, each.dtype) for each in site.results]
    if found != expected:
        raise CompileError(f"the rewrite {name!r} returned {found}; expected {expected}")
    return results


def _changed(value: Any, decisions: Decisions) -> Any:
    """Return a parameter of an equation, with the bodies in it traced again."""
    if isinstance(value, tuple | list):
        changed = [_changed(each, decisions) for each in value]
        return value._make(changed) if hasattr(value, "_make") else type(value)(changed)
    if not isinstance(value, core.ClosedJaxpr | core.Jaxpr) or not _holds(_open(value), decisions):
        return value
    body, constants = _open(value), tuple(getattr(value, "consts", ()))
    structs = [_abstract(variable.aval) for variable in body.invars]
    new = jax.make_jaxpr(lambda *a: _replay(body, constants, a, decisions))(*structs)
    before, after = ([(a.shape, a.dtype) for a in _avals(each)] for each in (body, _open(new)))
    if before != after:
        raise CompileError(f"a rewritten body returns {after}; expected {before}")
    if isinstance(value, core.ClosedJaxpr):
        return new
    if new.consts:
        raise CompileError("a rewritten body has constants, which this primitive cannot hold")
    return _open(new)


def _holds(jaxpr: core.Jaxpr, decisions: Decisions) -> bool:
    return any(
        _decided(site_of(equation), decisions)
        or (before is not None and _decided(joined(before, equation), decisions))
        or any(_holds(inner, decisions) for inner in _inner(equation))
        for equation, before in _with_makers(jaxpr)
    )


def _decided(site: Site, decisions: Decisions) -> bool:
    # Writing down the signature of a whole function takes long.
    name = f"{site.name}("
    return any(each.startswith(name) for each in decisions) and site.signature in decisions


def _inner(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """Yield the bodies that an equation runs."""
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, core.ClosedJaxpr | core.Jaxpr):
                yield _open(each)


def _sites(
    jaxpr: core.Jaxpr, scope: str, executions: int, among: Collection[str] | None
) -> Iterator[tuple[Site, str, int]]:
    for equation, before in _with_makers(jaxpr):
        name, inside = equation.primitive.name, tuple(_inner(equation))
        looked_at = among is None or name in among
        if not (looked_at or before or inside):
            continue
        here = "/".join(filter(None, (scope, str(equation.source_info.name_stack))))
        if looked_at:
            yield site_of(equation), here, executions
        if before is not None:
            yield joined(before, equation), here, executions
        times = equation.params["length"] if name == "scan" else 1
        for inner in inside:
            yield from _sites(inner, here, executions * times, among)


def _with_makers(
    jaxpr: core.Jaxpr,
) -> Iterator[tuple[core.JaxprEqn, core.JaxprEqn | None]]:
    """Yield every equation, and the maker of its first operand where a rule may take both."""
    known = joins()
    makers: dict[Any, core.JaxprEqn] = {}
    for equation in jaxpr.eqns:
        first = equation.invars[0] if equation.invars else None
        before = makers.get(first) if isinstance(first, core.Var) else None
        if before and f"{before.primitive.name}>{equation.primitive.name}" not in known:
            before = None
        yield equation, before
        makers.update(dict.fromkeys(equation.outvars, equation))


def _open(jaxpr: Any) -> core.Jaxpr:
    """Return the equations of a jaxpr; from jax 0.12 on, a closed one is one that has constants."""
    inner: core.Jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    return inner


def _avals(jaxpr: core.Jaxpr) -> list[Any]:
    return [atom.aval for atom in jaxpr.outvars]


def _abstract(aval: Any) -> Any:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | jax.core.Tracer | jax.ShapeDtypeStruct)
