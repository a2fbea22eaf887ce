"""A traced function cut into its layers, each a function of its own.

The function's equations carry the scope in which they were traced. All equations of one scope
and phase make a group: its inputs are the values that flow in from other groups, its outputs
those that flow out. A cut at a depth takes the scopes below that depth into one group. A loop
whose inside belongs to several groups is opened, and what one iteration does is cut likewise;
slicing what it scans over, and stacking what it returns, make a group beside these. So every
equation whose result is needed belongs to exactly one group, and the groups together do what the
function does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import Any

import jax
from jax import lax
from jax.extend import core

from edgegraph.errors import InputError
from edgegraph.hlo.op_name import parse_op_name
from edgegraph.measure.regions import (
    Region,
    Regions,
    effects_of,
    inner_scope,
    join,
    scan_parts,
    struct_of,
    variables,
)

_Key = tuple[str | None, str]
"""Layer and phase."""

Cut = int | Set[str] | None
"""Where to cut: None at every scope, a number below scopes with so many above them, a set below
those that are not in it: only the scopes in the set are taken apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """The equations of one scope and phase as a function of its own, without constants.

    They stand in the `region`: the function, or a loop's body or branch in it. `covers` are the
    layers below whose equations it holds, `donated` the inputs that it writes its results over.
    """

    layer: str | None
    phase: str
    region: Region
    jaxpr: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    covers: tuple[str, ...] = ()
    donated: tuple[int, ...] = ()

    @property
    def function(self) -> Callable[..., list[Any]]:
        """The group as a function of its inputs that returns the list of its outputs."""
        function: Callable[..., list[Any]] = core.jaxpr_as_fun(core.ClosedJaxpr(self.jaxpr, ()))
        return function


def cut(regions: Regions, depth: Cut = None) -> tuple[LayerGroup, ...]:
    """Cut a function into its layers, in the order in which they first do something.

    Without a depth every scope has a group of its own; a number takes all below scopes with so
    many scopes above them into theirs, a set of scopes all below others. Equations that share a
    mutable reference are refused.
    """
    return tuple(_cut_region(regions, regions.root, depth))


def deepest(regions: Regions) -> int:
    """Return the number of scopes above the deepest layer."""
    return max((layer.count("/") for layer in layers_in(regions)), default=0)


def layers_in(regions: Regions) -> set[str]:
    """Return every scope that has equations of its own."""
    return {layer for layer, _ in _scopes_below(regions, regions.root) if layer}


@dataclass(slots=True)
class _Members:
    """A group while it grows."""

    positions: list[int] = field(default_factory=list)
    scopes: set[str] = field(default_factory=set)
    taken: dict[Any, None] = field(default_factory=dict)
    given: dict[Any, None] = field(default_factory=dict)


def _cut_region(regions: Regions, region: Region, depth: Cut) -> Iterator[LayerGroup]:
    members: dict[_Key, _Members] = {}
    producers: dict[Any, _Key] = {}
    opened: dict[int, _Key] = {}
    order: dict[_Key | int, None] = {}
    for position, equation in enumerate(region.jaxpr.eqns):
        scopes = _scopes(regions, region, position)
        key, whole = _group_of(regions, region, position, scopes, depth)
        if not whole:
            opened[position] = key
            order[position] = None
            continue
        order[key] = None
        group = members.setdefault(key, _Members())
        group.positions.append(position)
        group.scopes |= {layer for layer, _ in scopes if layer is not None}
        producers.update(dict.fromkeys(equation.outvars, key))
    _connect(region, members, producers, opened)
    for entry in order:
        if isinstance(entry, int):
            yield from _cut_inside(regions, region, entry, opened[entry], depth)
        else:
            yield _group(region, entry, members[entry])


def _cut_inside(
    regions: Regions, region: Region, position: int, key: _Key, depth: Cut
) -> Iterator[LayerGroup]:
    """Cut what a loop or branch runs, and add what a scan does itself."""
    for inner in region.inside[position]:
        yield from _cut_region(regions, inner, depth)
        if inner.kind == "scan":
            yield from _bookkeeping(regions, region.jaxpr.eqns[position], inner, key)


def _connect(
    region: Region, members: dict[_Key, _Members], producers: dict[Any, _Key], opened: Iterable[int]
) -> None:
    """Find out what flows from group to group, and out of them."""

    def hand_over(variable: Any) -> None:
        if variable in producers:
            members[producers[variable]].given[variable] = None

    for key, group in members.items():
        for position in group.positions:
            for variable in variables(region.jaxpr.eqns[position].invars):
                if producers.get(variable) != key:
                    group.taken[variable] = None
                    hand_over(variable)
    for position in opened:
        for variable in variables(region.jaxpr.eqns[position].invars):
            hand_over(variable)
    for variable in variables(region.jaxpr.outvars):
        hand_over(variable)


