"""The blocks that random programs are made of.

Every block takes an array of the same shape and gives one. It knows what products it needs by
hand, forward and in the backward pass, for a gradient with respect to the array and all weights:
the gradient of a product is two products of the same size, what is rematerialised is computed
once more, and a custom rule costs what the rule does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from tests.random_programs.operations import OPERATIONS
from tests.random_programs.work import NOTHING, Work, products, total

Weights = Mapping[str, Any]

LAYOUT = ("NHWC", "HWIO", "NHWC")


@dataclass(frozen=True)
class Sizes:
    """The sizes of a program's arrays, and what a `Vmap` around a block adds to them.

    Attributes:
        rows, width: Of the array that goes through all blocks.
        hidden: Width inside a dense block.
        channels: Channels inside a convolution block.
        batch: How many arrays a block works on at once.
    """

    rows: int
    width: int
    hidden: int
    channels: int
    batch: int = 1

    @property
    def vectorised(self) -> bool:
        """Whether a `Vmap` stands around; it turns conditionals into selections."""
        return self.batch > 1

    def weights(self, dtype: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """Return the weights that all blocks of a program share."""
        shapes = {
            "up": (self.width, self.hidden),
            "down": (self.hidden, self.width),
            "kernel": (3, 3, 1, self.channels),
            "pointwise": (1, 1, self.channels, 1),
            "layers": (MOST_LAYERS, self.width, self.width),
        }
        return {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}


MOST_LAYERS = 4


class Block(Protocol):
    """A part of a program."""

    def run(self, x: Any, weights: Weights) -> Any:
        """Compute it, in JAX."""

    def forward(self, sizes: Sizes) -> Work:
        """Return the products of computing it."""

    def backward(self, sizes: Sizes) -> Work:
        """Return the products of its backward pass alone."""

    def lines(self) -> list[str]:
        """Describe it for a reader."""


def indented(blocks: list[str]) -> list[str]:
    return ["  " + line for line in blocks]


@dataclass(frozen=True)
class Operation:
    """Something without a product."""

    name: str

    def run(self, x: Any, weights: Weights) -> Any:
        return OPERATIONS[self.name](x).astype(x.dtype)

    def forward(self, sizes: Sizes) -> Work:
        return NOTHING

    def backward(self, sizes: Sizes) -> Work:
        return NOTHING

    def lines(self) -> list[str]:
        return [self.name]


@dataclass(frozen=True)
class Dense:
    """A product with a wide matrix, and one back."""

    def run(self, x: Any, weights: Weights) -> Any:
        return x @ weights["up"] @ weights["down"]

    def forward(self, sizes: Sizes) -> Work:
        one = sizes.batch * sizes.rows * sizes.width * sizes.hidden
        return products(one, one)

    def backward(self, sizes: Sizes) -> Work:
        return total([self.forward(sizes)] * 2)

    def lines(self) -> list[str]:
        return ["dense"]


@dataclass(frozen=True)
class Attention:
    """An array with itself: a product of two operands that both depend on the input."""

    def run(self, x: Any, weights: Weights) -> Any:
        return jax.nn.softmax(x @ x.T) @ x

    def forward(self, sizes: Sizes) -> Work:
        one = sizes.batch * sizes.rows * sizes.rows * sizes.width
        return products(one, one)

    def backward(self, sizes: Sizes) -> Work:
        return total([self.forward(sizes)] * 2)

    def lines(self) -> list[str]:
        return ["attention"]


@dataclass(frozen=True)
class Convolution:
    """A 3 x 3 convolution, padded, and a 1 x 1 convolution back to one channel."""

    def run(self, x: Any, weights: Weights) -> Any:
        image = x[None, :, :, None]
        for name in ("kernel", "pointwise"):
            image = lax.conv_general_dilated(
                image, weights[name], (1, 1), "SAME", dimension_numbers=LAYOUT
            )
        return image[0, :, :, 0]

    def forward(self, sizes: Sizes) -> Work:
        one = sizes.batch * sizes.rows * sizes.width * sizes.channels
        return products(9 * one, one)

    def backward(self, sizes: Sizes) -> Work:
        return total([self.forward(sizes)] * 2)

    def lines(self) -> list[str]:
        return ["convolution"]


@dataclass(frozen=True)
class Chain:
    """One block after the other."""

    blocks: tuple[Block, ...]

    def run(self, x: Any, weights: Weights) -> Any:
        for block in self.blocks:
            x = block.run(x, weights)
        return x

    def forward(self, sizes: Sizes) -> Work:
        return total([block.forward(sizes) for block in self.blocks])

    def backward(self, sizes: Sizes) -> Work:
        return total([block.backward(sizes) for block in self.blocks])

    def lines(self) -> list[str]:
        return [line for block in self.blocks for line in block.lines()] or ["nothing"]


@dataclass(frozen=True)
class Scope:
    """A named scope, which is a layer."""

    name: str
    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        with jax.named_scope(self.name):
            return self.body.run(x, weights)

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes)

    def backward(self, sizes: Sizes) -> Work:
        return self.body.backward(sizes)

    def lines(self) -> list[str]:
        return [f"scope {self.name}:", *indented(self.body.lines())]


@dataclass(frozen=True)
class Jit:
    """A jitted function, which is a call; called `times` times it is a shared computation."""

    times: int
    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        function = jax.jit(self.body.run)
        for _ in range(self.times):
            x = function(x, dict(weights))
        return x

    def forward(self, sizes: Sizes) -> Work:
        return total([self.body.forward(sizes)] * self.times)

    def backward(self, sizes: Sizes) -> Work:
        return total([self.body.backward(sizes)] * self.times)

    def lines(self) -> list[str]:
        return [f"jit, called {self.times} times:", *indented(self.body.lines())]


@dataclass(frozen=True)
class Remat:
    """A block that the backward pass computes once more; the tanh needs all of its result."""

    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        def body(x: Any, weights: Weights) -> Any:
            return jnp.tanh(self.body.run(x, weights))

        return jax.checkpoint(body)(x, dict(weights))

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes)

    def backward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes) + self.body.backward(sizes)

    def lines(self) -> list[str]:
        return ["remat:", *indented(self.body.lines()), "  tanh"]


@dataclass(frozen=True)
class CustomVjp:
    """A block with a backward pass of its own."""

    body: Block
    rule: Block

    def run(self, x: Any, weights: Weights) -> Any:
        @jax.custom_vjp
        def function(x: Any, weights: Any) -> Any:
            return self.body.run(x, weights)

        def forward(x: Any, weights: Any) -> Any:
            return function(x, weights), (x, weights)

        def backward(kept: Any, gradient: Any) -> Any:
            x, weights = kept
            zeros = jax.tree.map(jnp.zeros_like, weights)
            return self.rule.run(gradient * x, weights), zeros

        function.defvjp(forward, backward)
        return function(x, dict(weights))

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes)

    def backward(self, sizes: Sizes) -> Work:
        return self.rule.forward(sizes)

    def lines(self) -> list[str]:
        body, rule = indented(self.body.lines()), indented(self.rule.lines())
        return ["custom_vjp of:", *body, "with the rule:", *rule]


@dataclass(frozen=True)
class Vmap:
    """A block on several arrays at once."""

    batch: int
    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        several = jnp.stack([x * (i + 1) for i in range(self.batch)])
        return jax.vmap(lambda v: self.body.run(v, weights))(several).sum(0)

    def _inside(self, sizes: Sizes) -> Sizes:
        return Sizes(
            rows=sizes.rows,
            width=sizes.width,
            hidden=sizes.hidden,
            channels=sizes.channels,
            batch=sizes.batch * self.batch,
        )

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(self._inside(sizes))

    def backward(self, sizes: Sizes) -> Work:
        return self.body.backward(self._inside(sizes))

    def lines(self) -> list[str]:
        return [f"vmap over {self.batch}:", *indented(self.body.lines())]


@dataclass(frozen=True)
class Gradient:
    """The gradient of a number that is made of a block's result; it is not differentiated again.

    The number depends on the result's square, so that its gradient differs from array to array.
    """

    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        def number(x: Any, weights: Any) -> Any:
            return jnp.square(self.body.run(x, weights)).sum()

        value, (of_x, of_weights) = jax.value_and_grad(number, (0, 1))(x, dict(weights))
        rest = sum(leaf.sum() for leaf in jax.tree.leaves(of_weights))
        return x + value * of_x + rest

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes) + self.body.backward(sizes)

    def backward(self, sizes: Sizes) -> Work:
        raise NotImplementedError("gradients of gradients are not made")

    def lines(self) -> list[str]:
        return ["value_and_grad of the summed square of:", *indented(self.body.lines())]
