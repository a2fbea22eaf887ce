"""The kernels that a calibration runs, each through XLA as a user's program would be.

Arithmetic: matrix products by size and dtype, and a convolution, since XLA hands both to
libraries. Memory: an update in place (each element read and written, as STREAM's scale) and a
matrix-vector product (weights read once, as a dense layer at batch 1), repeated by a loop inside
the graph, because a launch takes longer than a pass over a cache. Neither loop can be optimised
away: every pass needs the result of the one before, and the matrix-vector product's operand
changes with every pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Barrier
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edgegraph.base.timing import NANOSECONDS_PER_S, Clock
from edgegraph.device.calibration.peaks import DISPATCH, Probe

DTYPES = {
    "f32": (jnp.float32, jnp.float32),
    "bf16": (jnp.bfloat16, jnp.float32),
    "f16": (jnp.float16, jnp.float32),
    "f64": (jnp.float64, jnp.float64),
    "s8": (jnp.int8, jnp.int32),
    "u32": (jnp.uint32, jnp.uint32),
}
"""Operand and accumulator of the matrix products, by XLA name; the reference dtype first."""

BYTES_A_RUN = 50_000_000
"""Traffic of one run of a memory kernel: some 0.2 ms of a cache, forty launches."""

BYTES_A_COPY = 300_000_000
"""Traffic of one run of a copy: threads start some 0.1 ms apart."""

FLOAT_BYTES = 4

Built = TypeVar("Built")


class Update(NamedTuple):
    """A compiled update of a buffer of its own.

    `call` waits for the result; `moved_bytes` are those read and written in all passes of one run,
    `working_set_bytes` those touched in every pass.
    """

    call: Callable[[], object]
    moved_bytes: int
    working_set_bytes: int


class CoreThreads:
    """Threads that run kernels at the same moment, one for each core."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = Barrier(size)
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="edgegraph-calibration")

    def __enter__(self) -> CoreThreads:
        return self

    def __exit__(self, *exception: object) -> None:
        # After an interruption one may wait for another that will never start.
        self._barrier.abort()
        self._pool.shutdown(cancel_futures=True)

    def map(self, build: Callable[[], Built]) -> list[Built]:
        """Build something on every thread, side by side."""
        return [future.result() for future in [self._pool.submit(build) for _ in range(self.size)]]

    def run(self, calls: Sequence[Callable[[], object]], clock: Clock) -> float:
        """Run one call on each thread; return the seconds from the first start to the last end."""

        def span(call: Callable[[], object]) -> tuple[int, int]:
            self._barrier.wait()
            started = clock()
            call()
            return started, clock()

        spans = list(self._pool.map(span, calls))
        first = min(started for started, _ in spans)
        return (max(ended for _, ended in spans) - first) / NANOSECONDS_PER_S


def matrix_product(dtype: str, size: int) -> Probe:
    """Return a probe of the product of two matrices of `size` rows and columns."""
    operand, accumulator = DTYPES[dtype]
    with jax.enable_x64(True) if dtype == "f64" else nullcontext():
        left, right = (_random((size, size), operand, seed) for seed in (0, 1))
        product = _compiled(
            lambda left, right: lax.dot(left, right, preferred_element_type=accumulator),
            left, right,
        )  # fmt: skip
    return Probe(
        group=dtype,
        label=f"{dtype} matrix product of {size}",
        work=2.0 * size**3,
        run=_timed(lambda: jax.block_until_ready(product(left, right))),
    )


