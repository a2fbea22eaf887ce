"""The kernels of a module before optimisation, by a model of fusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import edgegraph as eg
from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.fuse import fused
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Module
from edgegraph.hlo.op_tree import OpTree
from models.cnn import small_cnn
from models.resnet import resnet18


def f32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


def kernels(function: Callable[..., Any], *args: Any) -> tuple[Module, list[list[str]]]:
    """Return the module, and the opcodes of each kernel but for what takes nothing."""
    program = eg.compile(function, *args, stage="lowered")
    module = decode(fused(program.serialized))
    nodes = [node for node in flatten(module) if node.opcode not in ("broadcast", "reshape")]
    found = [[op.opcode for op in kernel.leaves] for kernel in OpTree(nodes).kernels]
    free = {"constant", "parameter", "get-tuple-element", "tuple"}
    return module, [[op for op in each if op not in free] for each in found]


def test_a_network_moves_what_its_layers_read_and_write() -> None:
    # Values by hand: of each kernel the operands and the result. SmallCNN has two convolutions with
    # bias and relu, each before a pooling that halves the sides, and two dense layers.
    conv1, pool1 = 784 + 288 + 32 + 25_088, 25_088 + 6_272
    conv2, pool2 = 6_272 + 18_432 + 64 + 12_544, 12_544 + 3_136
    dense1, dense2 = 3_136 + 802_816 + 256 + 256, 256 + 2_560 + 10 + 10
    program = eg.compile(small_cnn(), target="device:rpi5")
    analysis = eg.analyze(program)
    moved = analysis.totals.bytes_read + analysis.totals.bytes_written
    assert moved == 4 * (conv1 + pool1 + conv2 + pool2 + dense1 + dense2)
    assert len(analysis.op_tree.kernels) == 6
    assert any("model of fusion" in note for note in analysis.notes)
    unfused = eg.compile(small_cnn(), stage="lowered").xla_cost["flops"]
    assert analysis.totals.flops == unfused


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda x, w: jnp.maximum(x @ w, 0.0) + x, [(8, 8), (8, 8)], [["dot", "maximum", "add"]]),
        # Two products never share a kernel: the second waits for the first.
        (lambda x, w: jnp.tanh(x @ w) @ w, [(8, 8), (8, 8)], [["dot", "tanh"], ["dot"]]),
        # A reduction computes what it adds up while it reads.
        (
            lambda x: (jnp.sum(jnp.exp(x)), jnp.max(jnp.exp(x))),
            [(64,)],
            [["exponential", "reduce"], ["exponential", "reduce"]],
        ),
        # A sum that all elements wait for is a kernel of its own.
        (
            lambda x: (lambda y: y / jnp.sum(y))(jnp.exp(x)),
            [(64,)],
            [["exponential"], ["reduce"], ["divide"]],
        ),
        # A sum over few is done for each element that reads it: nothing of all pairs is written.
        (
            lambda x: (lambda y: jnp.sum(y / jnp.sum(y * y, -1, keepdims=True), 1))(x[:, None] - x),
            [(64, 3)],
            [["subtract", "multiply", "reduce", "divide", "reduce"]],
        ),
        # A product reads its operand turned, but not computed.
        (lambda x, w: x @ w.T, [(8, 4), (8, 4)], [["transpose", "dot"]]),
        (lambda x, w: jnp.exp(x) @ w, [(8, 8), (8, 8)], [["exponential"], ["dot"]]),
        # Sorts stand alone, and reshapes alone are nothing.
        (lambda x: jnp.sort(x + 1.0), [(64,)], [["add"], ["sort"]]),
        (lambda x: x.reshape(8, 8) @ x.reshape(8, 8), [(64,)], [["dot"]]),
    ],
)
def test_what_shares_a_kernel(
    function: Callable[..., Any], shapes: list[tuple[int, ...]], expected: list[list[str]]
) -> None:
    _, found = kernels(function, *(f32(*shape) for shape in shapes))
    assert sorted(found) == sorted(expected)


def test_calls_are_inlined_with_their_names() -> None:
    module, found = kernels(lambda x: jax.nn.relu(jax.nn.relu(x) @ x), f32(8, 8))
    assert found == [["maximum"], ["dot", "maximum"]]
    instructions = [each for body in module.computations.values() for each in body.instructions]
    assert not [each for each in instructions if each.opcode == "call"]
    names = [each.op_name for each in instructions if each.opcode == "maximum"]
    assert all(name.startswith("jit(") and name.endswith("/max") for name in names)


def looped(x: jax.Array, w: jax.Array) -> jax.Array:
    def step(carry: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
        carry = lax.cond(carry[0] > 0, jnp.sin, jnp.cos, carry)
        return jnp.tanh(carry @ w + row), jnp.argmax(carry)

    last, places = lax.scan(step, x[0], x)
    return last + jnp.sum(places)


@pytest.mark.parametrize("name", ["loop", "network", "gradient"])
def test_xla_takes_it_and_counts_as_much(name: str) -> None:
    x, w = f32(4, 8), f32(8, 8)
    program = {
        "loop": lambda: eg.compile(looped, x, w, stage="lowered"),
        "network": lambda: eg.compile(resnet18(), stage="lowered"),
        "gradient": lambda: eg.compile(
            jax.grad(lambda w, x: jnp.sum(jax.nn.softmax(x @ w) ** 2)), w, x, stage="lowered"
        ),
    }[name]()
    before, after = xla.cost_analysis(program.serialized), fused(program.serialized)
    found = xla.cost_analysis(after)
    # What JAX left over that nothing reads is gone; a call's operations were counted once.
    assert found["flops"] == pytest.approx(before["flops"], rel=0.05)
    assert found["bytes accessed"] < before["bytes accessed"]
    products = Counter(
        each.opcode
        for module in (program.module, decode(after))
        for body in module.computations.values()
        for each in body.instructions
        if each.opcode in ("convolution", "dot", "reduce", "while")
    )
    assert all(count % 2 == 0 for count in products.values())
    nodes = flatten(decode(after))
    assert len({node.name for node in nodes}) == len(nodes)
