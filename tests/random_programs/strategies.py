"""Random programs: hypothesis strategies that compose blocks.

Every program that can be drawn is a valid JAX function. `programs` gives them with their
arguments; a failing one prints as an indented list of what it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from hypothesis import strategies as st

from tests.random_programs import blocks as b
from tests.random_programs import control as c
from tests.random_programs import operations
from tests.random_programs.work import Work

SCOPES = ("a", "b", "Net", "layer_0", "body", "cond")
OWNERS = {"a": ("up", "down"), "layer_0": ("kernel", "pointwise"), "nowhere": ("layers",)}
"""Which scopes own which weights."""


@dataclass(frozen=True, repr=False)
class RandomProgram:
    """A function of an array and weights."""

    block: b.Block
    sizes: b.Sizes
    dtype: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function, to be jitted."""

        def program(x: Any, params: Any) -> Any:
            return self.block.run(x, {k: v for part in params.values() for k, v in part.items()})

        return program

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Its arguments, as shapes: an array, and the parameters of layers that may be there."""
        x = jax.ShapeDtypeStruct((self.sizes.rows, self.sizes.width), self.dtype)
        weights = self.sizes.weights(self.dtype)
        return x, {
            owner: {name: weights[name] for name in names} for owner, names in OWNERS.items()
        }

    @property
    def parameters(self) -> int:
        """The number of its parameters, whether they are used or not."""
        return sum(weight.size for weight in self.sizes.weights(self.dtype).values())

    @property
    def work(self) -> Work:
        """Its products, by hand."""
        return self.block.forward(self.sizes)

    @property
    def text(self) -> str:
        """What it does, line by line."""
        return "\n".join(self.block.lines())

    def __repr__(self) -> str:
        return f"{self.sizes} in {self.dtype}\n{self.text}\n"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Keep hypothesis from writing the constructors out instead."""
        printer.text(repr(self))


@dataclass(frozen=True)
class _Allowed:
    """What may be drawn at this place.

    Attributes:
        depth: How many containers may still be nested.
        differentiated: A gradient is taken around it.
        loops: Loops may be drawn.
        library: Custom calls may be drawn.
    """

    depth: int
    differentiated: bool = False
    loops: bool = True
    library: bool = True

    def inside(self, *, differentiated: bool | None = None) -> _Allowed:
        return _Allowed(
            depth=self.depth - 1,
            differentiated=self.differentiated if differentiated is None else differentiated,
            loops=self.loops,
            library=self.library,
        )


def _leaf(draw: st.DrawFn, allowed: _Allowed) -> b.Block:
    names = list(operations.DIFFERENTIABLE)
    if not allowed.differentiated:
        names += operations.OTHER
        names += operations.LOOPS if allowed.loops else ()
        names += operations.LIBRARY if allowed.library else ()
    if draw(st.booleans()):
        products: list[b.Block] = [b.Dense(), b.Attention(), b.Convolution()]
        return draw(st.sampled_from(products))
    return b.Operation(draw(st.sampled_from(names)))


def _chain(draw: st.DrawFn, allowed: _Allowed, at_most: int = 2) -> b.Block:
    length = draw(st.integers(1, at_most))
    often = st.sampled_from([False, True, True])
    blocks = [
        _container(draw, allowed) if allowed.depth and draw(often) else _leaf(draw, allowed)
        for _ in range(length)
    ]
    return blocks[0] if length == 1 else b.Chain(tuple(blocks))


def _container(draw: st.DrawFn, allowed: _Allowed) -> b.Block:
    kinds = [b.Scope, b.Jit, c.Switch, b.Remat, b.Vmap, b.CustomVjp]
    kinds += [c.Scan, c.Fori] * 2 if allowed.loops else []
    kinds += [c.While, c.Until] if allowed.loops and not allowed.differentiated else []
    kinds += [] if allowed.differentiated else [b.Gradient]

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    def body() -> b.Block:
        return _chain(draw, allowed.inside())

    def counted() -> b.Block:
        start = number(-2, 3)
        return c.Fori(start, start + number(0, 4), body())

    made: dict[type, Callable[[], b.Block]] = {
        b.Scope: lambda: b.Scope(draw(st.sampled_from(SCOPES)), body()),
        b.Jit: lambda: b.Jit(number(1, 2), body()),
        b.Remat: lambda: b.Remat(body()),
        b.Vmap: lambda: b.Vmap(number(2, 3), body()),
        b.CustomVjp: lambda: b.CustomVjp(
            body(), _chain(draw, allowed.inside(differentiated=False))
        ),
        b.Gradient: lambda: b.Gradient(_chain(draw, allowed.inside(differentiated=True))),
        c.Switch: lambda: c.Switch(tuple([body() for _ in range(number(2, 3))])),
        c.Scan: lambda: c.Scan(number(1, b.MOST_LAYERS), number(1, 2), draw(st.booleans()), body()),
        c.Fori: counted,
        c.While: lambda: c.While(number(-5, 5), number(1, 3) * draw(STEPS), number(0, 4), body()),
        c.Until: lambda: c.Until(body()),
    }
    return made[draw(st.sampled_from(kinds))]()


STEPS = st.sampled_from([1, -1])

SIZES = st.builds(
    b.Sizes,
    rows=st.integers(2, 5),
    width=st.integers(2, 6),
    hidden=st.integers(1, 7),
    channels=st.integers(1, 3),
)


@st.composite
def programs(
    draw: st.DrawFn, *, depth: int = 3, loops: bool = True, library: bool = True
) -> RandomProgram:
    """Draw a random program.

    Args:
        draw: Handed in by hypothesis.
        depth: How deep containers nest at most.
        loops: Whether any loop may be in it.
        library: Whether any custom call may be in it.
    """
    allowed = _Allowed(depth=depth, loops=loops, library=library)
    return RandomProgram(
        block=_chain(draw, allowed, at_most=3),
        sizes=draw(SIZES),
        dtype=draw(st.sampled_from(["float32", "bfloat16"])),
    )
