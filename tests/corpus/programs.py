"""The JAX programs that the corpus is made of: one function each, small in every dimension."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from tests.corpus.networks import Block, Network, Perceptron, Stack, of_module, train_step

DEVICES = 4
"""How many host devices the programs with collectives run on."""

F32, BF16, S8, S32 = jnp.float32, jnp.bfloat16, jnp.int8, jnp.int32

Made = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its abstract arguments."""

PROGRAMS: dict[str, Callable[[], Made]] = {}
"""By name, in the order in which they stand here."""


def program(make: Callable[[], Made]) -> Callable[[], Made]:
    """Add a program under its function's name."""
    PROGRAMS[make.__name__] = make
    return make


def array(*dimensions: int, dtype: Any = F32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, dtype)


@program
def identity() -> Made:
    return (lambda x: x), (array(4),)


@program
def constant() -> Made:
    return (lambda: jnp.float32(3.0)), ()


@program
def several_results() -> Made:
    return (lambda x: {"a": (x, x + 1), "b": [x.sum(), {"c": x.T}]}), (array(3, 5),)


@program
def cnn() -> Made:
    network = Network()
    variables, arguments = of_module(network, array(2, 16, 16, 3))
    return network.apply, (variables, *arguments)


@program
def cnn_train_step() -> Made:
    return train_step(Network(train=True), optax.sgd(0.1, momentum=0.9), array(2, 16, 16, 3))


@program
def transformer() -> Made:
    block = Block()
    variables, arguments = of_module(block, array(2, 4, 8))
    return (lambda v, x: block.apply(v, x)), (variables, *arguments)


@program
def scanned_transformer_train_step() -> Made:
    return train_step(Stack(3), optax.adamw(1e-3), array(2, 4, 8))


@program
def remat_gradient() -> Made:
    block = nn.remat(Block)()
    variables, arguments = of_module(block, array(2, 4, 8))

    def total(variables: Any, x: Any) -> Any:
        out: Any = block.apply(variables, x)
        return out[0].sum()

    return jax.grad(total), (variables, *arguments)


@program
def recurrent() -> Made:
    network = nn.RNN(nn.LSTMCell(8))
    variables, arguments = of_module(network, array(2, 6, 4))
    return network.apply, (variables, *arguments)


@program
def nnx_perceptron() -> Made:
    definition, state = nnx.split(nnx.eval_shape(lambda: Perceptron(nnx.Rngs(0))))
    return (lambda state, x: nnx.merge(definition, state)(x)), (state, array(2, 8))


@program
def nested_scans() -> Made:
    def inner(carry: Any, w: Any) -> Any:
        return jnp.tanh(carry @ w), carry.sum()

    def run(x: Any, w: Any) -> Any:
        return lax.scan(lambda c, v: lax.scan(inner, c, v), x, w)

    return run, (array(2, 4), array(3, 5, 4, 4))


@program
def data_dependent_loop() -> Made:
    return (lambda x: lax.while_loop(lambda v: v.sum() < 9.0, lambda v: v * 1.5, x)), (array(8),)


@program
def sliced_loop() -> Made:
    def body(i: Any, x: Any) -> Any:
        row = lax.dynamic_slice(x, (i, 0), (1, 4))
        return lax.dynamic_update_slice(x, jnp.sin(row), (7 - i, 0))

    return (lambda x: lax.fori_loop(0, 8, body, x)), (array(8, 4),)


@program
def conditional() -> Made:
    def run(flag: Any, x: Any) -> Any:
        return lax.cond(flag, lambda v: v + 1.0, lambda v: jnp.sin(v @ v), x)

    return run, (array(dtype=jnp.bool_), array(8, 8))


@program
def switch_in_a_scan() -> Made:
    branches = (jnp.sin, lambda x: x @ x, lambda x: x)

    def run(which: Any, x: Any) -> Any:
        return lax.scan(lambda c, i: (lax.switch(i, branches, c), c[0]), x, which)

    return run, (array(5, dtype=S32), array(4, 4))


