"""What starting things takes: calls, ops in a program, steps of a loop, arrays of a signature.

All are differences of the quickest calls of programs that do next to nothing, one of which does
more of it: what other processes do adds to a time and takes nothing off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edgegraph.base.timing import NANOSECONDS_PER_S, Clock, monotonic_clock

_LAUNCHES = (64, 256)
"""How many small ops the two programs run whose difference is what launching one takes."""

_STEPS = (32, 256)
"""Iterations of the two loops whose difference is what one more takes."""

_IN_LOOP = (8, 24)
"""Small ops in an iteration of these, whose difference is what one of them takes in a loop."""

_LEAVES = 65
"""Arguments or results of the executables whose calls tell what each of them adds."""


def measure_call(budget_s: float = 0.2, clock: Clock = monotonic_clock) -> float:
    """Measure what a call takes whose one kernel does next to nothing, in seconds.

    It has a result, for which memory is found; an executable without any takes half of that.
    """
    return min(times_s(lambda x: x + 1.0, ((8,),), jnp.float32, budget_s, clock))


def measure_op_launch(budget_s: float = 0.2, clock: Clock = monotonic_clock) -> float:
    """Measure what it takes to start one op inside a running program, in seconds.

    What other processes do adds to a time and takes nothing off, and two medians differ by it.
    """
    few, many = (
        min(times_s(_small_ops(count), ((1, 8), (8, 8)), jnp.float32, budget_s, clock))
        for count in _LAUNCHES
    )
    return max(0.0, (many - few) / (2 * (_LAUNCHES[1] - _LAUNCHES[0])))


def _small_ops(count: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Return a program of so many pairs of kernels with next to no work, which do not fuse."""

    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        for _ in range(count):
            x = lax.rev(x @ w, (1,))
        return x

    return run


def measure_loop(budget_s: float = 0.2, clock: Clock = monotonic_clock) -> tuple[float, float]:
    """Measure what an op takes in a loop, and what it takes to decide on one more iteration.

    In a loop the code of its ops is at hand, so that one takes less there than the first time that
    it runs. XLA counts the iterations of a loop of known length without its condition; where it has
    to look at that, an iteration takes longer by as much. Both are in seconds.
    """
    few, many = (_iteration_s(_counted(ops), budget_s, clock) for ops in _IN_LOOP)
    deciding = _iteration_s(_decided(_IN_LOOP[0]), budget_s, clock)
    return max(0.0, (many - few) / (_IN_LOOP[1] - _IN_LOOP[0])), max(0.0, deciding - few)


_Loop = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def _iteration_s(loop: Callable[[int], _Loop], budget_s: float, clock: Clock) -> float:
    """Return what one more iteration takes of a loop, which is made for a number of steps."""
    few, many = (
        min(times_s(loop(steps), ((1, 8), (8, 8), (1,)), jnp.float32, budget_s, clock))
        for steps in _STEPS
    )
    return (many - few) / (_STEPS[1] - _STEPS[0])


def _counted(ops: int) -> Callable[[int], _Loop]:
    """Return loops of so many small ops whose length XLA knows."""
    pairs = _small_ops(ops // 2)
    return lambda steps: lambda x, w, _: lax.fori_loop(0, steps, lambda _, x: pairs(x, w), x)


def _decided(ops: int) -> Callable[[int], _Loop]:
    """Return loops of so many small ops whose length depends on an argument."""
    pairs = _small_ops(ops // 2)

    def loop(steps: int) -> _Loop:
        def run(x: jax.Array, w: jax.Array, number: jax.Array) -> jax.Array:
            end = steps + (0 * number[0]).astype(jnp.int32)

            def body(state: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
                return state[0] + 1, pairs(state[1], w)

            return lax.while_loop(lambda state: state[0] < end, body, (0, x))[1]

        return run

    return loop


def measure_leaves(budget_s: float = 0.2, clock: Clock = monotonic_clock) -> tuple[float, float]:
    """Measure what each further argument, and each further result, adds to a call, in seconds."""

    def quickest(function: Callable[..., Any], arguments: int) -> float:
        return min(times_s(function, ((8,),) * arguments, jnp.float32, budget_s, clock))

    one = quickest(lambda x: x + 1.0, 1)
    taken = quickest(lambda *x: x[0] + 1.0, _LEAVES)
    given = quickest(lambda x: [x + float(number) for number in range(_LEAVES)], 1)
    further = _LEAVES - 1
    return max(0.0, (taken - one) / further), max(0.0, (given - one) / further)


def times_s(
    function: Callable[..., Any],
    shapes: Sequence[tuple[int, ...]],
    dtype: Any,
    budget_s: float,
    clock: Clock,
) -> list[float]:
    """Time the calls of a function, compiled for random arrays, for `budget_s`; in seconds."""
    arguments = [
        jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32), dtype)
        for seed, shape in enumerate(shapes)
    ]
    compiled = jax.jit(function, keep_unused=True).lower(*arguments).compile()
    for _ in range(2):
        jax.block_until_ready(compiled(*arguments))
    taken: list[float] = []
    spent_s = 0.0
    # The quickest of a short call is found where there are many.
    while len(taken) < 5 or (spent_s < budget_s and len(taken) < 5_000):
        started = clock()
        jax.block_until_ready(compiled(*arguments))
        taken.append((clock() - started) / NANOSECONDS_PER_S)
        spent_s += taken[-1]
    return taken
