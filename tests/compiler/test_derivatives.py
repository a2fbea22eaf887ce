"""What a step differentiates, however it takes the derivative, is seen and can be changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.compiler.derivatives import (
    Differentiated,
    look_at_derivatives,
    with_derivatives_of,
)
from edgegraph.errors import InputError

_grad_at_import = jax.grad
_vjp_at_import = jax.value_and_grad


def _loss(w: Any, x: Any) -> Any:
    return jnp.sum(jnp.sin(x @ w))


def _by_vjp(w: Any, x: Any) -> Any:
    value, back = jax.vjp(lambda w: _loss(w, x), w)
    return back(jnp.ones_like(value))[0]


STEPS: dict[str, Callable[..., Any]] = {
    "grad": lambda w, x: jax.grad(_loss)(w, x),
    "a name bound before": lambda w, x: _grad_at_import(_loss)(w, x),
    "value and grad": lambda w, x: _vjp_at_import(_loss)(w, x)[1],
    "vjp": _by_vjp,
    "jitted": jax.jit(lambda w, x: jax.grad(_loss)(w, x)),
    "made before": jax.jit(jax.grad(_loss)),
}


def _workload(step: Callable[..., Any]) -> eg.Workload:
    return eg.Workload.from_function(
        step, lambda batch: (jnp.ones((3, 2)), jnp.ones((batch, 3))), name="step"
    )


@pytest.mark.parametrize("name", STEPS)
def test_a_derivative_is_seen_and_changed(name: str) -> None:
    step = STEPS[name]
    w, x = jnp.ones((3, 2)), jnp.ones((4, 3))
    expected = step(w, x)  # also puts the step into JAX's caches
    seen: list[Differentiated] = []
    look_at_derivatives(_workload(step), 4, seen.append)
    assert len(seen) == 1

    def twice(found: Differentiated) -> Callable[..., Any]:
        return lambda *primals: 2 * found.function(*primals)

    changed = with_derivatives_of(_workload(step), twice).call(4).function
    assert jnp.allclose(changed(w, x), 2 * expected)
    assert jnp.allclose(jax.jit(changed)(w, x), 2 * expected)
    assert jnp.allclose(step(w, x), expected)  # nothing is left behind


def test_derivatives_within_a_loss_are_its_own() -> None:
    """A gradient penalty: the inner derivative belongs to the outer function."""

    def penalty(w: Any, x: Any) -> Any:
        return jnp.sum(jax.grad(_loss)(w, x) ** 2)

    seen: list[Differentiated] = []
    look_at_derivatives(_workload(lambda w, x: jax.grad(penalty)(w, x)), 2, seen.append)
    assert len(seen) == 1


def test_a_function_without_a_derivative_is_refused() -> None:
    with pytest.raises(InputError, match=r"step takes no derivative by jax\.grad"):
        look_at_derivatives(_workload(_loss), 2, lambda found: None)


def test_what_was_lowered_already_is_refused() -> None:
    from edgegraph.compiler.objects import opened

    lowered = jax.jit(jax.grad(_loss)).lower(jnp.ones((3, 2)), jnp.ones((4, 3)))
    subject = opened(lowered, (), None)
    if isinstance(subject, eg.Workload):
        with pytest.raises(InputError, match="traced or lowered already"):
            look_at_derivatives(subject, 1, lambda found: None)
