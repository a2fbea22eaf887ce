"""Networks for the tests of module names, and what reads the names off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

import edgegraph as eg
from edgegraph.compiler.scopes import module_scopes
from edgegraph.hlo.op_name import parse_op_name

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
    """Return layer and primitive of the dots and tanhs that XLA runs."""
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
    """Return layer and primitive of every equation."""
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


def path_attributes(module: nnx.Module) -> list[str]:
    return [
        name
        for _, node in nnx.iter_graph(module)
        if isinstance(node, nnx.Pytree)
        for name in vars(node)
        if "edgegraph" in name
    ]
