"""The kernels whose rates a calibration measures: some sizes of every kind, compiled by XLA."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edgegraph.base.timing import (
    NANOSECONDS_PER_S,
    Clock,
    Progress,
    monotonic_clock,
    no_progress,
    warm_malloc,
)
from edgegraph.device.calibration.peak_kernels import DTYPES
from edgegraph.device.kernel_rates import KernelRate, convolution_kind

_DOTS = (
    (1, 128, 128), (1, 512, 512), (1, 2048, 2048), (1, 4096, 4096), (1, 1024, 4096),
    (8, 128, 128), (8, 512, 512), (8, 2048, 2048), (32, 128, 512), (32, 512, 512),
    (32, 2048, 2048), (128, 128, 64), (128, 512, 512), (256, 64, 256), (256, 2048, 512),
    (512, 512, 2048), (1024, 1024, 1024), (4096, 256, 64),
)  # fmt: skip
"""Rows, columns and depth of matrix products."""

_CONVOLUTIONS = (
    (1, 32, 1, 32, 3), (8, 32, 1, 32, 3), (1, 16, 32, 64, 3), (32, 16, 32, 64, 3),
    (1, 64, 16, 16, 3), (1, 64, 64, 64, 3), (8, 64, 64, 64, 3), (1, 32, 128, 128, 3),
    (8, 32, 128, 128, 3), (1, 16, 256, 256, 3), (8, 16, 256, 256, 3), (1, 8, 512, 512, 3),
    (8, 8, 512, 512, 3), (1, 128, 3, 64, 7), (8, 128, 3, 64, 7), (1, 64, 3, 64, 11),
    (1, 128, 32, 16, 1), (1, 64, 64, 256, 1), (8, 64, 64, 256, 1), (1, 32, 256, 64, 1),
    (1, 16, 512, 128, 1), (8, 16, 512, 128, 1), (1, 8, 1024, 256, 1), (8, 8, 256, 1024, 1),
    (1, 128, 16, 96, 1), (1, 32, 1, 8, 5), (8, 32, 1, 8, 5), (8, 16, 8, 16, 5), (1, 16, 4, 16, 3),
    (8, 32, 4, 12, 3),
)  # fmt: skip
"""Batch, side, input and output channels, and kernel side of convolutions.

Those with few output channels are there because XLA gives them to another library on the CPU.
"""

_DEPTHWISE = (
    (1, 128, 32, 3), (1, 64, 128, 3), (1, 32, 256, 3), (1, 16, 512, 3), (1, 8, 1024, 3),
    (1, 64, 128, 5), (1, 16, 512, 5), (8, 64, 64, 3), (8, 16, 512, 3), (8, 8, 1024, 5),
)  # fmt: skip
"""Batch, side, channels and kernel side."""

_GROUPED = (
    (1, 32, 128, 128, 3), (8, 32, 128, 128, 3), (1, 16, 256, 256, 3), (8, 16, 256, 256, 3),
    (1, 32, 64, 192, 5),
)  # fmt: skip
"""Of convolutions in two groups, likewise."""

_BYTES = (1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24, 1 << 26)
"""What the kernels that move data read and write together."""

_POOLINGS = ((1, 16, 64, 3), (1, 32, 128, 2), (8, 32, 128, 3), (8, 64, 64, 2))
"""Batch, side, channels and window side of maxima over windows that step by two."""

_FUNCTIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "atan2": lambda x: lax.atan2(x, 2.0 - x),
    "cbrt": lax.cbrt,
    # Of negative numbers it is NaN, which is found sooner.
    "power": lambda x: lax.pow(jnp.abs(x), jnp.float32(2.7)),
    "remainder": lambda x: lax.rem(10.0 * x, jnp.float32(3.0)),
    "tan": lax.tan,
}
_VALUES = (1 << 12, 1 << 16)
"""Of which the functions are taken."""

_LOOPED = (
    ("s8", 64, 64, 64), ("s8", 8, 512, 256), ("s8", 128, 256, 256), ("s8", 96, 200, 200),
    ("u32", 128, 128, 128),
)  # fmt: skip
"""Dtype, rows, columns and depth of products that no library multiplies.

