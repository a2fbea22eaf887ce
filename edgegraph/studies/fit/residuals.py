"""What the forward pass saves for the backward pass, by layer, and what each costs to recompute.

The account is JAX's own, that of `jax.ad_checkpoint.print_saved_residuals`: the values that a
derivative keeps. Here each has its layer, from the name scopes, and what it would cost to compute
it once more from the arguments and all else that is saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend import core

from edgegraph.compiler.derivatives import Differentiated, look_at_derivatives
from edgegraph.device.device import Device
from edgegraph.hlo.op_name import parse_op_name
from edgegraph.studies.fit.equations import UNKNOWN, Work, bytes_of, called, work_of
from edgegraph.studies.fit.result import ARGUMENT, CONSTANT, Residual
from edgegraph.workload import Workload


def saved_residuals(
    workload: Workload, *, batch: int = 1, device: Device | None = None
) -> tuple[Residual, ...]:
    """Return what a training step saves in its forward pass for its backward pass.

    Args:
        workload: A step that takes its own gradient.
        batch: Batch size.
        device: Whose roofs say what time it takes to recompute each; None to count nothing.

    Returns:
        In the order of execution, arguments and constants first. What the step differentiates
        more than once, or within each other, is there once for each derivative that it takes.

    Raises:
        InputError: It takes no derivative.
        CompileError: It does not trace.
    """
    found: list[Residual] = []

    def look(one: Differentiated) -> None:
        found.extend(residuals_of(one.residuals(), device))

    look_at_derivatives(workload, batch, look)
    return tuple(found)


def residuals_of(saving: core.ClosedJaxpr, device: Device | None = None) -> Iterator[Residual]:
    """Yield the results of a forward pass that returns what it saves, each once."""
    jaxpr = _open(saving)
    results = [atom for atom in jaxpr.outvars if isinstance(atom, core.Var)]
    # JAX's own account looks through these, too: they round what is saved.
    through = {e.outvars[0]: e.invars[0] for e in jaxpr.eqns
               if e.primitive.name == "reduce_precision"}  # fmt: skip
    saved = {through.get(atom, atom) for atom in results}
    for source, variables in ((CONSTANT, jaxpr.constvars), (ARGUMENT, jaxpr.invars)):
        for variable in variables:
            if variable in saved:
                yield _residual(variable, source=source)
    makers = {variable: e for e in jaxpr.eqns for variable in e.outvars}
    known: dict[int, Work] = {}
    for equation in jaxpr.eqns:
        for number, variable in enumerate(equation.outvars):
            if variable not in saved:
                continue
            work = (
                UNKNOWN if device is None else _recomputed(variable, makers, saved, device, known)
            )
            deepest, scopes = _deepest(equation, number)
            yield _residual(
                variable,
                source=deepest.primitive.name,
                layer=parse_op_name(f"{scopes}/{deepest.primitive.name}").layer,
                name=deepest.params.get("name") if deepest.primitive.name == "name" else None,
                flops=work.flops,
                bytes_moved=work.bytes,
                time_s=work.time_s,
            )


def _residual(variable: Any, *, source: str, **more: Any) -> Residual:
    aval = variable.aval
    return Residual(
        source=source, dtype=str(aval.dtype), shape=tuple(aval.shape), bytes=bytes_of(aval), **more
    )


def _recomputed(
    wanted: Any, makers: dict[Any, Any], saved: set[Any], device: Device, known: dict[int, Work]
) -> Work:
    """Add up the equations that make a value from what else is saved."""
    total = Work()
    waiting, seen = [wanted], set()
    while waiting:
        equation = makers.get(waiting.pop())
        if equation is None or id(equation) in seen:
            continue
        seen.add(id(equation))
        if id(equation) not in known:
            known[id(equation)] = work_of(equation, device)
        total += known[id(equation)]
        waiting += [
            atom for atom in equation.invars if isinstance(atom, core.Var) and atom not in saved
        ]
    return total


def _deepest(equation: Any, number: int) -> tuple[Any, str]:
    """Return the equation within one that makes its result, and the scopes around it."""
    scopes = str(equation.source_info.name_stack)
    bodies = called(equation)
    if len(bodies) == 1 and number < len(bodies[0].outvars):
        made = bodies[0].outvars[number]
        inner: Sequence[Any] = [e for e in bodies[0].eqns if made in e.outvars]
        if inner and isinstance(made, core.Var):
            deepest, below = _deepest(inner[0], inner[0].outvars.index(made))
            return deepest, "/".join(filter(None, (scopes, below)))
    return equation, scopes


def _open(jaxpr: Any) -> core.Jaxpr:
    """Return the equations of a jaxpr; from jax 0.12 on, a closed one is one that has constants."""
    inner: core.Jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    return inner
