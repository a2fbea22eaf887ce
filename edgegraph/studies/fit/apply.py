"""A plan applied: the step differentiates its loss with every layer as the plan says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax

from edgegraph.compiler.derivatives import Differentiated, with_derivatives_of
from edgegraph.errors import InputError
from edgegraph.studies.fit.segments import Loss, body_of, loss_of, named, planned
from edgegraph.workload import Workload

if TYPE_CHECKING:
    from edgegraph.studies.fit.result import LayerPlan


def apply_plan(workload: Workload, layers: Sequence[LayerPlan]) -> Workload:
    """Return a step whose first derivative is taken of the loss with a plan applied.

    Args:
        workload: The step.
        layers: In order of execution, as `PlanPoint.layers` has them; none leaves it as it is.
    """
    if not layers:
        return workload

    def change(found: Differentiated) -> Callable[..., Any]:
        if found.number:
            return found.function
        loss, results = loss_of(found)
        choices = choices_of(loss, layers)

        def function(*primals: Any) -> Any:
            made = planned(loss, choices, jax.tree.leaves(primals))
            return jax.tree.unflatten(results, made)

        return function

    return with_derivatives_of(workload, change)


def choices_of(loss: Loss, layers: Sequence[LayerPlan]) -> list[frozenset[int] | None]:
    """Return, for every layer of a loss, the positions of what is kept.

    Raises:
        InputError: The plan is of another step.
    """
    each = [layer for layer in layers for _ in range(layer.count)]
    if len(each) != len(loss.layers):
        raise InputError(
            f"the plan has {len(each)} layers and the step {len(loss.layers)}; plan this step anew"
        )
    choices: list[frozenset[int] | None] = []
    for plan, layer in zip(each, loss.layers, strict=True):
        equations, _ = body_of(loss, layer)
        known = {position_name(layer, at, e): at for at, e in enumerate(equations)}
        choices.append(frozenset(known[name] for name in plan.kept) if plan.checkpointed else None)
    return choices


def position_name(layer: Any, position: int, equation: Any) -> str:
    """Return the part of a kept value's name that is the same in equal layers."""
    return named(layer, position, equation.primitive.name).rpartition("/")[2]