Those whose sizes are no powers of two are much faster, as they miss the caches less often.
"""

_LOOPED_CONVOLUTIONS = ((1, 8, 16, 16, 3), (1, 16, 32, 32, 3))
"""Batch, side, input and output channels, and kernel side, in s8."""

_LAUNCHES = (64, 256)
"""How many small ops the two programs run whose difference is what launching one takes."""

_SHORT = 10
"""Calls that take less than so many of the least ones are short."""

_LEAST = 0.05
"""Share of a short call that its kernel takes at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kernel to be timed, and the work by which its time becomes a rate."""

    kind: str
    dtype: str
    sizes: tuple[int, int, int]
    work: float
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]


def cases() -> Iterator[Case]:
    """Yield every kernel of the table."""
    for dtype in ("f32", "bf16"):
        for rows, columns, depth in _DOTS if dtype == "f32" else _DOTS[1::4]:
            yield Case(
                kind="dot", dtype=dtype, sizes=(rows, columns, depth),
                work=2.0 * rows * columns * depth,
                function=lambda x, w: x @ w, shapes=((rows, depth), (depth, columns)),
            )  # fmt: skip
        for batch, side, inputs, outputs, kernel in (
            _CONVOLUTIONS if dtype == "f32" else _CONVOLUTIONS[3::6]
        ):
            yield _convolution(dtype, batch, side, inputs, outputs, kernel)
    for batch, side, inputs, outputs, kernel in _GROUPED:
        yield _convolution("f32", batch, side, inputs, outputs, kernel, groups=2)
    for batch, side, channels, kernel in _DEPTHWISE:
        yield _convolution("f32", batch, side, channels, channels, kernel, groups=channels)
    for size in _BYTES:
        yield from _moves(size)
    for batch, side, channels, window in _POOLINGS:
        yield _pooling(batch, side, channels, window)
    yield from _slow()


def _slow() -> Iterator[Case]:
    """Yield what XLA's CPU backend has neither a library nor vector instructions for."""
    for kind, function in _FUNCTIONS.items():
        for values in _VALUES:
            yield Case(
                kind=kind, dtype="f32", sizes=(values, 1, 1), work=values,
                function=function, shapes=((values,),),
            )  # fmt: skip
    for dtype, rows, columns, depth in _LOOPED:
        yield Case(
            kind="loop-dot", dtype=dtype, sizes=(rows, columns, depth),
            work=2.0 * rows * columns * depth,
            function=lambda x, w: x @ w, shapes=((rows, depth), (depth, columns)),
        )  # fmt: skip
    for sizes in _LOOPED_CONVOLUTIONS:
        yield replace(_convolution("s8", *sizes), kind="loop-convolution")


