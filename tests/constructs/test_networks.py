"""Transposed convolutions, pooling and random numbers, forward and backward, by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from tests.constructs.construct import STAGES, Construct, Figures, analysed, array, check, every

LAYOUT = ("NHWC", "HWIO", "NHWC")


def transposed(x: Any, w: Any) -> Any:
    return lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=LAYOUT)


def gradients(function: Any) -> Any:
    return jax.grad(lambda x, w: function(x, w).sum(), (0, 1))


# Each of 4 x 4 positions of 3 features meets every tap of 5 kernels. With 3 x 3 taps, one of the
# 12 pairs along an axis falls off the 8 positions that come out.
SMALL, LARGE = 4 * 4 * (2 * 2) * 3 * 5, 4 * 4 * (3 * 3) * 3 * 5
VALID = (4 * 3 - 1) ** 2 * 3 * 5

CONVOLUTIONS = {
    "transposed": Construct(
        function=transposed,
        arguments=(array(1, 4, 4, 3), array(2, 2, 3, 5)),
        lowered=Figures(macs=SMALL, flops=2 * SMALL, read=4 * (48 + 4 * 15), written=4 * 8 * 8 * 5),
    ),
    "transposed, overlapping": Construct(
        function=transposed,
        arguments=(array(1, 4, 4, 3), array(3, 3, 3, 5)),
        lowered=Figures(macs=LARGE, flops=2 * VALID, read=4 * (48 + 9 * 15), written=4 * 8 * 8 * 5),
    ),
    "gradients of transposed": Construct(
        function=gradients(transposed),
        arguments=(array(1, 4, 4, 3), array(3, 3, 3, 5)),
        lowered=Figures(macs=2 * LARGE, flops=2 * 2 * VALID),
    ),
}


def pool(first: float, combine: Any, size: int = 2) -> Any:
    window, strides = (1, size, size, 1), (1, 2, 2, 1)
    return lambda x: lax.reduce_window(x, first, combine, window, strides, "VALID")


def of_sum(function: Any) -> Any:
    return jax.grad(lambda x: function(x).sum())


IMAGES = array(2, 8, 8, 3)
PIXELS, POOLED = 2 * 8 * 8 * 3, 2 * 4 * 4 * 3

POOLING = {
    "maximum": Construct(
        function=pool(-jnp.inf, lax.max),
        arguments=(IMAGES,),
        # Of 4 pixels, 3 comparisons; the first value is read, too.
        lowered=Figures(flops=3 * POOLED, read=4 * PIXELS + 4, written=4 * POOLED),
    ),
    "maximum over windows that overlap": Construct(
        function=pool(-jnp.inf, lax.max, 3),
        arguments=(IMAGES,),
        lowered=Figures(flops=8 * 2 * 3 * 3 * 3, read=4 * PIXELS + 4, written=4 * 2 * 9 * 3),
    ),
    "average": Construct(
        function=lambda x: pool(0.0, lax.add)(x) / 4,
        arguments=(IMAGES,),
        lowered=Figures(flops=(3 + 1) * POOLED),
    ),
    "gradient of maximum": Construct(
        function=of_sum(pool(-jnp.inf, lax.max)),
        arguments=(IMAGES,),
        # Select the largest of 4 once more, and add the gradient to it.
        lowered=Figures(flops=(3 + 1) * POOLED),
        # This backend finds its position with a reduction over numbers and four indices: 11
        # operations for every two candidates. Then it scatters into zeros.
        optimized=Figures(flops=(3 * 11 + 1) * POOLED, untouched=2 * 4 * (PIXELS - POOLED)),
    ),
    "gradient of average": Construct(
        function=of_sum(lambda x: pool(0.0, lax.add)(x) / 4),
        arguments=(IMAGES,),
        # A sum over the windows of a dilated gradient; the division is done once for all.
        lowered=Figures(flops=3 * PIXELS),
    ),
}


@every(CONVOLUTIONS)
def test_transposed_convolutions(construct: Construct, stage: str) -> None:
    check(construct, stage)


@every(POOLING)
def test_pooling(construct: Construct, stage: str) -> None:
    check(construct, stage)


KEY = jax.eval_shape(lambda: jax.random.key(0))
N = 1024


def threefry(n: int) -> int:
    """Count the operations of `n` random words.

    A block for each word: 2 additions, 20 rounds of an addition, two shifts, an or and an xor, 5
    times 3 additions of keys; an xor of its two words; 3 operations on the counter that it is made
    of. Besides: 2 xors for the third key, and a loop of 5 iterations with 6 comparisons, and in
    each an addition for the loop, two for the round, 4 subtractions and a conversion.
    """
    return n * (2 + 20 * 5 + 5 * 3 + 1 + 3) + 2 + 6 + 5 * (1 + 2 + 4 + 1)


RANDOM = {
    "bits": (lambda key: jax.random.bits(key, (N,)), threefry(N), 0),
    # A shift, an or, a cast, a subtraction, a product, a sum, a maximum; the range once.
    "uniform": (lambda key: jax.random.uniform(key, (N,)), threefry(N) + 7 * N + 1, 0),
    "dropout": (
        lambda key: jax.random.bernoulli(key, 0.5, (N,)),
        threefry(N) + 8 * N + 1,
        0,
    ),
}


@pytest.mark.parametrize(("function", "flops", "transcendentals"), RANDOM.values(), ids=RANDOM)
def test_random_numbers(function: Any, flops: int, transcendentals: int) -> None:
    totals = analysed(function, KEY).totals
    assert (totals.flops, totals.transcendentals) == (flops, transcendentals)
    assert totals.xla_flops is not None
    assert totals.xla_flops < totals.flops / 3  # it counts one of five iterations


@pytest.mark.parametrize("stage", STAGES)
def test_normal_numbers_take_a_logarithm_and_a_root(stage: str) -> None:
    totals = analysed(lambda key: jax.random.normal(key, (N,)), KEY, stage=stage).totals
    assert totals.transcendentals == 2 * N
    assert not totals.lower_bound


def test_random_numbers_cost_their_rounds_after_optimisation() -> None:
    """XLA fuses, and computes some values in more than one kernel."""
    totals = analysed(lambda key: jax.random.bits(key, (N,)), KEY, stage="optimized").totals
    assert threefry(N) <= totals.flops < 2 * threefry(N)
    assert not totals.lower_bound


@pytest.mark.parametrize("stage", STAGES)
def test_random_numbers_that_the_device_makes(stage: str) -> None:
    key = jax.eval_shape(lambda: jax.random.key(0, impl="rbg"))
    totals = analysed(lambda key: jax.random.bits(key, (N,)), key, stage=stage).totals
    assert totals.flops > 0 if stage == "optimized" else totals.transcendentals >= N
    assert not totals.lower_bound
