"""Sorting, transforms, prefix sums, indexing and dtypes, by hand and by XLA's rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from tests.constructs.construct import (
    STAGES,
    Construct,
    Figures,
    analysed,
    array,
    check,
    every,
    ops,
)

# n ceil(log2 n) comparisons in each row of 100; XLA has the number of all elements for n.
SORTED = 400 * 7
XLA_SORTED = 400 * 9
ROWS = 400 * 4

SORTS = {
    "sort": Construct(
        function=lambda x: jnp.sort(x, axis=1),
        arguments=(array(4, 100),),
        lowered=Figures(flops=SORTED, xla_flops=XLA_SORTED, read=ROWS, written=ROWS),
    ),
    "sort by key": Construct(
        function=lambda x, y: lax.sort((x, y), num_keys=1)[1],
        arguments=(array(4, 100), array(4, 100)),
        lowered=Figures(flops=SORTED, xla_flops=XLA_SORTED, read=2 * ROWS, written=2 * ROWS),
    ),
    "argsort": Construct(
        function=lambda x: jnp.argsort(x, axis=1),
        arguments=(array(4, 100),),
        # The indices are made first: one row of them, then all rows.
        lowered=Figures(
            flops=SORTED, xla_flops=XLA_SORTED, read=400 + 2 * ROWS, written=400 + 3 * ROWS
        ),
        optimized=Figures(flops=SORTED, xla_flops=XLA_SORTED, read=2 * ROWS, written=3 * ROWS),
    ),
    "top k": Construct(
        function=lambda x: lax.top_k(x, 5)[0],
        arguments=(array(4, 100),),
        # XLA counts none for its opcode; the custom call that it becomes, n ceil(log2 k).
        lowered=Figures(flops=400 * 3, read=ROWS, written=2 * 4 * 5 * 4, xla_flops=0),
    ),
}

# XLA: 2 operations of 4, for every element of the input and every pass (log2 of the length).
TRANSFORMS = {
    "fft": Construct(
        function=jnp.fft.fft,
        arguments=(array(4, 64, dtype="complex64"),),
        lowered=Figures(flops=8 * 6 * 256, read=256 * 8, written=256 * 8),
    ),
    "fft over two axes": Construct(
        function=jnp.fft.fft2,
        arguments=(array(4, 16, 32, dtype="complex64"),),
        # XLA multiplies the passes of both axes; one axis is transformed after the other.
        lowered=Figures(
            flops=8 * (4 + 5) * 2048,
            read=2048 * 8,
            written=2048 * 8,
            xla_flops=8 * (4 * 5) * 2048,
        ),
    ),
    "fft of real numbers": Construct(
        function=jnp.fft.rfft,
        arguments=(array(4, 64),),
        lowered=Figures(flops=8 * 6 * 132, xla_flops=8 * 6 * 256, read=256 * 4, written=4 * 33 * 8),
    ),
    "fft to real numbers": Construct(
        function=jnp.fft.irfft,
        arguments=(array(4, 33, dtype="complex64"),),
        lowered=Figures(flops=8 * 6 * 132, read=132 * 8, written=256 * 4),
    ),
}


def prefix(rows: int, length: int, per_element: int = 1) -> Figures:
    """All but the first of a row are one application of the function, on what came before."""
    moved = rows * length * 4
    flops = rows * (length - 1) * per_element
    whole = rows * length * (length - 1) * per_element
    return Figures(flops=flops, read=moved + 4, written=moved, xla_flops=whole)


def windows(rows: int, length: int) -> Figures:
    """XLA leaves windows of up to 16 as they are, and computes each of them anew."""
    return replace(prefix(rows, length), flops=rows * length * (length - 1), xla_flops=None)


# XLA turns a window of over 16 into blocks of 16, within which and over which it sums up.
BLOCKS = 4 * (64 * 15 + 5 * 3) + 256

PREFIXES = {
    "cumsum": Construct(
        function=lambda x: jnp.cumsum(x, axis=1),
        arguments=(array(4, 16),),
        lowered=prefix(4, 16),
        optimized=windows(4, 16),
    ),
    "cumsum in blocks": Construct(
        function=lambda x: jnp.cumsum(x, axis=1),
        arguments=(array(4, 64),),
        lowered=prefix(4, 64),
        optimized=Figures(flops=BLOCKS),
    ),
    "cumprod from the end": Construct(
        function=lambda x: lax.cumprod(x, axis=1, reverse=True),
        arguments=(array(4, 16),),
        lowered=prefix(4, 16),
        optimized=windows(4, 16),
    ),
    "cummax": Construct(
        function=lambda x: lax.cummax(x, axis=1),
        arguments=(array(4, 16),),
        lowered=prefix(4, 16),
        optimized=windows(4, 16),
    ),
}

# A negative index counts from the end: a comparison, an addition and a selection for each.
WRAPPED = 3 * 5
ROW = 8 * 4
OTHERS = (32 - 5) * ROW
"""Bytes of the rows that no index names."""


def scatter_min(x: Any, indices: Any, updates: Any) -> Any:
    numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))
    return lax.scatter_min(x, indices, updates, numbers)


SCATTERED = (array(32, 8), array(5, dtype="int32"), array(5, 8))

INDEXING = {
    "gather": Construct(
        function=lambda x, i: x[i],
        arguments=SCATTERED[:2],
        lowered=Figures(flops=WRAPPED),
        optimized=Figures(flops=WRAPPED, untouched=OTHERS),
    ),
    "gather, clipped": Construct(
        function=lambda x, i: jnp.take(x, i, axis=0, mode="clip"),
        arguments=SCATTERED[:2],
        # Besides the rows, the five indices are reshaped.
        lowered=Figures(read=20 + 5 * ROW + 20, written=20 + 5 * ROW),
        optimized=Figures(written=5 * ROW, untouched=OTHERS),
    ),
    "scatter-add": Construct(
        function=lambda x, i, u: x.at[i].add(u),
        arguments=SCATTERED,
        lowered=Figures(flops=WRAPPED + 5 * 8),
        optimized=Figures(flops=WRAPPED + 5 * 8, untouched=2 * OTHERS),
    ),
    "scatter, no arithmetic": Construct(
        function=lambda x, i, u: x.at[i].set(u),
        arguments=SCATTERED,
        lowered=Figures(flops=WRAPPED),
        optimized=Figures(flops=WRAPPED, untouched=2 * OTHERS),
    ),
    "scatter-min": Construct(
        function=scatter_min,
        arguments=(array(32, 8), array(5, 1, dtype="int32"), array(5, 8)),
        # The rows that change are read and written, the updates and indices read.
        lowered=Figures(flops=5 * 8, read=2 * 5 * ROW + 20, written=5 * ROW),
        # XLA scatters into a copy, in a fusion.
        optimized=Figures(flops=5 * 8, untouched=2 * OTHERS),
    ),
    "gradient of a gather": Construct(
        function=jax.grad(lambda x, i: x.at[i].get(mode="clip").sum()),
        arguments=SCATTERED[:2],
        lowered=Figures(flops=None),
        optimized=Figures(flops=None, untouched=2 * OTHERS),
    ),
    "dynamic slice": Construct(
        function=lambda x, i: lax.dynamic_slice(x, (i, 0), (5, 8), allow_negative_indices=False),
        arguments=(array(32, 8), array(dtype="int32")),
        # Only the slice is read, and the index: one, or alone in a fusion both.
        lowered=Figures(read=5 * ROW + 4, written=5 * ROW),
        optimized=Figures(read=5 * ROW + 2 * 4, written=5 * ROW),
    ),
    "dynamic update": Construct(
        function=lambda x, u, i: lax.dynamic_update_slice(
            x, u, (i, 0), allow_negative_indices=False
        ),
        arguments=(array(32, 8), array(5, 8), array(dtype="int32")),
        # The update and an index are read. Afterwards it happens in a copy.
        lowered=Figures(read=5 * ROW + 4, written=5 * ROW),
        optimized=Figures(),
    ),
}

COMPLEX = array(6, 7, dtype="complex64")
ELEMENTS = 6 * 7


def product(**options: Any) -> Any:
    return lambda a, b: lax.dot_general(a, b, (((1,), (0,)), ((), ())), **options)


DTYPES = {
    # Of complex numbers, a product is 4 products and 2 sums, and a sum is 2.
    "complex product": Construct(
        function=product(),
        arguments=(COMPLEX, array(7, 8, dtype="complex64")),
        lowered=Figures(
            macs=4 * 6 * 7 * 8,
            flops=8 * 6 * 7 * 8,
            read=(42 + 56) * 8,
            written=6 * 8 * 8,
            xla_flops=2 * 6 * 7 * 8,
        ),
    ),
    "complex arithmetic": Construct(
        function=lambda a, b: a * b + a,
        arguments=(COMPLEX, COMPLEX),
        lowered=Figures(
            flops=(6 + 2) * ELEMENTS,
            read=4 * ELEMENTS * 8,
            written=2 * ELEMENTS * 8,
            xla_flops=2 * ELEMENTS,
        ),
        optimized=Figures(
            flops=(6 + 2) * ELEMENTS,
            read=2 * ELEMENTS * 8,
            written=ELEMENTS * 8,
            xla_flops=2 * ELEMENTS,
        ),
    ),
    "parts of complex numbers": Construct(
        function=lambda a: jnp.real(a) * jnp.imag(a),
        arguments=(COMPLEX,),
        lowered=Figures(flops=3 * ELEMENTS, read=3 * ELEMENTS * 8, written=3 * ELEMENTS * 4),
        optimized=Figures(flops=3 * ELEMENTS, read=ELEMENTS * 8, written=ELEMENTS * 4),
    ),
    "integers": Construct(
        function=lambda a, b: (a + b) * a ^ b,
        arguments=(array(6, 7, dtype="int32"), array(6, 7, dtype="int32")),
        lowered=Figures(flops=3 * ELEMENTS, read=6 * ELEMENTS * 4, written=3 * ELEMENTS * 4),
        optimized=Figures(flops=3 * ELEMENTS, read=2 * ELEMENTS * 4, written=ELEMENTS * 4),
    ),
    "bits": Construct(
        function=lambda a: lax.population_count(a) + lax.clz(a),
        arguments=(array(6, 7, dtype="uint8"),),
        lowered=Figures(flops=3 * ELEMENTS, read=4 * ELEMENTS, written=3 * ELEMENTS),
        optimized=Figures(flops=3 * ELEMENTS, read=ELEMENTS, written=ELEMENTS),
    ),
    "truth values": Construct(
        function=lambda a, b: jnp.logical_and(a, jnp.logical_not(b)),
        arguments=(array(6, 7, dtype="bool"), array(6, 7, dtype="bool")),
        lowered=Figures(flops=2 * ELEMENTS, read=3 * ELEMENTS, written=2 * ELEMENTS),
        optimized=Figures(flops=2 * ELEMENTS, read=2 * ELEMENTS, written=ELEMENTS),
    ),
    "product of bytes into words": Construct(
        function=product(preferred_element_type=jnp.int32),
        arguments=(array(6, 7, dtype="int8"), array(7, 8, dtype="int8")),
        lowered=Figures(macs=336, flops=672, read=42 + 56, written=48 * 4),
    ),
    # This backend multiplies small floats as f32: both operands are converted.
    "product in eight bits": Construct(
        function=product(preferred_element_type=jnp.float32),
        arguments=(array(6, 8, dtype="float8_e4m3fn"), array(8, 8, dtype="float8_e4m3fn")),
        lowered=Figures(macs=384, flops=768, read=48 + 64, written=48 * 4),
        optimized=Figures(
            macs=384,
            flops=768 + 48 + 64,
            read=5 * (48 + 64),
            written=4 * (48 + 64) + 48 * 4,
        ),
    ),
    "product in bfloat16": Construct(
        function=product(),
        arguments=(array(6, 8, dtype="bfloat16"), array(8, 8, dtype="bfloat16")),
        lowered=Figures(macs=384, flops=768, read=2 * (48 + 64), written=2 * 48),
        # Some versions convert it to f32, and the result back.
        optimized=Figures(macs=384, flops=None),
    ),
}


@every(SORTS)
def test_sorts(construct: Construct, stage: str) -> None:
    check(construct, stage)


@every(TRANSFORMS)
def test_fourier_transforms(construct: Construct, stage: str) -> None:
    check(construct, stage)


@every(PREFIXES)
def test_prefix_sums(construct: Construct, stage: str) -> None:
    check(construct, stage)


@every(INDEXING)
def test_indexing(construct: Construct, stage: str) -> None:
    check(construct, stage)


@every(DTYPES)
def test_dtypes(construct: Construct, stage: str) -> None:
    check(construct, stage)


def test_exponentials_of_complex_numbers_are_four_of_real_ones() -> None:
    """Of the real part twice, lest half of it overflows; sine and cosine of the other."""
    for stage in STAGES:
        analysis = analysed(jnp.exp, COMPLEX, stage=stage)
        assert analysis.totals.transcendentals == 4 * ELEMENTS
        assert analysis.totals.flops == analysis.totals.xla_flops


@pytest.mark.parametrize("stage", STAGES)
def test_a_gather_itself_moves_rows_and_indices(stage: str) -> None:
    analysis = analysed(lambda x, i: x[i], *SCATTERED[:2], stage=stage)
    (gather,) = ops(analysis, "gather")
    if stage == "lowered":
        assert gather.bytes_read == 5 * ROW + 5 * 4
    assert gather.bytes_written == 5 * ROW