def _group(region: Region, key: _Key, members: _Members) -> LayerGroup:
    layer, phase = key
    inputs, outputs = tuple(members.taken), tuple(members.given)
    for variable in (*inputs, *outputs):
        if not isinstance(variable.aval, jax.core.ShapedArray):
            raise InputError(
                f"layer {layer or 'without a name'!r} shares {variable.aval} with another layer, so"
                " neither can be timed separately; keep mutable references inside one layer"
            )
    equations = [region.jaxpr.eqns[position] for position in members.positions]
    return LayerGroup(
        layer=layer,
        phase=phase,
        region=region,
        jaxpr=region.jaxpr.replace(
            constvars=[],
            invars=list(inputs),
            outvars=list(outputs),
            eqns=equations,
            effects=effects_of(equations),
        ),
        inputs=inputs,
        outputs=outputs,
        covers=tuple(sorted(members.scopes - {layer or ""})),
    )


def _bookkeeping(regions: Regions, scan: Any, body: Region, key: _Key) -> Iterator[LayerGroup]:
    """Yield what a scan does in an iteration besides its body: slice rows, and stack rows."""
    parts = scan_parts(scan, body.jaxpr)
    # A row that is the same in every iteration has no value of its own to be stacked.
    kept = [
        (stack, row)
        for stack, row in zip(parts.stacked, parts.made, strict=True)
        if not isinstance(row, core.Literal) and not isinstance(stack, core.DropVar)
    ]
    sliced = [
        (stack, row)
        for stack, row in zip(parts.scanned, parts.rows, strict=True)
        if not isinstance(stack, core.Literal)
    ]
    if not kept and not sliced:
        return
    position = regions.positions[scan.params["length"] - 1 if scan.params["reverse"] else 0]
    stacks = [stack for stack, _ in kept]
    arguments = (position, [stack for stack, _ in sliced], stacks, [row for _, row in kept])
    layer, phase = key
    yield LayerGroup(
        layer=layer,
        phase=phase,
        region=body,
        jaxpr=jax.make_jaxpr(_slice_and_stack)(*jax.tree.map(struct_of, arguments)).jaxpr,
        inputs=tuple(jax.tree.leaves(arguments)),
        outputs=(*(row for _, row in sliced), *stacks),
        donated=tuple(range(1 + len(sliced), 1 + len(sliced) + len(kept))),
    )


def _slice_and_stack(position: Any, scanned: Any, stacks: Any, made: Any) -> Any:
    rows = [lax.dynamic_index_in_dim(stack, position, keepdims=False) for stack in scanned]
    return rows, [
        lax.dynamic_update_index_in_dim(stack, row, position, 0)
        for stack, row in zip(stacks, made, strict=True)
    ]


def _group_of(
    regions: Regions, region: Region, position: int, scopes: set[_Key], depth: Cut
) -> tuple[_Key, bool]:
    """Return the group an equation belongs to, and whether it belongs as a whole."""
    layer, phase = _place(regions, region, position)
    own = (_at(layer, depth), phase)
    keys = {(_at(layer, depth), phase) for layer, phase in scopes}
    if keys <= {own}:
        return own, True
    if position in region.inside:
        return own, False
    layers = {layer for layer, _ in keys if layer is not None}
    return (_common(layers) or own[0], phase), True


def _at(layer: str | None, depth: Cut) -> str | None:
    if layer is None or depth is None:
        return layer
    parts = layer.split("/")
    if isinstance(depth, int):
        return "/".join(parts[: depth + 1])
    scopes = accumulate(parts, "{}/{}".format)
    return next((scope for scope in scopes if scope not in depth), layer)


def _scopes(regions: Regions, region: Region, position: int) -> set[_Key]:
    """Return layer and phase of an equation, or of everything inside it."""
    equation, path = region.jaxpr.eqns[position], region.paths[position]
    if position in region.inside:
        bodies = region.inside[position]
        inside = {key for inner in bodies for key in _scopes_below(regions, inner)}
    else:
        inside = {_named(*inner) for inner in _inside(equation, path)}
        if not any(layer for layer, _ in inside):
            inside = set()
    return inside or {_place(regions, region, position)}


def _place(regions: Regions, region: Region, position: int) -> _Key:
    """Return layer and phase of an equation itself, by its name where nothing else is known."""
    path, equation = region.paths[position], region.jaxpr.eqns[position]
    known = regions.places.get((region, position))
    return known or _named(path, equation.primitive.name)


def _named(path: str, primitive: str) -> _Key:
    named = parse_op_name(f"{path}/{primitive}")
    return named.layer, named.phase


def _scopes_below(regions: Regions, region: Region) -> set[_Key]:
    positions = range(len(region.paths))
    return {key for position in positions for key in _scopes(regions, region, position)}


def _common(layers: Iterable[str]) -> str:
    """Return the path that all the layers begin with, "" if there is none."""
    paths = zip(*[layer.split("/") for layer in layers], strict=False)
    shared = takewhile(lambda parts: len(set(parts)) == 1, paths)
    return "/".join(parts[0] for parts in shared)


def _inside(equation: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and primitive of every equation inside a body that cannot be opened."""
    scope = inner_scope(equation, path)
    for body in core.jaxprs_in_params(equation.params):
        for inner in body.eqns:
            inner_path = join(scope, str(inner.source_info.name_stack))
            nested = list(_inside(inner, inner_path))
            if nested:
                yield from nested
            else:
                yield inner_path, inner.primitive.name
