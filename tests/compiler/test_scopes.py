"""Module names in the graph of NNX models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import edgegraph as eg
from edgegraph.hlo.op_name import parse_op_name
from tests.compiler.named_nets import (
    BLOCKS,
    Block,
    JittedBlock,
    LinenTied,
    Net,
    RematBlock,
    SuperBlock,
    Tied,
    X,
    jax_jitted,
    jaxpr_layers,
    layers,
    nnx_jitted,
    path_attributes,
    traced_layers,
    workload,
)
from tests.workload.nets import INPUT_SHAPE, Classifier, LinenClassifier


@pytest.mark.parametrize("block", [Block, JittedBlock, RematBlock, SuperBlock])
def test_list_items(block: type[Block]) -> None:
    assert layers(workload(lambda rngs: Net(rngs, block))) == BLOCKS


@pytest.mark.parametrize(
    "apply",
    [
        nnx_jitted,
        jax_jitted,
        nnx.remat(lambda block, x: block(x)),
        jax.checkpoint(lambda block, x: block(x)),
        lambda block, x: nnx.remat(Block.__call__)(block, x),
        lambda block, x: nnx.cond(x.sum() > 0, lambda b, x: b(x), lambda b, x: b(x), block, x),
        lambda block, x: nnx.vmap(lambda b, x: b(x), in_axes=(None, 0))(block, x),
    ],
    ids=["nnx.jit", "jax.jit", "nnx.remat", "jax.checkpoint", "unbound", "nnx.cond", "nnx.vmap"],
)
def test_modules_that_a_transformation_made_anew(apply: Callable[..., Any]) -> None:
    assert layers(workload(lambda rngs: Net(rngs, apply=apply))) == BLOCKS


def test_scanned_layers() -> None:
    class Stack(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            make: Any = nnx.split_rngs(splits=3)(nnx.vmap(Block, in_axes=0, out_axes=0))
            self.layers = make(rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            scan: Any = nnx.scan(
                lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry
            )
            out: jax.Array = scan(self.layers, x)
            return out

    found = layers(workload(Stack))
    assert found == {("Stack/layers/dense", "dot_general"), ("Stack/layers", "tanh")}


def test_layers_that_the_model_maps_over_at_once() -> None:
    class Stacked(Net):
        def __call__(self, x: jax.Array) -> jax.Array:
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.blocks)
            return jax.lax.scan(lambda x, block: (block(x), None), x, stacked)[0]

    found = layers(workload(Stacked))
    assert found == {("Stacked/Block/dense", "dot_general"), ("Stacked/Block", "tanh")}


def without_root(layers: set[tuple[str | None, str]]) -> set[tuple[str, str]]:
    return {((layer or "").partition("/")[2], primitive) for layer, primitive in layers}


def test_shared_modules_and_other_methods_are_named_as_in_linen() -> None:
    tokens = jnp.ones((2, 3), jnp.int32)
    nnx_layers = jaxpr_layers(workload(Tied, tokens))
    assert ("Tied/block/embed", "dot_general") in nnx_layers
    assert ("Tied/embed", "dot_general") in nnx_layers
    assert without_root(nnx_layers) == without_root(jaxpr_layers(workload(LinenTied(), tokens)))


def test_a_whole_network_is_named_as_in_linen() -> None:
    found = [
        {layer for layer, _ in without_root(jaxpr_layers(eg.Workload.from_flax(m, INPUT_SHAPE)))}
        for m in (Classifier, LinenClassifier())
    ]
    assert found[0] == found[1]
    assert {"conv", "blocks_0/dense", "blocks_1/norm", "head"} <= found[0]


def test_a_train_step_has_names_in_all_phases() -> None:
    step = eg.Workload.train_step(Net, optax.adam(1e-3), input_shape=(4,))
    module = eg.compile(step, batch=2).module
    found = {
        (name.phase, name.layer)
        for computation in module.computations.values()
        for instruction in computation.instructions
        if instruction.opcode == "dot"
        for name in [parse_op_name(instruction.op_name)]
    }
    # The first layer's inputs have no gradient, but its weights have.
    assert found == {
        (phase, layer)
        for phase in ("forward", "backward")
        for layer in ("Net/blocks_0/dense", "Net/blocks_1/dense", "Net/last")
    }


def test_a_function_that_calls_a_module() -> None:
    net = Net(nnx.Rngs(0))
    assert layers(lambda x: net(x) + 1.0, X) == BLOCKS
    assert layers(lambda net, x: net(x), net, X) == BLOCKS


def test_a_function_that_jax_has_traced_before() -> None:
    net = Net(nnx.Rngs(0))
    function = jax.jit(lambda x: net(x))
    function(X)
    assert layers(function, X) == BLOCKS
    assert layers(lambda x: function(x), X) == BLOCKS


def test_a_module_given_to_another_and_one_made_on_the_way() -> None:
    class Student(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.dense = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x: jax.Array, teacher: Block) -> jax.Array:
            fresh = nnx.Linear(4, 4, use_bias=False, rngs=nnx.Rngs(0))
            return fresh(self.dense(x)) + teacher(x)

    student, teacher = Student(nnx.Rngs(0)), Block(nnx.Rngs(0))
    # XLA would merge the two products of the same input.
    assert {
        ("Student/dense", "dot_general"),
        ("Student/Linear", "dot_general"),
        ("Student/Block/dense", "dot_general"),
        ("Student/Block", "tanh"),
    } <= traced_layers(lambda x: student(x, teacher), X)
    assert path_attributes(student) == path_attributes(teacher) == []


def test_a_wrapper_made_on_the_way_leaves_the_names_alone() -> None:
    class Wrapper(nnx.Module):
        def __init__(self, inner: nnx.Module) -> None:
            self.inner = inner

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.inner(x)  # type: ignore[no-any-return]

    net = Net(nnx.Rngs(0), apply=lambda block, x: block(Wrapper(block)(x)))
    found = traced_layers(lambda x: net(x), X)
    assert {layer for layer, primitive in found if primitive == "dot_general"} == {
        "Net/Wrapper/blocks_0/dense", "Net/blocks_0/dense",
        "Net/Wrapper/blocks_1/dense", "Net/blocks_1/dense", "Net/last",
    }  # fmt: skip
    assert path_attributes(net) == []


def test_functions_in_a_class_that_are_no_methods() -> None:
    class Helped(Block):
        activation = jax.jit(jnp.cos)

        def one() -> float:  # type: ignore[misc]
            return 1.0

        def double(x: jax.Array) -> jax.Array:  # type: ignore[misc]  # noqa: N805  # no method
            return 2.0 * x

        @staticmethod
        def half(x: jax.Array) -> jax.Array:
            return x / 2.0

        @classmethod
        def same(cls, x: jax.Array) -> jax.Array:
            return x

        def __call__(self, x: jax.Array) -> jax.Array:
            x = self.same(self.half(Helped.activation(Helped.double(x))))
            return self.dense(x) + Helped.one()

    net = Helped(nnx.Rngs(0))
    assert ("Helped/dense", "dot_general") in traced_layers(lambda x: net(x), X)
    assert ("Helped", "div") in traced_layers(lambda x: net(x), X)


def test_modules_that_are_no_pytrees() -> None:
    class Listed(nnx.Module, pytree=False):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.blocks = [Block(rngs), Block(rngs)]

        def __call__(self, x: jax.Array) -> jax.Array:
            for block in self.blocks:
                x = nnx_jitted(block, x)
            return x

    assert {layer for layer, _ in layers(workload(Listed))} == {
        "Listed/blocks_0", "Listed/blocks_0/dense", "Listed/blocks_1", "Listed/blocks_1/dense",
    }  # fmt: skip