def convolution(batch: int = 8, side: int = 28, channels: int = 256) -> Probe:
    """Return a probe of a 3 x 3 convolution in f32, channels last, padded to the same size."""
    image = _random((batch, side, side, channels), jnp.float32, 0)
    weights = _random((3, 3, channels, channels), jnp.float32, 1)
    convolve = _compiled(
        lambda image, weights: lax.conv_general_dilated(
            image, weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        image, weights,
    )  # fmt: skip
    return Probe(
        group="f32",
        label=f"f32 convolution of {batch} x {side} x {side} x {channels}",
        # As XLA counts: products with the padding are no work, so they flatter no rate.
        work=2.0 * batch * (3 * side - 2) ** 2 * channels**2,
        run=_timed(lambda: jax.block_until_ready(convolve(image, weights))),
    )


def updates(group: str, working_set_bytes: int) -> Probe:
    """Return a probe that reads and writes every element of one buffer, pass after pass."""
    kernel = _update(working_set_bytes, BYTES_A_RUN)
    return Probe(
        group=group,
        label="updates in place",
        work=kernel.moved_bytes,
        run=_timed(kernel.call),
        working_set_bytes=kernel.working_set_bytes,
    )


def updates_by_core(group: str, working_set_bytes: int, threads: CoreThreads) -> Probe:
    """Return a probe where every core updates a share of the working set of its own.

    XLA runs a small kernel on one core, so that the bandwidth of all private caches together
    shows only where all cores work at once. Every core has an executable of its own, because some
    versions of jaxlib run an executable with a loop one call at a time.
    """
    kernels = threads.map(lambda: _update(working_set_bytes // threads.size, BYTES_A_COPY))
    calls = [kernel.call for kernel in kernels]
    return Probe(
        group=group,
        label="updates in place, each core its share",
        work=sum(kernel.moved_bytes for kernel in kernels),
        run=lambda clock: threads.run(calls, clock),
        working_set_bytes=sum(kernel.working_set_bytes for kernel in kernels),
    )


def matrix_vector_products(group: str, working_set_bytes: int) -> Probe:
    """Return a probe that multiplies a row by a matrix as large as the working set, repeatedly."""
    elements = working_set_bytes // FLOAT_BYTES
    columns = max(64, 2 ** round(math.log2(elements) / 2))
    rows = elements // columns
    matrix_bytes = FLOAT_BYTES * rows * columns
    passes = max(1, BYTES_A_RUN // matrix_bytes)

    def multiply(matrix: jax.Array, row: jax.Array) -> jax.Array:
        def once(_: int, row: jax.Array) -> jax.Array:
            # The next row depends on the product, so that no pass can be left out.
            return row.at[0, 0].set((row @ matrix)[0, 0])

        last: jax.Array = lax.fori_loop(0, passes, once, row)
        return last

    # Ones, so that the sums grow by their length with every pass and never overflow.
    with jax.default_device(_processor()):
        matrix, row = jnp.ones((rows, columns), jnp.float32), jnp.ones((1, rows), jnp.float32)
    product = _compiled(multiply, matrix, row)
    return Probe(
        group=group,
        label="matrix-vector products",
        work=passes * (matrix_bytes + FLOAT_BYTES * (rows + columns)),
        run=_timed(lambda: jax.block_until_ready(product(matrix, row))),
        working_set_bytes=matrix_bytes,
    )


def null_calls(calls: int = 50) -> Probe:
    """Return a probe of calls of an executable that does nothing."""
    argument = _random((), jnp.float32, 0)
    nothing = _compiled(lambda argument: jnp.zeros((), jnp.float32), argument)

    def call() -> None:
        for _ in range(calls):
            jax.block_until_ready(nothing(argument))

    return Probe(group=DISPATCH, label="null executable", work=calls, run=_timed(call))


def _update(working_set_bytes: int, traffic_bytes: int) -> Update:
    """Compile the update of one buffer, which it keeps and hands back to itself."""
    elements = working_set_bytes // FLOAT_BYTES
    pass_bytes = 2 * FLOAT_BYTES * elements
    passes = max(1, traffic_bytes // pass_bytes)

    def update(buffer: jax.Array) -> jax.Array:
        # Converges to 2, so that no number ever becomes denormal, infinite or slow.
        last: jax.Array = lax.fori_loop(0, passes, lambda _, held: held * 0.5 + 1.0, buffer)
        return last

    # Donated, or every call would begin with fresh pages and a copy into them.
    step = _compiled(update, jax.ShapeDtypeStruct((elements,), jnp.float32), donate=(0,))
    with jax.default_device(_processor()):
        held = [jnp.ones(elements, jnp.float32)]

    def call() -> None:
        held[0] = jax.block_until_ready(step(held[0]))

    return Update(call, passes * pass_bytes, FLOAT_BYTES * elements)


def _processor() -> jax.Device:
    """Return the host's first processor, also where an accelerator is the default device."""
    return jax.devices("cpu")[0]


def _compiled(
    function: Callable[..., jax.Array], *arguments: Any, donate: tuple[int, ...] = ()
) -> Callable[..., jax.Array]:
    """Compile a function for these arguments and the first processor of this host."""
    with jax.default_device(_processor()):
        lowered = jax.jit(function, donate_argnums=donate, keep_unused=True).lower(*arguments)
    return lowered.compile()


def _random(shape: tuple[int, ...], dtype: Any, seed: int) -> jax.Array:
    """Return numbers between -100 and 100, which every dtype holds; zeros could be shortcuts."""
    numbers = np.random.default_rng(seed).integers(-100, 101, shape)
    with jax.default_device(_processor()):
        return jnp.asarray(numbers).astype(dtype)


def _timed(call: Callable[[], object]) -> Callable[[Clock], float]:
    """Make a call into one that returns the seconds that it took."""

    def run(clock: Clock) -> float:
        started = clock()
        call()
        return (clock() - started) / NANOSECONDS_PER_S

    return run