@program
def vmapped_conditional() -> Made:
    def run(flags: Any, x: Any) -> Any:
        return jax.vmap(lambda f, v: lax.cond(f, jnp.sin, jnp.cos, v))(flags, x)

    return run, (array(3, dtype=jnp.bool_), array(3, 4))


@program
def custom_gradient() -> Made:
    @jax.custom_vjp
    def clipped(x: Any) -> Any:
        return jnp.exp(x)

    clipped.defvjp(lambda x: (jnp.exp(x), x), lambda x, g: (jnp.clip(g * jnp.exp(x), -1, 1),))
    return jax.grad(lambda x: clipped(x @ x).sum()), (array(4, 4),)


@program
def sorts() -> Made:
    def run(x: Any) -> Any:
        values, indices = lax.top_k(x, 3)
        return lax.sort((x, -x), num_keys=1), values, indices, jnp.argmax(x, 1), jnp.median(x)

    return run, (array(4, 16),)


@program
def fft() -> Made:
    def run(x: Any) -> Any:
        return jnp.fft.irfft(jnp.fft.rfft(x) * 2), jnp.fft.fft2(x)

    return run, (array(8, 16),)


@program
def solves() -> Made:
    def run(a: Any, b: Any) -> Any:
        factor = jnp.linalg.cholesky(a @ a.T)
        return jax.scipy.linalg.solve_triangular(factor, b, lower=True), jnp.linalg.solve(a, b)

    return run, (array(6, 6), array(6, 3))


@program
def decompositions() -> Made:
    def run(a: Any) -> Any:
        return jnp.linalg.svd(a), jnp.linalg.qr(a), jnp.linalg.eigh(a + a.T)

    return run, (array(5, 5),)


@program
def gathers_and_scatters() -> Made:
    def run(x: Any, i: Any) -> Any:
        return x[i], x.at[i].add(1.0), jnp.take_along_axis(x, i[:, None], 1), x.at[i].max(x[0])

    return run, (array(9, 4), array(9, dtype=S32))


@program
def embedding_gradient() -> Made:
    def total(table: Any, tokens: Any) -> Any:
        return jax.nn.log_softmax(table[tokens] @ table.T).sum()

    return jax.grad(total), (array(16, 8), array(2, 5, dtype=S32))


@program
def pooling_gradient() -> Made:
    def total(x: Any) -> Any:
        highest = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        return highest.sum() + (nn.avg_pool(x, (2, 2), (2, 2)) ** 2).sum()

    return jax.grad(total), (array(1, 8, 8, 3),)


@program
def cumulative() -> Made:
    def run(x: Any) -> Any:
        return jnp.cumsum(x, 1), jnp.cumprod(x, 0), lax.associative_scan(jnp.maximum, x)

    return run, (array(4, 16),)


@program
def convolutions() -> Made:
    def run(x: Any, k: Any, depthwise: Any) -> Any:
        same = lax.conv_general_dilated(x, k, (1, 1), "SAME", rhs_dilation=(1, 2))
        grouped = lax.conv_general_dilated(x, depthwise, (2, 1), "VALID", feature_group_count=4)
        return (
            same,
            grouped,
            lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")),
        )

    return run, (array(2, 4, 9, 9), array(4, 4, 3, 3), array(8, 1, 3, 3))


@program
def convolution_gradients() -> Made:
    def total(x: Any, k: Any) -> Any:
        out = lax.conv_general_dilated(x, k, (2, 2), "SAME", feature_group_count=2)
        return (out**2).sum()

    return jax.grad(total, (0, 1)), (array(2, 4, 9, 9), array(6, 2, 3, 3))


@program
def einsums() -> Made:
    def run(a: Any, b: Any) -> Any:
        return jnp.einsum("bij,bkj->bik", a, b), jnp.einsum("bij,bij->", a, b), a[0] @ b[0, 0]

    return run, (array(3, 4, 6), array(3, 4, 6))


