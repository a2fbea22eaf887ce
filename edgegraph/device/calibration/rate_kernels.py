"""The kernels whose rates a calibration measures: some sizes of every kind, compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from edgegraph.base.timing import (
    Clock,
    Progress,
    monotonic_clock,
    no_progress,
    warm_malloc,
)
from edgegraph.device.calibration.launches import times_s
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

_CHAINED = 64
"""Times that an operation is repeated in one kernel, beyond another of 8 repetitions: of a chain,
each of which waits for the one before, as all do where the values are few."""

_BESIDE = 8
"""Values that a function is taken of in one kernel, beyond another of one: none waits."""

_FEW = 8
"""Values that fit one vector."""

_FUNCTIONS_OF_VALUES: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "divide": lambda x: 1.5 / x,
    "exponential": lambda x: jnp.exp(-x),
    "exponential-minus-one": jnp.expm1,
    "log": lambda x: jnp.log(jnp.abs(x)),
    "log-plus-one": lambda x: jnp.log1p(jnp.abs(x)),
    "sine": jnp.sin,
    "sqrt": lambda x: jnp.sqrt(jnp.abs(x)),
    "tanh": jnp.tanh,
}

_PAIRED = ((64, 64, 8), (256, 256, 8), (256, 256, 64))
"""Rows, columns and depth of the differences that a library squares and adds up in one kernel."""

_SOLVED = (4, 32, 128)
"""Sides of matrices that LAPACK factorises."""

_TRANSFORMED = (256, 16_384)
_SORTED = (64, 1_024, 16_384)

_SHORT_S = 1e-3
"""Calls that take less are short: of those, other processes disturb many, and some not at all."""

_LEAST = 0.05
"""Share of a short call that its kernel takes at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kernel to be timed, and the work by which its time becomes a rate.

    Where there is a `base`, the work is what the function does more than that one.
    """

    kind: str
    dtype: str
    sizes: tuple[int, int, int]
    work: float
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    base: Callable[..., Any] | None = None


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
    yield from _of_values()
    yield from _of_libraries()


def _of_values() -> Iterator[Case]:
    """Yield arithmetic and functions in one kernel, whose launch and data are in its base, too."""
    for values in (_FEW, *_VALUES):
        yield _repeated("arithmetic", 3, lambda x: jnp.maximum(x * 0.5 + 0.25, 0.0), values)
    for kind, function in _FUNCTIONS_OF_VALUES.items():
        yield _repeated(kind, 1, function, _FEW)
        for values in _VALUES:
            yield Case(
                kind=kind, dtype="f32", sizes=(values, 1, 1), work=float(_BESIDE * values),
                function=_beside(function, 1 + _BESIDE), base=_beside(function, 1),
                shapes=((values,),),
            )  # fmt: skip
    for rows, columns, depth in _PAIRED:
        pairs = rows * columns * depth
        # A difference and a square of each, of which one sum adds all but one to the first.
        work = 3.0 * pairs - rows * columns
        yield Case(
            kind="library-arithmetic", dtype="f32", sizes=(pairs, 1, 1), work=work,
            function=lambda x, y: jnp.sum((x[:, None] - y[None]) ** 2, axis=-1),
            shapes=((rows, depth), (columns, depth)),
        )  # fmt: skip


def _repeated(kind: str, each: int, step: Callable[[jax.Array], jax.Array], values: int) -> Case:
    """Return a chain of steps of so many operations each."""
    return Case(
        kind=kind, dtype="f32", sizes=(values, 1, 1), work=float(each * values * _CHAINED),
        function=_chain(step, 8 + _CHAINED), base=_chain(step, 8), shapes=((values,),),
    )  # fmt: skip


def _beside(function: Callable[[jax.Array], jax.Array], count: int) -> Callable[..., jax.Array]:
    def run(x: jax.Array) -> jax.Array:
        return sum((function(x + 0.01 * number) for number in range(count)), jnp.zeros_like(x))

    return run


def _chain(step: Callable[[jax.Array], jax.Array], count: int) -> Callable[[jax.Array], jax.Array]:
    def run(x: jax.Array) -> jax.Array:
        for _ in range(count):
            x = step(x)
        return x

    return run


def _of_libraries() -> Iterator[Case]:
    """Yield Fourier transforms, factorisations and sorts, by the FLOPs that EdgeGraph counts."""
    for values in _TRANSFORMED:
        flops = 8 * values * (values.bit_length() - 1)
        yield Case(
            kind="fft", dtype="c64", sizes=(flops, 1, 1), work=float(flops),
            function=lambda x: jnp.fft.fft(lax.complex(x, x)).real, shapes=((values,),),
        )  # fmt: skip
    for side in _SOLVED:
        flops = side * side * side
        yield Case(
            kind="lapack", dtype="f32", sizes=(flops, 1, 1), work=float(flops),
            function=lambda a: lax.linalg.triangular_solve(
                a + 9.0 * jnp.eye(a.shape[0]), a, left_side=True, lower=True
            ),
            shapes=((side, side),),
        )  # fmt: skip
    for values in _SORTED:
        comparisons = values * (values - 1).bit_length()
        yield Case(
            kind="sort", dtype="f32", sizes=(comparisons, 1, 1), work=float(comparisons),
            function=jnp.sort, shapes=((values,),),
        )  # fmt: skip


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

    Of the calls of each kernel, which take `budget_s`, the first quartile counts, and of short ones
    the quickest, less `call_s`, what a call takes with a kernel that does next to nothing.
    """
    chosen = list(cases()) if chosen is None else chosen
    warm_malloc()
    found = []
    for number, case in enumerate(chosen):
        progress(f"timing a kernel ({case.kind})", number / len(chosen))
        dtype = DTYPES["f32" if case.dtype == "c64" else case.dtype][0]
        taken = times_s(case.function, case.shapes, dtype, budget_s, clock)
        without_s = call_s
        if case.base is not None:
            without_s = min(times_s(case.base, case.shapes, dtype, budget_s, clock))
        # What other processes do adds to times; of few long calls it may have added to all.
        short = min(taken) < _SHORT_S or case.base is not None
        took = min(taken) if short else sorted(taken)[len(taken) // 4]
        rows, columns, depth = case.sizes
        # A kernel much shorter than its call is known no better than the call is.
        net_s = max(took - without_s, _LEAST * took)
        found.append(
            KernelRate(
                kind=case.kind, dtype=case.dtype, rows=rows, columns=columns, depth=depth,
                rate_per_s=case.work / net_s,
            )
        )  # fmt: skip
    return tuple(found)
