"""Hold what is expected of plain functions (physics, statistics, signals) against what they take.

What networks do not do is most of these: functions of one value read by many, loops of a few small
ops, values that one fusion computes again wherever it reads them. Each is held by its quickest
call, to which other processes add least, against the stored calibration.

    python scripts/bench/plain_programs.py
    python scripts/bench/plain_programs.py heat n_body
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import edgegraph as eg
from edgegraph.base.units import seconds
from edgegraph.measure.latency import prefer_synchronous_dispatch

NEAR = 1.5
"""Factor within which an expectation is near."""

PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
"""Each with its arguments."""

_numbers = np.random.default_rng(0)


def _normal(*shape: int) -> Any:
    return _numbers.standard_normal(shape).astype(np.float32)


def _register(*args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def named(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[function.__name__] = (function, args)
        return function

    return named


@_register(_normal(256, 3), _normal(256, 3))
def n_body(x: Any, v: Any) -> Any:
    """Move bodies that attract each other, ten steps."""

    def step(state: Any, _: Any) -> Any:
        x, v = state
        apart = x[:, None] - x[None]
        squared = jnp.sum(apart * apart, -1) + 0.01
        v = v - 1e-3 * jnp.sum(apart / (squared * jnp.sqrt(squared))[..., None], axis=1)
        return (x + 1e-3 * v, v), None

    return lax.scan(step, (x, v), None, length=10)[0]


@_register(_normal(500, 3))
def lennard_jones(x: Any) -> Any:
    """Forces between particles, as the gradient of their energy."""

    def energy(x: Any) -> Any:
        apart = x[:, None] - x[None]
        squared = jnp.sum(apart * apart, -1) + jnp.eye(len(x)) + 0.1
        return jnp.sum(squared**-6.0 - squared**-3.0) / 2

    return -jax.grad(energy)(x)


@_register(np.uint32(0), np.sign(_normal(64, 64)))
def ising(seed: Any, spins: Any) -> Any:
    """Flip spins of a checkerboard by Metropolis's rule, twenty sweeps."""
    even = (jnp.indices(spins.shape).sum(0) % 2).astype(bool)

    def sweep(spins: Any, key: Any) -> Any:
        for colour, number in ((even, 0), (~even, 1)):
            around = sum(jnp.roll(spins, by, axis) for axis in (0, 1) for by in (1, -1))
            chance = jnp.exp(-0.88 * spins * around)
            drawn = jax.random.uniform(jax.random.fold_in(key, number), spins.shape)
            spins = jnp.where(colour & (drawn < chance), -spins, spins)
        return spins, spins.mean()

    return lax.scan(sweep, spins, jax.random.split(jax.random.key(seed), 20))


@_register(_normal(256, 256))
def heat(u: Any) -> Any:
    """Let heat spread on a grid, fifty steps."""

    def step(_: Any, u: Any) -> Any:
        around = sum(jnp.roll(u, by, axis) for axis in (0, 1) for by in (1, -1))
        return u + 0.1 * (around - 4 * u)

    return lax.fori_loop(0, 50, step, u)


@_register(_normal(1 << 18))
def chained_functions(x: Any) -> Any:
    """Take ten functions of each value, one after the other."""
    for _ in range(5):
        x = jnp.exp(-x * x) + jnp.sin(3 * x)
    return x


@_register(_normal(1 << 16))
def chained_windows(x: Any) -> Any:
    """Smooth the exponentials of a signal three times."""
    for _ in range(3):
        y = jnp.exp(0.1 * x)
        x = jnp.log1p(y + jnp.roll(y, 1) + jnp.roll(y, -1))
    return x


@_register(_normal(64, 2))
def pendulums(y: Any) -> Any:
    """Solve the equations of pendulums by Runge and Kutta, a hundred steps."""

    def slope(y: Any) -> Any:
        return jnp.stack([y[:, 1], -jnp.sin(y[:, 0])], axis=1)

    def step(y: Any, _: Any) -> Any:
        k1 = slope(y)
        k2 = slope(y + 0.05 * k1)
        k3 = slope(y + 0.05 * k2)
        k4 = slope(y + 0.1 * k3)
        return y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lax.scan(step, y, None, length=100)[0]


@_register(_normal(3))
def lorenz(y: Any) -> Any:
    """Follow one trajectory for a thousand steps, and keep it."""

    def step(y: Any, _: Any) -> Any:
        a, b, c = y
        y = y + 0.01 * jnp.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c])
        return y, y

    return lax.scan(step, y, None, length=1000)[1]


@_register(np.uint32(0))
def black_scholes(seed: Any) -> Any:
    """Price an option by a hundred thousand paths of one step."""
    drawn = jax.random.normal(jax.random.key(seed), (100_000,))
    price = 100 * jnp.exp(-0.02 + 0.2 * drawn)
    return jnp.mean(jnp.maximum(price - 100, 0)), jnp.std(price)


