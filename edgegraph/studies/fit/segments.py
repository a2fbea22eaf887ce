"""The loss of a step cut into layers, each of which can save less and compute more.

A cut is where one large activation is alive and no other that is differentiated: the residual
stream between two blocks, the output of a convolution. What lies between two cuts is a layer. It
runs under `jax.checkpoint`, whose policy keeps the values named to it, or as it is. A scan is a
layer of its own, and its body is what runs under `jax.checkpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import pairwise
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core, source_info_util

from edgegraph.compiler.derivatives import Differentiated
from edgegraph.hlo.op_name import parse_op_name
from edgegraph.rewrites.rule import site_of
from edgegraph.studies.fit.equations import bytes_of

_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call"})

_SMALL = 1 / 64
"""Share of the largest activation below which one may cross a cut beside another."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+|id=\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Equations `first` up to `last` of a flat loss.

    Attributes:
        name: The scope that they share.
        signature: Equal for layers that compute the same.
        reads: What they take from before.
        makes: What is used after them.
        active: Which of `reads` are differentiated.
        boundary_bytes: Of the activations among `reads`.
    """

    first: int
    last: int
    name: str
    signature: str
    reads: tuple[Any, ...]
    makes: tuple[Any, ...]
    active: tuple[bool, ...]
    boundary_bytes: int
    is_scan: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A loss without calls of functions within it, and its layers."""

    jaxpr: core.Jaxpr
    constants: tuple[Any, ...]
    layers: tuple[Layer, ...]


def loss_of(found: Differentiated) -> tuple[Loss, Any]:
    """Return what is differentiated, cut into layers, and the tree of its results."""
    closed, shapes = jax.make_jaxpr(found.function, return_shape=True)(*found.primals)
    structs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in _open(closed).invars]
    flat = jax.make_jaxpr(lambda *a: evaluate(_open(closed), closed.consts, a))(*structs)
    jaxpr = _open(flat)
    loss = Loss(jaxpr=jaxpr, constants=tuple(flat.consts), layers=tuple(_layers(jaxpr)))
    return loss, jax.tree.structure(shapes)


Bind = Callable[[Any, Sequence[Any]], Sequence[Any]]
"""Computes one equation from its operands."""


def plain(equation: Any, operands: Sequence[Any]) -> Sequence[Any]:
    """Compute an equation as it is."""
    made = site_of(equation).plain(*operands)
    return made if equation.primitive.multiple_results else (made,)


def evaluate(jaxpr: Any, constants: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    """Compute a program, with the functions that it calls in the place of their calls."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *operands], strict=True))

    def bind(equation: Any, given: Sequence[Any]) -> Sequence[Any]:
        inner = equation.params.get("jaxpr") if equation.primitive.name in _CALLS else None
        if inner is None:
            return plain(equation, given)
        return evaluate(_open(inner), getattr(inner, "consts", ()), given)

    run(jaxpr.eqns, values, bind)
    return [_read(atom, values) for atom in jaxpr.outvars]


def run(equations: Sequence[Any], values: dict[Any, Any], bind: Bind) -> None:
    """Compute equations one by one, with their scopes and lines, and add what they make."""
    for equation in equations:
        stack = source_info_util.current_name_stack() + equation.source_info.name_stack
        with (
            source_info_util.user_context(equation.source_info.traceback, name_stack=stack),
            equation.ctx.manager,
        ):
            made = bind(equation, [_read(atom, values) for atom in equation.invars])
        values.update(zip(equation.outvars, made, strict=True))


def _read(atom: Any, values: Mapping[Any, Any]) -> Any:
    return atom.val if isinstance(atom, core.Literal) else values[atom]


def named(layer: Layer, position: int, primitive: str) -> str:
    """Return the name under which a policy keeps what an equation makes."""
    return f"{layer.name or 'loss'}/{primitive}.{position}"


def body_of(loss: Loss, layer: Layer) -> tuple[Any, Sequence[Any]]:
    """Return the equations that a layer's policy is about, with what they read and make."""
    if not layer.is_scan:
        return loss.jaxpr.eqns[layer.first : layer.last], (layer.reads, layer.makes)
    body = _open(loss.jaxpr.eqns[layer.first].params["jaxpr"])
    return body.eqns, (body.invars, body.outvars)


def planned(
    loss: Loss, choices: Sequence[frozenset[int] | None], operands: Sequence[Any]
) -> list[Any]:
    """Compute a loss with every layer as it was chosen.

    Args:
        loss: As `loss_of` returns it.
        choices: For every layer the positions of the equations whose results are kept, or None
            where it stays as it is.
        operands: Of the loss.
    """
    jaxpr = loss.jaxpr
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*loss.constants, *operands], strict=True))
    for layer, kept in zip(loss.layers, choices, strict=True):
        equations = jaxpr.eqns[layer.first : layer.last]
        if kept is None:
            run(equations, values, plain)
        elif layer.is_scan:
            run(equations, values, partial(_scan, layer=layer, kept=kept))
        else:
            outer = dict(values)
            inside = _checkpointed(equations, layer.reads, layer.makes, layer, kept)
            made = inside(*(outer[variable] for variable in layer.reads))
            values.update(zip(layer.makes, made, strict=True))
    return [_read(atom, values) for atom in jaxpr.outvars]


