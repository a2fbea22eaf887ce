"""Programs of plain functions, without a layer: physics, an ODE solver, a sampler."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

BODIES, STEPS = 20, 5


def forces(x: jax.Array) -> jax.Array:
    apart = x[:, None] - x[None]
    squared = jnp.sum(apart * apart, -1) + 0.01
    return -jnp.sum(apart / squared[..., None], axis=1)


def push(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    x, v = state
    v = v + 0.1 * forces(x)
    return x + 0.1 * v, v


def rollout(x: jax.Array, v: jax.Array) -> jax.Array:
    def one(state: Any, _: Any) -> tuple[Any, jax.Array]:
        state = push(state)
        return state, jnp.sum(state[0])

    return lax.scan(one, (x, v), None, length=STEPS)[1]


def physics(bodies: int = BODIES) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return steps of bodies that repel each other, with their abstract arguments."""
    x = jax.ShapeDtypeStruct((bodies, 3), jnp.float32)
    return rollout, (x, x)


def pendulums(y: jax.Array) -> jax.Array:
    return jnp.stack([y[1], -jnp.sin(y[0])])


def solve(y: jax.Array) -> jax.Array:
    def step(y: jax.Array, _: Any) -> tuple[jax.Array, None]:
        k1 = pendulums(y)
        k2 = pendulums(y + 0.05 * k1)
        k3 = pendulums(y + 0.05 * k2)
        k4 = pendulums(y + 0.1 * k3)
        return y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lax.scan(step, y, None, length=100)[0]


def ode(trajectories: int = 64) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a solve of many pendulums by Runge and Kutta's method, with its argument."""
    return solve, (jax.ShapeDtypeStruct((2, trajectories), jnp.float32),)


def log_density(x: jax.Array) -> jax.Array:
    return -0.5 * jnp.sum(x * x)


def sample(key: jax.Array, x: jax.Array) -> jax.Array:
    def propose(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        x, density = state
        move, choice = jax.random.split(key)
        there = x + 0.5 * jax.random.normal(move, x.shape)
        new = log_density(there)
        taken = jnp.log(jax.random.uniform(choice)) < new - density
        state = jnp.where(taken, there, x), jnp.where(taken, new, density)
        return state, state[0]

    return lax.scan(propose, (x, log_density(x)), jax.random.split(key, 50))[1]


def sampler() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a walk of Metropolis's, with its arguments."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    return sample, (key, jax.ShapeDtypeStruct((8,), jnp.float32))


def line_of(function: Callable[..., Any], text: str) -> str:
    """Return ``file:line`` of the first line of a function that holds some text."""
    lines, first = inspect.getsourcelines(function)
    at = next(number for number, line in enumerate(lines) if text in line)
    return f"{inspect.getsourcefile(function)}:{first + at}"
