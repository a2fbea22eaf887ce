from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from edgegraph.rewrites.rule import rules
from tests.rewrites.plain import applying, check, drawn, forced


def dot(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((1,), (0,)), ((), ())))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sums_in_f32_are_no_further_from_the_truth(dtype: str) -> None:
    a = drawn(8, 512).astype(dtype)
    b = drawn(512, 16, seed=1).astype(dtype)
    truth = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    plain = np.asarray(jax.jit(dot)(a, b), np.float64)
    form = np.asarray(jax.jit(forced(dot, "dot-sums-in-f32", a, b))(a, b), np.float64)
    assert np.abs(form - truth).max() <= np.abs(plain - truth).max() * 1.01
    check(dot, "dot-sums-in-f32", a, b)


def test_a_row_of_a_tile() -> None:
    a = drawn(1, 512).astype("bfloat16")
    b = drawn(512, 256, seed=1).astype("bfloat16")
    check(dot, "row-padded-to-tile", a, b)
    # An AMX tile has 16 rows (Intel 64 and IA-32 Architectures Software Developer's Manual, 18.2).
    assert "16,512" in str(jax.make_jaxpr(forced(dot, "row-padded-to-tile", a, b))(a, b))


def test_whole_numbers_stay_equal() -> None:
    a = jnp.arange(512, dtype=jnp.int8)[None]
    b = (jnp.arange(512 * 256) % 7).astype(jnp.int8).reshape(512, 256)

    def product(a: Array, b: Array) -> Array:
        return lax.dot_general(a, b, (((1,), (0,)), ((), ())), preferred_element_type=jnp.int32)

    expected = np.asarray(a, np.int64) @ np.asarray(b, np.int64)
    found = jax.jit(forced(product, "row-padded-to-tile", a, b))(a, b)
    np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("ij,jk->ik", (1, 512), (512, 256)),
        ("ij,kj->ik", (1, 512), (256, 512)),
        ("j,jk->k", (512,), (512, 256)),
        ("bhid,bhjd->bhij", (2, 3, 1, 64), (2, 3, 32, 64)),
        ("bhid,bjhd->bhij", (2, 3, 1, 64), (2, 32, 3, 64)),
    ],
)
def test_swapped_operands(text: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a = drawn(*left)
    b = drawn(*right, seed=1)

    def product(a: Array, b: Array) -> Array:
        return lax.mul(jnp.einsum(text, a, b), 2.0)

    check(product, "dot-swapped", a, b)
    check(jax.grad(lambda a, b: product(a, b).sum()), "dot-swapped", a, b)


def test_rounded_operands() -> None:
    a = drawn(64, 256)
    b = drawn(256, 64, seed=1)
    truth = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    form = np.asarray(jax.jit(forced(dot, "dot-in-bf16", a, b))(a, b), np.float64)
    # Of 256 products of numbers near 1, each off by at most 2 ** -8 of itself.
    assert 1e-5 < np.abs(form - truth).max() < 256**0.5 * 2**-8 * 8
    assert rules()["dot-in-bf16"].exactness == "lower precision"


def test_what_is_asked_to_be_precise_is_not_rounded() -> None:
    def precise(a: Array, b: Array) -> Array:
        return lax.dot(a, b, precision=lax.Precision.HIGHEST)

    assert not applying(precise, jnp.ones((64, 256)), jnp.ones((256, 64)))


def test_f32_and_batched_products_do_not_match() -> None:
    found = set(applying(dot, jnp.ones((1, 512)), jnp.ones((512, 256))))
    assert found == {"dot-swapped", "matrix-transposed", "row-in-bf16", "dense-in-int8"}
    rows = jnp.ones((4, 1, 512), jnp.bfloat16)
    batched = applying(
        lambda a, b: jnp.einsum("nij,njk->nik", a, b), rows, jnp.ones((4, 512, 256), jnp.bfloat16)
    )
    assert "row-padded-to-tile" not in batched


def test_a_row_in_bf16() -> None:
    a = drawn(1, 512)
    b = drawn(512, 256, seed=1)
    rounded = (np.asarray(each.astype("bfloat16"), np.float64) for each in (a, b))
    expected = np.matmul(*rounded)
    found = jax.jit(forced(dot, "row-in-bf16", a, b))(a, b)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert "row-in-bf16" not in applying(dot, jnp.ones((2, 512)), b)


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("ij,jk->ik", (1, 64), (64, 256)),
        ("ij,kj->ik", (24, 64), (256, 64)),
        ("aij,jkl->aikl", (2, 3, 64), (64, 8, 16)),
    ],
)
def test_whole_numbers_of_8_bits_with_scales(
    text: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    a = drawn(*left) * 3.0
    b = drawn(*right, seed=1).at[0].set(0.0)

    def product(a: Array, b: Array) -> Array:
        return lax.mul(jnp.einsum(text, a, b), 1.0)

    truth = np.einsum(text, np.asarray(a, np.float64), np.asarray(b, np.float64))
    found = np.asarray(jax.jit(forced(product, "dense-in-int8", a, b))(a, b), np.float64)
    # Each operand is off by half a step of max / 127; 64 products of them add up at random.
    step = float(jnp.max(jnp.abs(a)) * jnp.max(jnp.abs(b))) / 127
    assert 1e-4 < np.abs(found - truth).max() < 8 * step * 2
    assert found.shape == truth.shape


def test_whole_numbers_times_powers_of_two_are_exact_in_int8() -> None:
    a = jnp.arange(-127.0, 128.0).reshape(1, 255) * 0.5
    b = jnp.tile(jnp.arange(-127.0, 128.0)[:, None], (1, 17)) * jnp.exp2(jnp.arange(17.0))
    found = jax.jit(forced(dot, "dense-in-int8", a, b))(a, b)
    np.testing.assert_allclose(found, np.asarray(a, np.float64) @ np.asarray(b), rtol=1e-6)


def test_precise_and_batched_products_are_not_quantised() -> None:
    a, b = jnp.ones((4, 8, 64)), jnp.ones((4, 64, 64))
    assert "dense-in-int8" not in applying(lambda a, b: jnp.einsum("nij,njk->nik", a, b), a, b)
    asked = lax.Precision.HIGHEST
    assert not applying(lambda a, b: lax.dot(a, b, precision=asked), a[0], b[0])


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("bij,bjk->bik", (64, 4, 3), (64, 3, 2)),
        ("abij,abkj->abik", (8, 8, 2, 2), (8, 8, 2, 2)),
        ("bj,bj->b", (64, 5), (64, 5)),
        ("jbi,bkj->bik", (3, 64, 2), (64, 8, 3)),
        ("bijk,bkjl->bil", (64, 2, 2, 2), (64, 2, 2, 8)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_products(
    text: str, left: tuple[int, ...], right: tuple[int, ...], dtype: str
) -> None:
    with jax.enable_x64(dtype == "float64"):
        a = drawn(*left, dtype=dtype)
        b = drawn(*right, seed=1, dtype=dtype)
        check(partial(jnp.einsum, text), "small-products-as-sums", a, b)


def test_small_products_keep_nan_in_their_matrix() -> None:
    a = jnp.ones((64, 2, 2)).at[3, 0, 1].set(jnp.nan).at[4, 1, 1].set(jnp.inf)
    b = jnp.ones((64, 2, 2)).at[4, 1, 0].set(0.0)
    found = jax.jit(forced(jnp.matmul, "small-products-as-sums", a, b))(a, b)
    # An infinity times 0 is NaN, times 1 it stays.
    assert np.isnan(found[3]).tolist() == [[True, True], [False, False]]
    np.testing.assert_array_equal(found[4], [[1, 2], [np.nan, np.inf]])
    assert np.isfinite(found[5:]).all()


def test_large_or_few_products_are_left_alone() -> None:
    for shape in ((64, 9, 4), (64, 4, 9), (63, 4, 4)):
        a = jnp.ones(shape)
        assert "small-products-as-sums" not in applying(jnp.matmul, a, a.mT)


def test_a_matrix_by_columns() -> None:
    a = drawn(1, 512)
    b = drawn(512, 256, seed=1)
    check(dot, "matrix-transposed", a, b)
    check(jax.grad(lambda a, b: dot(a, b).sum()), "matrix-transposed", a, b)
    assert "matrix-transposed" not in applying(dot, jnp.ones((2, 512)), b)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("shapes", [((5, 300), (300, 7)), ((2, 5, 9), (2, 9, 3)), ((9,), (9, 4))])
def test_narrow_integers_wrap_around_as_plain(
    dtype: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    seed = np.random.default_rng(0)
    a, b = (seed.integers(0, 1 << 16, shape).astype(dtype) for shape in shapes)
    if dtype == "bool":
        a, b = (seed.random(shape) < 0.1 for shape in shapes)
    check(jnp.matmul, "narrow-dot-by-wide-sums", a, b, equal=True)
    np.testing.assert_array_equal(
        forced(jnp.matmul, "narrow-dot-by-wide-sums", a, b)(a, b), np.matmul(a, b)
    )


def test_wide_sums_are_left_alone() -> None:
    a = jnp.ones((8, 8), jnp.int8)
    wide = partial(jax.lax.dot, preferred_element_type=jnp.int32)
    assert "narrow-dot-by-wide-sums" not in applying(wide, a, a)
    for dtype in ("int32", "float32"):
        assert "narrow-dot-by-wide-sums" not in applying(jnp.matmul, *[a.astype(dtype)] * 2)