def tagged(
    equations: Sequence[Any], reads: Sequence[Any], makes: Sequence[Any], layer: Layer,
    kept: frozenset[int],
) -> Callable[..., list[Any]]:  # fmt: skip
    """Return a function of equations that names what is to be kept."""
    numbers = {id(equation): position for position, equation in enumerate(equations)}

    def bind(equation: Any, given: Sequence[Any]) -> Sequence[Any]:
        made = plain(equation, given)
        position = numbers[id(equation)]
        if position not in kept:
            return made
        return [checkpoint_name(each, named(layer, position, equation.primitive.name))
                for each in made]  # fmt: skip

    def function(*operands: Any) -> list[Any]:
        values = dict(zip(reads, operands, strict=True))
        run(equations, values, bind)
        return [_read(atom, values) for atom in makes]

    return function


def _checkpointed(
    equations: Sequence[Any], reads: Sequence[Any], makes: Sequence[Any], layer: Layer,
    kept: frozenset[int],
) -> Callable[..., list[Any]]:  # fmt: skip
    names = [named(layer, at, equations[at].primitive.name) for at in sorted(kept)]
    policy = jax.checkpoint_policies.save_only_these_names(*names)
    function: Callable[..., list[Any]] = jax.checkpoint(
        tagged(equations, reads, makes, layer, kept), policy=policy
    )
    return function


def _scan(
    equation: Any, operands: Sequence[Any], layer: Layer, kept: frozenset[int]
) -> Sequence[Any]:
    """Compute a scan whose body keeps less."""
    closed = equation.params["jaxpr"]
    body, constants = _open(closed), tuple(getattr(closed, "consts", ()))
    reads = (*body.constvars, *body.invars)
    inside = _checkpointed(body.eqns, reads, body.outvars, layer, kept)
    structs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in body.invars]
    changed = jax.make_jaxpr(lambda *a: inside(*constants, *a))(*structs)
    made = equation.primitive.bind(*operands, **{**equation.params, "jaxpr": changed})
    return list(made)


