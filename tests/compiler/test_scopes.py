"""Module names in the graph of NNX models."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen, nnx

import edgegraph as eg
from edgegraph.compiler.scopes import module_scopes
from edgegraph.hlo.op_name import parse_op_name
from tests.workload.nets import INPUT_SHAPE, Classifier, LinenClassifier

X = jnp.ones((2, 4))


class Block(nnx.Module):
    """A dense layer and tanh."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.dense(x))


class JittedBlock(Block):
    """Its call is jitted."""

    @nnx.jit
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.dense(x))


class RematBlock(Block):
    """Its call is rematerialised."""

    @nnx.remat
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.dense(x))


class SuperBlock(Block):
    """Leaves its call to its base class."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x) + 1.0


class Net(nnx.Module):
    """Two blocks, one after the other, however `apply` applies them."""

    def __init__(
        self,
        rngs: nnx.Rngs,
        block: Callable[..., Any] = Block,
        apply: Callable[..., Any] = lambda block, x: block(x),
    ) -> None:
        self.blocks = nnx.List([block(rngs=rngs) for _ in range(2)])
        self.last = nnx.Linear(4, 4, rngs=rngs)
        self.apply = apply

    def __call__(self, x: jax.Array) -> jax.Array:
        for block in self.blocks:
            x = self.apply(block, x)
        return self.last(x)


BLOCKS = {
    ("Net/blocks_0/dense", "dot_general"),
    ("Net/blocks_0", "tanh"),
    ("Net/blocks_1/dense", "dot_general"),
    ("Net/blocks_1", "tanh"),
    ("Net/last", "dot_general"),
}


def workload(module: Any, *inputs: Any) -> eg.Workload:
    inputs = inputs or (X,)
    return eg.Workload.from_flax(
        module, [x.shape[1:] for x in inputs], tuple(x.dtype for x in inputs)
    )


def layers(subject: Any, *args: Any) -> set[tuple[str | None, str]]:
    """Give layer and primitive of the dots and tanhs that XLA runs."""
    program = eg.compile(subject, *args, batch=2 if isinstance(subject, eg.Workload) else None)
    return {
        (name.layer, name.primitive)
        for computation in program.module.computations.values()
        for instruction in computation.instructions
        if instruction.opcode in ("dot", "tanh")
        for name in [parse_op_name(instruction.op_name)]
    }


@nnx.jit
def nnx_jitted(block: Block, x: jax.Array) -> jax.Array:
    return block(x)


@jax.jit
def jax_jitted(block: Block, x: jax.Array) -> jax.Array:
    return block(x)


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


class Tied(nnx.Module):
    """Uses an embedding at both ends, and lends it to a block."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(10, 4, rngs=rngs)
        self.block = Borrower(self.embed, rngs=rngs)

    def encode(self, tokens: jax.Array) -> jax.Array:
        return self.embed(tokens)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.embed.attend(self.encode(tokens)) + self.block(tokens)


class Borrower(nnx.Module):
    """Calls a module that belongs to another."""

    def __init__(self, embed: nnx.Embed, rngs: nnx.Rngs) -> None:
        self.borrowed = embed
        self.dense = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.borrowed.attend(self.dense(self.borrowed(tokens)))


class LinenTied(linen.Module):
    """The same in linen."""

    def setup(self) -> None:
        self.embed = linen.Embed(10, 4)
        self.block = LinenBorrower(self.embed)

    def encode(self, tokens: jax.Array) -> jax.Array:
        return self.embed(tokens)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        out: jax.Array = self.embed.attend(self.encode(tokens)) + self.block(tokens)
        return out


class LinenBorrower(linen.Module):
    """The same in linen."""

    embed: linen.Module

    @linen.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        out: jax.Array = self.embed.attend(linen.Dense(4, name="dense")(self.embed(tokens)))
        return out


def jaxpr_layers(subject: eg.Workload) -> set[tuple[str | None, str]]:
    """Give layer and primitive of every equation."""
    call = subject.call(2)
    return traced_layers(call.function, *call.abstract)


def traced_layers(function: Any, *args: Any) -> set[tuple[str | None, str]]:
    with module_scopes():
        jaxpr = jax.jit(function).trace(*args).jaxpr
    return {
        (
            parse_op_name(f"jit(f)/{e.source_info.name_stack}/{e.primitive.name}").layer,
            e.primitive.name,
        )
        for e in jaxpr.eqns
    }


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


def methods() -> dict[tuple[type, str], Any]:
    """Give every attribute of every NNX module class."""
    waiting: list[type] = [nnx.Module]
    found: dict[tuple[type, str], Any] = {}
    while waiting:
        owner = waiting.pop()
        found.update({(owner, name): member for name, member in vars(owner).items()})
        waiting += owner.__subclasses__()
    return found