@program
def attention_gradient() -> Made:
    def total(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.dot_product_attention(q, k, v, is_causal=True).sum()

    return jax.grad(total, (0, 1, 2)), (array(1, 6, 2, 4),) * 3


@program
def small_dtypes() -> Made:
    def run(a: Any, b: Any, c: Any, d: Any) -> Any:
        product = lax.dot(a, b, preferred_element_type=S32)
        return product, lax.dot(c, c, preferred_element_type=F32), d.astype(jnp.int8) * 2

    return run, (
        array(8, 8, dtype=S8), array(8, 8, dtype=S8), array(8, 8, dtype=BF16),
        array(8, dtype=jnp.int4),
    )  # fmt: skip


@program
def eight_bit_floats() -> Made:
    def run(a: Any, b: Any) -> Any:
        return lax.dot(a, b, preferred_element_type=F32), a.astype(jnp.float8_e5m2)

    kind = jnp.float8_e4m3fn
    return run, (array(8, 16, dtype=kind), array(16, 4, dtype=kind))


@program
def complex_numbers() -> Made:
    def run(x: Any) -> Any:
        return jnp.exp(x) @ x, jnp.abs(x), jnp.conj(x).real

    return run, (array(4, 4, dtype=jnp.complex64),)


@program
def random_numbers() -> Made:
    def run(key: Any, x: Any) -> Any:
        kept = jax.random.bernoulli(jax.random.wrap_key_data(key), 0.9, x.shape)
        bits = lax.rng_bit_generator(jnp.concatenate([key, key]), (8,))
        return jnp.where(kept, x, 0), bits

    return run, (array(2, dtype=jnp.uint32), array(4, 8))


@program
def bits() -> Made:
    def run(x: Any) -> Any:
        return lax.population_count(x), lax.clz(x) << 2, lax.bitcast_convert_type(x, F32), x % 3

    return run, (array(8, dtype=jnp.uint32),)


@program
def shuffles() -> Made:
    def run(x: Any) -> Any:
        turned = jnp.flip(jnp.roll(x, 2, 0), 1).reshape(2, 12).T
        return lax.pad(turned, 0.0, ((1, 1, 1), (0, 2, 0))), jnp.concatenate([x, x]), jnp.tile(x, 2)

    return run, (array(4, 6),)


@program
def image_resize() -> Made:
    return (lambda x: jax.image.resize(x, (1, 7, 7, 3), "bilinear")), (array(1, 4, 4, 3),)


@program
def host_callback() -> Made:
    def run(x: Any) -> Any:
        return jax.pure_callback(np.sin, array(4), x) + 1.0

    return run, (array(4),)


@program
def updated_in_place() -> Made:
    @partial(jax.jit, donate_argnums=0)
    def run(cache: Any, x: Any, i: Any) -> Any:
        return lax.dynamic_update_index_in_dim(cache, x, i, 0), x.sum()

    return run, (array(16, 4), array(4), array(dtype=S32))


def mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto, AxisType.Auto))


@program
def collectives() -> Made:
    def run(x: Any) -> Any:
        gathered = lax.all_gather(x, "x")
        turned = lax.all_to_all(x, "y", 1, 0, tiled=True)
        passed = lax.ppermute(x, "x", [(0, 1), (1, 0)])
        part = lax.psum_scatter(x, "y", scatter_dimension=1, tiled=True)
        return lax.psum(gathered.sum(0) + passed, ("x", "y")), turned, part

    outs = (P(None, None), P(("x", "y"), None), P("x", "y"))
    sharded = jax.shard_map(
        run, mesh=mesh(), in_specs=P(("x", "y"), None), out_specs=outs, check_vma=False
    )
    return sharded, (array(8, 4),)


@program
def partitioned_dense_gradient() -> Made:
    def total(w: Any, x: Any) -> Any:
        return jnp.tanh(x @ w).sum()

    def placed(dimensions: tuple[int, int], spec: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(dimensions, F32, sharding=NamedSharding(mesh(), spec))

    return jax.grad(total), (placed((16, 8), P(None, "y")), placed((8, 16), P("x", None)))
