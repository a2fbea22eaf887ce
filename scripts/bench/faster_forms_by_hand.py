"""Forms of several operations, which no rule has: tried by hand beside what JAX makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from scripts.bench.faster_forms_cases import Case, Function, by_shapes, f32

Array = jax.Array


def case(section: str, label: str, function: Function, *arguments: Any, **forms: Function) -> Case:
    """Return a case with the forms to hold it against."""
    return Case(section=section, label=label, function=function, arguments=arguments, by_hand=forms)


def attention(q: Array, k: Array, v: Array) -> Array:
    """Attend with heads in the second dimension."""
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores), v)


def scale_first(q: Array, k: Array, v: Array) -> Array:
    """Scale the queries, and divide after the second product."""
    scores = jnp.einsum("bhqd,bhkd->bhqk", q * q.shape[-1] ** -0.5, k)
    weights = jnp.exp(scores - scores.max(-1, keepdims=True))
    found = jnp.einsum("bhqk,bhkd->bhqd", weights, v)
    return found / weights.sum(-1, keepdims=True)


def query_blocks(q: Array, k: Array, v: Array) -> Array:
    """Attend 64 queries at a time, so that scores stay in the cache."""
    blocks = jnp.moveaxis(q.reshape(*q.shape[:2], -1, 64, q.shape[-1]), 2, 0)
    found = lax.map(lambda block: attention(block, k, v), blocks)
    return jnp.moveaxis(found, 0, 2).reshape(q.shape)


def heads_as_loop(q: Array, k: Array, v: Array) -> Array:
    """Attend one head after the other."""
    heads = (jnp.moveaxis(each, 1, 0)[:, :, None] for each in (q, k, v))
    return jnp.moveaxis(lax.map(lambda one: attention(*one), tuple(heads)), 0, 1)[:, :, 0]


def library(q: Array, k: Array, v: Array) -> Array:
    """Attend as jax.nn has it."""
    q, k, v = (jnp.swapaxes(each, 1, 2) for each in (q, k, v))
    return jnp.swapaxes(jax.nn.dot_product_attention(q, k, v), 1, 2)


def attentions() -> Iterator[Case]:
    """Yield attention of the zoo's transformers, and longer."""
    forms = {
        "scaled first, divided last": scale_first, "64 queries at a time": query_blocks,
        "head by head": heads_as_loop, "jax.nn.dot_product_attention": library,
    }  # fmt: skip
    for heads, length in ((8, 256), (12, 192), (8, 1024)):
        shape = f32(1, heads, length, 64)
        label = f"1x{heads}x{length}x64"
        yield case("attention", label, attention, shape, shape, shape, **forms)


def normalised(x: Array) -> Array:
    """Layer norm, as nnx computes it without fast variance."""
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(jnp.square(x - mean).mean(-1, keepdims=True) + 1e-6)


def mean_by_dot(x: Array) -> Array:
    """Take means by a product with ones."""
    ones = jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)
    mean = jnp.matmul(x, ones, precision="highest")
    squares = jnp.matmul(jnp.square(x - mean), ones, precision="highest")
    return (x - mean) * lax.rsqrt(squares + 1e-6)


def one_pass(x: Array) -> Array:
    """Take the variance as the mean of squares less the square of the mean."""
    mean, squares = x.mean(-1, keepdims=True), jnp.square(x).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(squares - jnp.square(mean) + 1e-6)