def _convolution(
    dtype: str, batch: int, side: int, inputs: int, outputs: int, kernel: int, groups: int = 1
) -> Case:
    positions, depth = batch * side * side, kernel * kernel * inputs // groups
    # As XLA counts: products with the padding are no work.
    taps = (kernel * side - 2 * sum(range(kernel // 2 + 1))) ** 2
    return Case(
        kind=convolution_kind(groups, inputs // groups),
        dtype=dtype,
        sizes=(positions, outputs, depth),
        work=2.0 * batch * taps * inputs * outputs // groups,
        function=lambda x, w: lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        ),
        shapes=((batch, side, side, inputs), (kernel, kernel, inputs // groups, outputs)),
    )  # fmt: skip


def _moves(size: int) -> Iterator[Case]:
    """Yield the kernels that read and write `size` bytes together."""
    half = size // 8
    side = 1 << (half.bit_length() // 2)
    rows = half // side
    kernels: tuple[tuple[str, Callable[..., Any], int], ...] = (
        ("elementwise", lambda x: jnp.maximum(x * 2.0 + 1.0, 0.0), rows),
        ("copy", jnp.transpose, rows),
        ("reduction", lambda x: jnp.sum(x, axis=-1), 2 * rows),
    )
    for kind, function, length in kernels:
        yield Case(
            kind=kind, dtype="f32", sizes=(size, 1, 1), work=size,
            function=function, shapes=((length, side),),
        )  # fmt: skip


def _pooling(batch: int, side: int, channels: int, window: int) -> Case:
    inputs = batch * side * side * channels
    outputs = batch * (side // 2) ** 2 * channels
    return Case(
        kind="pooling", dtype="f32", sizes=(4 * (inputs + outputs), 1, 1),
        work=4.0 * (inputs + outputs),
        function=lambda x: lax.reduce_window(
            x, -jnp.inf, lax.max, (1, window, window, 1), (1, 2, 2, 1), "SAME"
        ),
        shapes=((batch, side, side, channels),),
    )  # fmt: skip


def measure_kernels(
    call_s: float,
    *,
    chosen: Sequence[Case] | None = None,
    budget_s: float = 0.1,
    clock: Clock = monotonic_clock,
    progress: Progress = no_progress,
) -> tuple[KernelRate, ...]:
    """Measure the table, or the cases that are `chosen`; about 25 s.

    Of the calls of each kernel, which take `budget_s`, the median counts, and of short ones the
    quickest, less `call_s`, what a call takes with a kernel that does next to nothing.
    """
    chosen = list(cases()) if chosen is None else chosen
    warm_malloc()
    found = []
    for number, case in enumerate(chosen):
        progress(f"timing a kernel ({case.kind})", number / len(chosen))
        taken = _times_s(case.function, case.shapes, DTYPES[case.dtype][0], budget_s, clock)
        # Of short calls, noise is a large part; it adds, and the quickest has none.
        short = min(taken) < _SHORT * call_s
        took = min(taken) if short else median(taken)
        rows, columns, depth = case.sizes
        # A kernel much shorter than its call is known no better than the call is.
        net_s = max(took - call_s, _LEAST * took)
        found.append(
            KernelRate(
                kind=case.kind, dtype=case.dtype, rows=rows, columns=columns, depth=depth,
                rate_per_s=case.work / net_s,
            )
        )  # fmt: skip
    return tuple(found)


def measure_call(budget_s: float = 0.2, clock: Clock = monotonic_clock) -> float:
    """Measure what a call takes whose one kernel does next to nothing, in seconds.

    It has a result, for which memory is found; an executable without any takes half of that.
    """
    return min(_times_s(lambda x: x + 1.0, ((8,),), jnp.float32, budget_s, clock))


def measure_op_launch(budget_s: float = 0.2, clock: Clock = monotonic_clock) -> float:
    """Measure what it takes to start one op inside a running program, in seconds.

    What other processes do adds to a time and takes nothing off, and two medians differ by it.
    """

    def chain(count: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
        def run(x: jax.Array, w: jax.Array) -> jax.Array:
            for _ in range(count):
                # Two kernels with next to no work, which do not fuse.
                x = lax.rev(x @ w, (1,))
            return x

        return run

    few, many = (
        min(_times_s(chain(count), ((1, 8), (8, 8)), jnp.float32, budget_s, clock))
        for count in _LAUNCHES
    )
    return max(0.0, (many - few) / (2 * (_LAUNCHES[1] - _LAUNCHES[0])))


def _times_s(
    function: Callable[..., Any],
    shapes: Sequence[tuple[int, ...]],
    dtype: Any,
    budget_s: float,
    clock: Clock,
) -> list[float]:
    arguments = [
        jnp.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32), dtype)
        for seed, shape in enumerate(shapes)
    ]
    compiled = jax.jit(function).lower(*arguments).compile()
    for _ in range(2):
        jax.block_until_ready(compiled(*arguments))
    taken: list[float] = []
    while len(taken) < 5 or (math.fsum(taken) < budget_s and len(taken) < 200):
        started = clock()
        jax.block_until_ready(compiled(*arguments))
        taken.append((clock() - started) / NANOSECONDS_PER_S)
    return taken