@_register(np.linspace(-2, 1, 256, dtype=np.float32), np.linspace(-1, 1, 256, dtype=np.float32))
def mandelbrot(x: Any, y: Any) -> Any:
    """Count the steps until a square grows, fifty at most."""
    c_x, c_y = jnp.meshgrid(x, y)

    def step(_: Any, state: Any) -> Any:
        z_x, z_y, count = state
        z_x, z_y = z_x * z_x - z_y * z_y + c_x, 2 * z_x * z_y + c_y
        inside = z_x * z_x + z_y * z_y < 4
        return jnp.where(inside, z_x, 2), jnp.where(inside, z_y, 2), count + inside

    return lax.fori_loop(0, 50, step, (c_x * 0, c_y * 0, jnp.zeros(c_x.shape, jnp.int32)))[2]


@_register(_normal(2000, 16), _normal(8, 16))
def k_means(x: Any, centres: Any) -> Any:
    """Move centres to the mean of what is nearest, ten times."""

    def step(_: Any, centres: Any) -> Any:
        apart = jnp.sum((x[:, None] - centres[None]) ** 2, -1)
        near = jax.nn.one_hot(jnp.argmin(apart, 1), len(centres))
        return near.T @ x / jnp.maximum(near.sum(0)[:, None], 1)

    return lax.fori_loop(0, 10, step, centres)


@_register(_normal(300, 8), _normal(300, 8))
def gaussian_kernel(x: Any, y: Any) -> Any:
    """Compare all of one sample with all of the other."""
    squared = jnp.sum((x[:, None] - y[None]) ** 2, -1)
    return jnp.mean(jnp.exp(-squared / 2), axis=1)


@_register(_normal(512, 512))
def two_softmaxes(x: Any) -> Any:
    """Normalise the rows, then the columns."""
    return jax.nn.softmax(jax.nn.softmax(x, axis=1), axis=0)


@_register(_normal(1 << 16))
def moving_average(x: Any) -> Any:
    """Average exponentials over windows of nine."""
    return lax.reduce_window(jnp.exp(x), 0.0, lax.add, (9,), (1,), "SAME") / 9


@_register(*[_normal(32, 32) for _ in range(40)])
def many_small_sums(*arrays: Any) -> Any:
    """Do a little to each of many arrays, as an optimiser does."""
    return [0.9 * each + 0.1 * each / (jnp.sqrt(each * each) + 1e-8) for each in arrays]


@_register(_normal(16), _normal(200, 16, 16))
def small_matrices(x: Any, matrices: Any) -> Any:
    """Multiply by two hundred small matrices in turn, in a loop."""
    return lax.scan(lambda x, a: (jnp.tanh(a @ x), None), x, matrices)[0]


@_register(_normal(48))
def until_converged(x: Any) -> Any:
    """Take Newton's steps towards roots until they are short."""

    def step(state: Any) -> Any:
        y, _ = state
        new = y - 0.1 * (y - jnp.cos(y)) / (1 + jnp.sin(y) ** 2)
        return new, jnp.max(jnp.abs(new - y))

    return lax.while_loop(lambda state: state[1] > 1e-4, step, (x, jnp.float32(1)))[0]


@_register(np.uint32(0), _normal(4))
def walk(seed: Any, x: Any) -> Any:
    """Walk at random by Metropolis's rule for five hundred steps."""

    def step(x: Any, key: Any) -> Any:
        move, choose = jax.random.split(key)
        new = x + 0.5 * jax.random.normal(move, x.shape)
        better = jnp.sum(x * x - new * new) / 2
        x = jnp.where(jnp.log(jax.random.uniform(choose)) < better, new, x)
        return x, x

    return lax.scan(step, x, jax.random.split(jax.random.key(seed), 500))[1]


def main() -> int:
    """Print the table; return the exit code."""
    prefer_synchronous_dispatch()
    chosen = sys.argv[1:] or list(PROGRAMS)
    near = inside = 0
    print(f"{'program':20} {'quickest':>9} {'expected':>9} {'from':>9} {'to':>9} {'ratio':>6}")
    for name in chosen:
        function, args = PROGRAMS[name]
        analysis = eg.analyze(function, args=args, measure=True, trace=False, depth=0)
        totals, latency = analysis.totals, analysis.latency
        assert latency is not None
        low, told, high = totals.expected_low_s, totals.expected_time_s, totals.expected_high_s
        if told is None or low is None or high is None:
            print(f"{name:20} nothing is expected: {'; '.join(analysis.notes)}")
            continue
        near += 1 / NEAR <= told / latency.min_s <= NEAR
        inside += low <= latency.min_s <= high
        print(
            f"{name:20} {seconds(latency.min_s):>9} {seconds(told):>9} {seconds(low):>9}"
            f" {seconds(high):>9} {told / latency.min_s:6.2f}  {latency.verdict}",
            flush=True,
        )
    print(f"{near} of {len(chosen)} within {NEAR} times, {inside} inside their range")
    return 0 if min(near, inside) >= 0.8 * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