def path_attributes(module: nnx.Module) -> list[str]:
    return [
        name
        for _, node in nnx.iter_graph(module)
        if isinstance(node, nnx.Pytree)
        for name in vars(node)
        if "edgegraph" in name
    ]


def test_nothing_else_is_traced_differently() -> None:
    for subject in (
        workload(Net),
        workload(lambda rngs: Net(rngs, apply=nnx_jitted)),
        workload(Tied, jnp.ones((2, 3), jnp.int32)),
        eg.Workload.train_step(Classifier, optax.adam(1e-3), input_shape=INPUT_SHAPE),
    ):
        call = subject.call(2)
        plain = jax.jit(call.function).trace(*call.abstract).jaxpr
        with module_scopes():
            named = jax.jit(call.function).trace(*call.abstract).jaxpr
        assert str(named.effects) == str(plain.effects)
        assert named.in_avals == plain.in_avals
        assert structure(named.jaxpr) == structure(plain.jaxpr)


def structure(jaxpr: Any) -> list[Any]:
    """Give primitives, shapes and parameters, looking into functions that several calls share."""
    found = []
    for equation in jaxpr.eqns:
        inner = {name: p.jaxpr for name, p in equation.params.items() if hasattr(p, "jaxpr")}
        found.append(
            (
                equation.primitive.name,
                [str(v.aval) for v in (*equation.invars, *equation.outvars)],
                {name: structure(jaxpr) for name, jaxpr in inner.items()},
                {
                    n: str(p)
                    for n, p in equation.params.items()
                    if n not in inner and "jaxpr" not in n
                },
            )
        )
    return found


def test_the_text_of_the_jaxpr_is_the_same() -> None:
    call = workload(Net).call(2)
    plain = str(jax.jit(call.function).trace(*call.abstract).jaxpr)
    with module_scopes():
        assert str(jax.jit(call.function).trace(*call.abstract).jaxpr) == plain


def test_classes_and_modules_are_left_as_they_were() -> None:
    before = methods()
    net = Net(nnx.Rngs(0))
    with module_scopes():
        assert methods() != before
        jax.jit(lambda x: net(x)).trace(X)
    assert methods() == before
    assert path_attributes(net) == []


@pytest.mark.parametrize("carry", [True, False])
def test_also_after_an_exception(carry: bool) -> None:
    class Broken(Net):
        def __call__(self, x: jax.Array) -> jax.Array:
            super().__call__(x)
            raise ZeroDivisionError

    before = methods()
    net = Broken(nnx.Rngs(0))
    with pytest.raises(ZeroDivisionError), module_scopes(carry=carry):
        jax.jit(lambda x: net(x)).trace(X)
    assert methods() == before
    assert path_attributes(net) == []
    assert layers(lambda x: Net.__call__(net, x), X) == {
        ((layer or "").replace("Net", "Broken"), primitive) for layer, primitive in BLOCKS
    }


def test_a_trace_without_scopes_has_no_names() -> None:
    call = workload(Net).call(2)
    with module_scopes():
        jax.jit(call.function).trace(*call.abstract)
    jaxpr = jax.jit(call.function).trace(*call.abstract).jaxpr
    assert {str(equation.source_info.name_stack) for equation in jaxpr.eqns} == {""}


def test_other_threads_see_no_names() -> None:
    net = Net(nnx.Rngs(0))
    found: list[set[str]] = []

    def trace() -> None:
        jaxpr = jax.jit(lambda x: net(x)).trace(X).jaxpr
        found.append({str(equation.source_info.name_stack) for equation in jaxpr.eqns})

    with module_scopes():
        thread = threading.Thread(target=trace)
        thread.start()
        thread.join()
        trace()
    assert found[0] == {""}
    assert "Net/blocks_0/dense" in found[1]


def test_threads_can_trace_at_once() -> None:
    before = methods()
    found: dict[int, set[Any]] = {}

    def trace(number: int) -> None:
        found[number] = jaxpr_layers(workload(Net))

    threads = [threading.Thread(target=trace, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == found[0] and found[0] >= BLOCKS for number in range(4))
    assert methods() == before


def test_scopes_nest() -> None:
    before = methods()
    net = Net(nnx.Rngs(0))
    with module_scopes(), module_scopes():
        jaxpr = jax.jit(lambda x: net(x)).trace(X).jaxpr
    assert "Net/last" in {str(equation.source_info.name_stack) for equation in jaxpr.eqns}
    assert methods() == before
