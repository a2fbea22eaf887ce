"""Programs of every kind that are handed to other processes, and a hand-made way to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph import xla
from edgegraph.base.timing import Clock, Progress
from edgegraph.compiler.program import Program
from edgegraph.measure.latency import ExecutableCall, program_arguments
from edgegraph.measure.sampling import MeasurementSettings

FEW = MeasurementSettings(
    warm_up_calls=1, warm_up_s=0.0, minimum_samples=6, minimum_s=0.0, limit_s=2.0
)


def ticking() -> Clock:
    """Return a clock that moves on by a millisecond whenever it is read."""
    return itertools.count(0, 1_000_000).__next__


def compiled(
    function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = (), name: str = "test"
) -> Program:
    """Compile a function by hand, which may consume arguments."""
    traced = jax.jit(function, keep_unused=True, donate_argnums=donate).trace(*arguments)
    executable = traced.lower().compile()
    return Program(
        name=name,
        batch=None,
        target="cpu",
        stage="optimized",
        serialized=xla.compiled_module(executable),
        jaxpr=traced.jaxpr,
        executable=executable,
        concrete=lambda: jax.tree.map(jnp.copy, arguments),
    )


def eigenvalues() -> Program:
    """LAPACK through a custom call."""
    return compiled(jnp.linalg.eigvalsh, jnp.diag(jnp.arange(1.0, 5.0)))


def train_step() -> Program:
    """State in and out, which is consumed, and a loss; nested containers."""

    def step(state: dict[str, Any], x: Any) -> Any:
        return {"w": state["w"] - 0.1 * x, "n": state["n"] + 1}, (state["w"] * x).sum()

    state = {"w": jnp.ones((4, 3)), "n": jnp.zeros((), jnp.int32)}
    return compiled(step, state, jnp.full((4, 3), 2.0), donate=(0,))


def random_numbers() -> Program:
    """A key in, and keys out."""

    def draw(key: Any) -> Any:
        return jax.random.uniform(key, (3,)), jax.random.split(key)

    return compiled(draw, jax.random.key(7))


def odd_dtypes() -> Program:
    """Types that NumPy does not know, an empty array, a truth value, and an unused argument."""
    arguments = (
        jnp.arange(4, dtype=jnp.bfloat16),
        jnp.arange(4, dtype=jnp.float8_e4m3fn),
        jnp.arange(4, dtype=jnp.int4),
        jnp.zeros((0, 3)),
        jnp.array(True),
        jnp.arange(3),
    )
    return compiled(lambda a, b, c, d, e, f: (a + 1, b, c + c, d, ~e), *arguments)


def constant() -> Program:
    """An array that the function closes over, and FFT, another library."""
    table = np.arange(8, dtype=np.float32)
    return compiled(lambda x: jnp.abs(jnp.fft.fft(x * table)), jnp.ones(8))


PROGRAMS: dict[str, Callable[[], Program]] = {
    make.__name__: make for make in (eigenvalues, train_step, random_numbers, odd_dtypes, constant)
}


def results_of(program: Program) -> list[list[float]]:
    """Run a program twice, as it is timed, and return its last results as numbers."""
    call = ExecutableCall(program.executable, program_arguments(program))
    for _ in range(2):
        result = call()
        # Consumed results are copied before they are handed on.
        leaves = [
            jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
            for leaf in jax.tree.leaves(result)
        ]
        numbers = [np.asarray(leaf).astype(np.float64).ravel().tolist() for leaf in leaves]
        if call.after is not None:
            call.after(result)
    return numbers


def results_of_all(programs: Sequence[Program], report: Progress) -> list[list[list[float]]]:
    """Run all programs, in the process that was handed them."""
    return [results_of(program) for program in programs]


def addresses(programs: Sequence[Program], report: Progress) -> list[list[int]]:
    """Return the addresses of the programs' arguments."""
    return [[leaf.unsafe_buffer_pointer() for leaf in program_arguments(one)] for one in programs]


def fail(message: str, programs: Sequence[Program], report: Progress) -> None:
    """Fail as a defect would."""
    raise ValueError(message)
