"""Loops and branches of random programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import lax

from tests.random_programs.blocks import Block, Sizes, Weights, indented
from tests.random_programs.work import Work, most_expensive, products, total


@dataclass(frozen=True)
class Scan:
    """A scan over layers: every iteration has a product with weights of its own."""

    layers: int
    unroll: int
    reverse: bool
    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        def step(carry: Any, weight: Any) -> Any:
            y = self.body.run(jnp.tanh(carry @ weight), weights)
            return y, y.sum()

        each = weights["layers"][: self.layers]
        last, sums = lax.scan(step, x, each, reverse=self.reverse, unroll=self.unroll)
        return last + sums.sum().astype(last.dtype)

    def _loop(self, body: Work) -> Work:
        trips, rest = divmod(self.layers, self.unroll)
        return total([body.in_loop(trips)] * self.unroll + [body] * rest)

    def forward(self, sizes: Sizes) -> Work:
        own = products(sizes.batch * sizes.rows * sizes.width**2)
        return self._loop(own + self.body.forward(sizes))

    def backward(self, sizes: Sizes) -> Work:
        own = products(*[sizes.batch * sizes.rows * sizes.width**2] * 2)
        return self._loop(own + self.body.backward(sizes))

    def lines(self) -> list[str]:
        how = f"unroll={self.unroll}, reverse={self.reverse}"
        return [f"scan over {self.layers} layers, {how}:", *indented(self.body.lines())]


@dataclass(frozen=True)
class Fori:
    """A loop of known length."""

    start: int
    stop: int
    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        def step(i: Any, v: Any) -> Any:
            return self.body.run(v + jnp.asarray(i, v.dtype), weights)

        return lax.fori_loop(self.start, self.stop, step, x)

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes).in_loop(self.stop - self.start)

    def backward(self, sizes: Sizes) -> Work:
        return self.body.backward(sizes).in_loop(self.stop - self.start)

    def lines(self) -> list[str]:
        return [f"fori_loop from {self.start} to {self.stop}:", *indented(self.body.lines())]


@dataclass(frozen=True)
class While:
    """A while loop whose counter shows how long it is; it has no backward pass."""

    start: int
    step: int
    trips: int
    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        end = self.start + self.step * self.trips

        def goes_on(state: Any) -> Any:
            return state[0] < end if self.step > 0 else state[0] > end

        def step(state: Any) -> Any:
            return state[0] + self.step, self.body.run(state[1], weights)

        start: Any = (self.start, x)
        return lax.while_loop(goes_on, step, start)[1]

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes).in_loop(self.trips)

    def backward(self, sizes: Sizes) -> Work:
        raise NotImplementedError("JAX differentiates no while loop backwards")

    def lines(self) -> list[str]:
        end = self.start + self.step * self.trips
        how = f"from {self.start} in steps of {self.step} until {end}"
        return [f"while, {how}:", *indented(self.body.lines())]


@dataclass(frozen=True)
class Until:
    """A while loop that ends when data says so; it has no backward pass."""

    body: Block

    def run(self, x: Any, weights: Weights) -> Any:
        return lax.while_loop(lambda v: v.sum() < 100, lambda v: self.body.run(v, weights), x)

    def forward(self, sizes: Sizes) -> Work:
        return self.body.forward(sizes).who_knows_how_often()

    def backward(self, sizes: Sizes) -> Work:
        raise NotImplementedError("JAX differentiates no while loop backwards")

    def lines(self) -> list[str]:
        return ["while the sum is below 100:", *indented(self.body.lines())]


@dataclass(frozen=True)
class Switch:
    """One of several branches, chosen by data; two are a `cond`."""

    branches: tuple[Block, ...]

    def run(self, x: Any, weights: Weights) -> Any:
        chosen: list[Callable[..., Any]] = [
            lambda v, branch=branch: branch.run(v, weights) for branch in self.branches
        ]
        if len(chosen) == 2:
            return lax.cond(x.sum() > 0, chosen[0], chosen[1], x)
        return lax.switch(x.sum().astype(jnp.int32), chosen, x)

    def forward(self, sizes: Sizes) -> Work:
        work = [branch.forward(sizes) for branch in self.branches]
        return total(work) if sizes.vectorised else most_expensive(work)

    def backward(self, sizes: Sizes) -> Work:
        work = [branch.backward(sizes) for branch in self.branches]
        return total(work) if sizes.vectorised else most_expensive(work)

    def lines(self) -> list[str]:
        found = ["cond:" if len(self.branches) == 2 else "switch:"]
        for branch in self.branches:
            found += ["  branch:", *indented(indented(branch.lines()))]
        return found