def _layers(jaxpr: core.Jaxpr) -> Iterator[Layer]:
    active = _active(jaxpr)
    last_read: dict[Any, int] = {}
    for position, equation in enumerate(jaxpr.eqns):
        last_read.update((v, position) for v in equation.invars if isinstance(v, core.Var))
    after = len(jaxpr.eqns)
    last_read.update((v, after) for v in jaxpr.outvars if isinstance(v, core.Var))
    cuts = _cuts(jaxpr, active, last_read)
    outside = {*jaxpr.constvars, *jaxpr.invars}
    for first, last in pairwise(cuts):
        equations = jaxpr.eqns[first:last]
        made = [v for e in equations for v in e.outvars]
        inner = set(made)
        reads = tuple(dict.fromkeys(
            v for e in equations for v in e.invars if isinstance(v, core.Var) and v not in inner
        ))  # fmt: skip
        makes = tuple(v for v in made if last_read.get(v, -1) >= last)
        yield Layer(
            first=first, last=last, name=_common(equations),
            signature=_signature(equations, reads, makes, outside),
            reads=reads, makes=makes,
            active=tuple(v in active for v in reads),
            boundary_bytes=sum(bytes_of(v.aval) for v in reads if v not in outside),
            is_scan=len(equations) == 1 and equations[0].primitive.name == "scan",
        )  # fmt: skip


def _active(jaxpr: core.Jaxpr) -> set[Any]:
    """Return the values that depend on what is differentiated and have derivatives."""
    active = {v for v in jaxpr.invars if _is_float(v.aval)}
    for equation in jaxpr.eqns:
        if not active.isdisjoint(v for v in equation.invars if isinstance(v, core.Var)):
            active.update(v for v in equation.outvars if _is_float(v.aval))
    return active


def _is_float(aval: Any) -> bool:
    return bool(jax.numpy.issubdtype(aval.dtype, jax.numpy.inexact))


def _cuts(jaxpr: core.Jaxpr, active: set[Any], last_read: Mapping[Any, int]) -> list[int]:
    """Return the positions before which a layer begins, and the end."""
    count = len(jaxpr.eqns)
    made = [(position, v) for position, e in enumerate(jaxpr.eqns) for v in e.outvars
            if v in active]  # fmt: skip
    largest = max((bytes_of(v.aval) for _, v in made), default=0)
    crossing = [0] * (count + 1)
    for position, variable in made:
        end = last_read.get(variable, -1)
        if bytes_of(variable.aval) > largest * _SMALL and end < count:
            for cut in range(position + 1, end + 1):
                crossing[cut] += 1
    cuts: list[int] = [0]
    single: int | None = None
    behind_product = False
    for position, equation in enumerate(jaxpr.eqns):
        if crossing[position] == 1:
            single = position
        if equation.primitive.name == "scan":
            cuts += [position, position + 1]
            behind_product, single = False, None
        elif equation.primitive.name in _HEAVY:
            # The last place before a product, so that what follows one product is of its layer.
            if behind_product and single is not None:
                cuts.append(single)
            behind_product, single = True, None
    return sorted({*cuts, count})


_HEAVY = frozenset({"dot_general", "conv_general_dilated", "ragged_dot_general"})


def _common(equations: Sequence[Any]) -> str:
    paths = [parse_op_name(f"{e.source_info.name_stack}/{e.primitive.name}").layer or ""
             for e in equations if e.primitive.name in _HEAVY or len(equations) == 1]  # fmt: skip
    parts = [path.split("/") for path in paths if path]
    common: list[str] = []
    for step in zip(*parts, strict=False):
        if len(set(step)) > 1:
            break
        common.append(step[0])
    return "/".join(common)


def _signature(
    equations: Sequence[Any], reads: Sequence[Any], makes: Sequence[Any], outside: set[Any]
) -> str:
    """Return a digest of what a layer computes, whatever its variables are called."""
    numbers: dict[Any, int] = {v: number for number, v in enumerate(reads)}
    lines = [f"{v.aval.str_short()} {v in outside}" for v in reads]
    for equation in equations:
        taken = [numbers.get(v, -1) if isinstance(v, core.Var) else str(v) for v in equation.invars]
        params = _ADDRESS.sub("", str(sorted(equation.params.items(), key=lambda pair: pair[0])))
        lines.append(f"{equation.primitive.name} {taken} {params}")
        for variable in equation.outvars:
            numbers[variable] = len(numbers)
    lines.append(str([numbers[v] for v in makes]))
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def _open(jaxpr: Any) -> Any:
    return getattr(jaxpr, "jaxpr", jaxpr)