def softmax_by_dot(x: Array) -> Array:
    """Take the sum by a product with ones."""
    raised = jnp.exp(x - x.max(-1, keepdims=True))
    return raised / jnp.matmul(raised, jnp.ones((x.shape[-1], 1), x.dtype), precision="highest")


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance of every channel."""
    return x.mean((0, 1, 2)), x.var((0, 1, 2))


def statistics_by_dot(x: Array) -> tuple[Array, Array]:
    """Take both by products with ones."""
    rows = x.reshape(-1, x.shape[-1])
    ones = jnp.full((1, rows.shape[0]), 1 / rows.shape[0], x.dtype)
    mean = jnp.matmul(ones, rows, precision="highest")
    return mean[0], jnp.matmul(ones, jnp.square(rows - mean), precision="highest")[0]


def norms() -> Iterator[Case]:
    """Yield norms and softmax."""
    rows = ((256, 512), (1, 768), (1576, 768))
    forms = {"means by dot": mean_by_dot, "one pass": one_pass}
    yield from by_shapes("layer norm", normalised, rows, **forms)
    yield from by_shapes(
        "softmax", jax.nn.softmax, (*rows, (64, 50257)), **{"sum by dot": softmax_by_dot}
    )
    yield from by_shapes(
        "batch norm statistics", batch_statistics, ((8, 56, 56, 64), (8, 7, 7, 960)),
        **{"by dot": statistics_by_dot},
    )  # fmt: skip
    yield from by_shapes(
        "global mean", lambda x: x.mean((1, 2)), ((1, 7, 7, 1280), (8, 56, 56, 144)),
        **{"in two steps": lambda x: x.mean(1).mean(1)},
    )  # fmt: skip


def activations() -> Iterator[Case]:
    """Yield functions of single elements."""
    shape = ((256, 2048), (1, 56, 56, 144))
    half = 0.5
    for section, plain, forms in (
        ("logistic", jax.nn.sigmoid, {
            "by tanh": lambda x: half + half * jnp.tanh(half * x),
            "by exp": lambda x: 1 / (1 + jnp.exp(-x)),
        }),
        ("silu", jax.nn.silu, {"by tanh": lambda x: half * x * (1 + jnp.tanh(half * x))}),
        ("tanh", jnp.tanh, {"by exp": lambda x: 1 - 2 / (jnp.exp(2 * x) + 1)}),
        ("gelu, tanh", jax.nn.gelu, {
            "by logistic": lambda x: x * jax.nn.sigmoid(1.5957691216 * (x + 0.044715 * x * x * x)),
        }),
        ("gelu, erf", lambda x: jax.nn.gelu(x, approximate=False), {
            "as x - x erfc / 2": lambda x: x - half * x * lax.erfc(x * half**half),
        }),
        ("softplus", jax.nn.softplus, {
            "by log1p": lambda x: jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x))),
        }),
        ("exp2", jnp.exp2, {"by exp": lambda x: jnp.exp(x * 0.6931471805599453)}),
        ("log1p", lambda x: jnp.log1p(jnp.abs(x)), {"by log": lambda x: jnp.log(1 + jnp.abs(x))}),
        ("expm1", jnp.expm1, {"by tanh": lambda x: (jnp.exp(x) + 1) * jnp.tanh(half * x)}),
        ("sinh", jnp.sinh, {"by expm1": lambda x: half * (jnp.expm1(x) - jnp.expm1(-x))}),
        ("arcsinh", jnp.arcsinh, {
            "by log": lambda x: jnp.sign(x) * jnp.log(jnp.abs(x) + jnp.sqrt(x * x + 1)),
        }),
    ):  # fmt: skip
        yield from by_shapes(section, plain, shape[:1], **forms)


def fourier_by_dot(x: Array) -> Array:
    """Multiply with the matrix of the transform."""
    n = x.shape[-1]
    turns = -2 * jnp.pi * ((jnp.arange(n)[:, None] * jnp.arange(n // 2 + 1)) % n) / n
    found: Array = lax.complex(x @ jnp.cos(turns), x @ jnp.sin(turns))
    return found


def signals() -> Iterator[Case]:
    """Yield transforms, resizing, dropout."""
    yield from by_shapes(
        "rfft", jnp.fft.rfft, ((1024, 64), (256, 512), (64, 1000)),
        **{"as dots": fourier_by_dot},
    )  # fmt: skip
    yield from by_shapes(
        "fft of real numbers", jnp.fft.fft, ((256, 512), (16, 16384)), **{"by rfft": _mirrored}
    )

    def resized(x: Array, method: str) -> Array:
        batch, height, width, channels = x.shape
        found: Array = jax.image.resize(x, (batch, 2 * height, 2 * width, channels), method)
        return found

    maps = ((1, 28, 28, 128), (1, 112, 112, 32))
    yield from by_shapes(
        "resize x2, nearest", lambda x: resized(x, "nearest"), maps,
        **{"repeat": lambda x: jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), "broadcast": _doubled},
    )  # fmt: skip

    def dropped(x: Array) -> Array:
        kept = jax.random.bernoulli(jax.random.key(0), 0.9, x.shape)
        return jnp.where(kept, x / 0.9, 0)

    def by_bits(x: Array) -> Array:
        bits = jax.random.bits(jax.random.key(0), x.shape)
        return jnp.where(bits >> 9 < int(0.9 * (1 << 23)) + 1, x / 0.9, 0)

    yield from by_shapes(
        "dropout", dropped, ((256, 512), (64, 4096)), **{"compared as integers": by_bits}
    )


def _mirrored(x: Array) -> Array:
    half = jnp.fft.rfft(x)
    return jnp.concatenate([half, jnp.conj(half[..., 1:-1])[..., ::-1]], -1)


def _doubled(x: Array) -> Array:
    batch, height, width, channels = x.shape
    shape = (batch, height, 2, width, 2, channels)
    found: Array = lax.broadcast_in_dim(x, shape, (0, 1, 3, 5))
    return found.reshape(batch, 2 * height, 2 * width, channels)


def adam(parameter: Array, gradient: Array, mean: Array, square: Array) -> tuple[Array, ...]:
    """Update one array."""
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient * gradient
    return parameter - 1e-3 * mean / (jnp.sqrt(jnp.abs(square)) + 1e-8), mean, square


def updates() -> Iterator[Case]:
    """Yield Adam over the arrays of a tree, one by one and as one vector."""

    def one_by_one(*trees: list[Array]) -> list[tuple[Array, ...]]:
        return [adam(*each) for each in zip(*trees, strict=True)]

    def as_one(*trees: list[Array]) -> list[tuple[Array, ...]]:
        flat = adam(*(jnp.concatenate([leaf.ravel() for leaf in tree]) for tree in trees))
        found, start = [], 0
        for leaf in trees[0]:
            parts = (each[start : start + leaf.size].reshape(leaf.shape) for each in flat)
            found.append(tuple(parts))
            start += leaf.size
        return found

    for label, shapes in (
        ("160 arrays of 64", [(64,)] * 160),
        ("60 arrays of 512x64 and 64", [(512, 64), (64,)] * 30),
        ("20 arrays of 1024x1024", [(1024, 1024)] * 20),
    ):
        tree = [f32(*shape) for shape in shapes]
        yield case("Adam", label, one_by_one, *[tree] * 4, **{"as one vector": as_one})


def small_matrices() -> Iterator[Case]:
    """Yield linear algebra of many small matrices."""

    def definite(a: Array) -> Array:
        return a @ a.mT + 4 * jnp.eye(a.shape[-1])

    yield case(
        "batched inverse", "4096 of 3x3", lambda a: jnp.linalg.inv(definite(a)), f32(4096, 3, 3),
        **{"by cofactors": lambda a: _inverse(definite(a))},
    )  # fmt: skip
    yield case(
        "batched determinant", "4096 of 2x2", lambda a: jnp.linalg.det(definite(a)),
        f32(4096, 2, 2), **{"by definition": lambda a: _determinant(definite(a))},
    )  # fmt: skip


def _determinant(a: Array) -> Array:
    return a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]


def _inverse(a: Array) -> Array:
    """Invert 3x3; its error grows with the square of the condition."""
    x, y, z = (a[..., row, :] for row in range(3))
    columns = jnp.stack([jnp.cross(y, z), jnp.cross(z, x), jnp.cross(x, y)], -1)
    return columns / jnp.sum(x * columns[..., 0], -1)[..., None, None]


def recomputed() -> Iterator[Case]:
    """Yield gradients of layers that are computed again, and without that."""

    def gradient(layer: Function) -> Function:
        def total(ws: list[Array], x: Array) -> Array:
            for w in ws:
                x = layer(w, x)
            return jnp.sum(jnp.square(x))

        return jax.grad(total)

    def layer(w: Array, x: Array) -> Array:
        return jnp.tanh(jax.nn.gelu(x @ w))

    for depth, width, batch in ((8, 256, 64), (4, 1024, 256)):
        label = f"{depth} layers of {width}, batch {batch}"
        ws = [f32(width, width)] * depth
        yield case(
            "gradient with remat", label, gradient(jax.checkpoint(layer)), ws, f32(batch, width),
            **{"without, 1.6 times the temporaries": gradient(layer)},
        )  # fmt: skip


def selections() -> Iterator[Case]:
    """Yield the place of the largest."""

    def by_equality(x: Array) -> Array:
        largest = x.max(-1, keepdims=True)
        places = lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
        return jnp.where((x == largest) | (x != x), places, x.shape[-1]).min(-1)

    yield from by_shapes(
        "argmax", lambda x: jnp.argmax(x, -1), ((1, 50257), (64, 1000), (1024, 4096)),
        **{"first that equals the maximum": by_equality},
    )  # fmt: skip


def by_hand() -> Iterator[Case]:
    """Yield all of them."""
    for each in (
        attentions, norms, activations, signals, updates, small_matrices, recomputed, selections,
    ):  # fmt: skip
        yield from each()
