"""Operations that are others than XLA's, by the formulas that `docs/costs.md` states."""

from __future__ import annotations

import jax.numpy as jnp
import pytest
from jax import lax

from edgegraph import xla
from tests.constructs.construct import analysed, array
from tests.cost.test_price import priced


def test_the_passes_of_a_transform_add_up() -> None:
    cube = analysed(jnp.fft.fftn, array(64, 64, 64, dtype="complex64")).totals
    assert cube.flops == 8 * 64**3 * (6 + 6 + 6)
    assert cube.xla_flops == 8 * 64**3 * 6 * 6 * 6 == 452_984_832
    # Along an axis of one element there is nothing to do; XLA multiplies by 0 passes.
    assert analysed(jnp.fft.fft2, array(1, 32, dtype="complex64")).totals.flops == 8 * 32 * 5


def test_a_transform_of_real_numbers_costs_what_its_inverse_does() -> None:
    there = analysed(jnp.fft.rfft, array(3, 1024)).totals
    back = analysed(lambda x: jnp.fft.irfft(x, 1024), array(3, 513, dtype="complex64")).totals
    assert there.flops == back.flops == 8 * 3 * 513 * 10
    assert there.xla_flops == 8 * 3 * 1024 * 10
    assert back.xla_flops == back.flops
    # Along the other axis too, only half of the columns are transformed.
    assert analysed(jnp.fft.rfft2, array(64, 32)).totals.flops == 8 * 64 * 17 * (5 + 6)


@pytest.mark.parametrize(
    ("function", "shape", "flops"),
    [
        (jnp.cumsum, (65_536,), 65_535),
        (jnp.cumprod, (100_000,), 99_999),  # XLA's n squared is rounded to float32
        (lambda x: lax.cummax(x, axis=1, reverse=True), (8, 33), 8 * 32),
        (lambda x: jnp.cumsum(jnp.cumsum(x, axis=0), axis=1), (8, 32), 7 * 32 + 31 * 8),
        (lambda x: jnp.cumsum(x[:, None] * x), (16,), 256 + 255),
    ],
)
def test_a_cumulative_sum_is_a_prefix_scan_before_optimisation(
    function: object, shape: tuple[int, ...], flops: int
) -> None:
    assert callable(function)
    assert analysed(function, array(*shape)).totals.flops == flops


def test_what_contains_a_cumulative_sum_is_linear_before_optimisation() -> None:
    def router(scores: jnp.ndarray) -> jnp.ndarray:
        """The place of each token in the queue of its expert, as of a mixture of experts."""
        experts = jnp.argmax(scores, axis=-1)
        chosen = (experts[:, None] == jnp.arange(scores.shape[1])).astype(jnp.int32)
        return jnp.cumsum(chosen, axis=0) * chosen

    n, each = 4096, 8
    assert (analysed(router, array(n, each)).totals.flops or 0) < 40 * n * each
    found = analysed(lambda x: jnp.nonzero(x > 0, size=n, fill_value=0)[0], array(n)).totals
    assert (found.flops or 0) < 60 * n * 12  # a search in it takes log2 n steps
    found = analysed(lambda x: jnp.unique(x, size=n), array(n)).totals
    assert (found.flops or 0) < 60 * n * 12


def test_windows_of_a_table_of_sums_are_scans_along_both_axes() -> None:
    text = """HloModule m
    f { a = f32[] parameter(0)  b = f32[] parameter(1)  ROOT c = f32[] add(a, b) }
    ENTRY e {
      x = f32[3,4,6] parameter(0)
      zero = f32[] constant(0)
      all = f32[3,4,6] reduce-window(x, zero), window={size=1x4x6 pad=0_0x3_0x5_0}, to_apply=f
      near = f32[3,4,6] reduce-window(x, zero), window={size=1x3x1 pad=0_0x2_0x0_0}, to_apply=f
      ROOT both = (f32[3,4,6], f32[3,4,6]) tuple(all, near)
    }"""
    _, costs = priced(xla.parse_text(text))
    assert costs["all"].cost.flops == 3 * (6 * 3 + 4 * 5)
    assert costs["near"].cost.flops == 72 * 2


def test_a_scheduled_window_is_computed_as_it_stands() -> None:
    text = """HloModule m, is_scheduled=true
    f { a = f32[] parameter(0)  b = f32[] parameter(1)  ROOT c = f32[] add(a, b) }
    ENTRY e {
      x = f32[16] parameter(0)
      zero = f32[] constant(0)
      ROOT all = f32[16] reduce-window(x, zero), window={size=16 pad=15_0}, to_apply=f
    }"""
    _, costs = priced(xla.parse_text(text))
    assert costs["all"].cost.flops == 16 * 15


def test_a_product_of_complex_numbers_is_four_of_real_ones() -> None:
    n = 32
    for stage in ("lowered", "optimized"):
        x = array(n, n, dtype="complex64")
        totals = analysed(lambda a, b: a @ b, x, x, stage=stage).totals
        assert (totals.macs, totals.flops) == (4 * n**3, 8 * n**3)


def test_real_operations_of_complex_arithmetic() -> None:
    text = """HloModule m
    f { a = c64[] parameter(0)  b = c64[] parameter(1)  ROOT c = c64[] add(a, b) }
    g { a = c64[] parameter(0)  b = c64[] parameter(1)  ROOT c = c64[] multiply(a, b) }
    ENTRY e {
      x = c64[10] parameter(0)
      one = c64[] constant((1, 0))
      sum = c64[10] add(x, x)
      product = c64[10] multiply(x, sum)
      quotient = c64[10] divide(product, x)
      minus = c64[10] negate(quotient)
      total = c64[] reduce(minus, one), dimensions={0}, to_apply=f
      all = c64[] reduce(minus, one), dimensions={0}, to_apply=g
      ROOT both = (c64[], c64[]) tuple(total, all)
    }"""
    _, costs = priced(xla.parse_text(text))
    flops = {name: costs[name].cost.flops for name in ("sum", "product", "quotient", "minus")}
    # (a + ib) / (c + id): 6 products, 3 sums and 2 divisions.
    assert flops == {"sum": 20, "product": 60, "quotient": 110, "minus": 20}
    assert (costs["total"].cost.flops, costs["all"].cost.flops) == (9 * 2, 9 * 6)


def test_selecting_the_largest_costs_the_same_before_and_after() -> None:
    for stage in ("lowered", "optimized"):
        assert analysed(
            lambda x: lax.top_k(x, 5)[0], array(64, 1000), stage=stage
        ).totals.flops == (64_000 * 3)
