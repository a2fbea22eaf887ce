"""Conditionals: every branch is priced, the most expensive counts, the cheapest is kept."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from edgegraph import xla
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import Node, flatten

X = jax.ShapeDtypeStruct((16, 16), jnp.float32)
N = jax.ShapeDtypeStruct((), jnp.int32)
FLAG = jax.ShapeDtypeStruct((), jnp.bool_)


def priced(serialized: bytes) -> tuple[tuple[Node, ...], dict[str, OpCost]]:
    module = decode(serialized)
    nodes = flatten(module)
    return nodes, price_nodes(module, nodes)


def lowered(function: Any, *arguments: Any) -> tuple[tuple[Node, ...], dict[str, OpCost]]:
    return priced(xla.lowered_module(jax.jit(function).lower(*arguments)))


def conditionals(nodes: tuple[Node, ...], costs: dict[str, OpCost]) -> list[OpCost]:
    return [costs[node.name] for node in nodes if node.instruction.opcode == "conditional"]


def power(times: int) -> Any:
    def multiply(v: Any) -> Any:
        for _ in range(times):
            v = v @ v
        return v

    return multiply


def test_every_branch_of_a_switch_has_its_cost() -> None:
    branches = [power(1), power(3), power(0), power(2)]
    (switch,) = conditionals(*lowered(lambda n, x: lax.switch(n, branches, x), N, X))
    assert [branch.macs for branch in switch.branches] == [4096, 3 * 4096, 0, 2 * 4096]
    assert switch.cost.macs == 3 * 4096
    assert switch.cheapest is not None
    assert switch.cheapest.macs == 0


def test_figures_may_come_from_different_branches() -> None:
    def run(flag: Any, x: Any) -> Any:
        return lax.cond(flag, power(1), jnp.sin, x)

    (found,) = conditionals(*lowered(run, FLAG, X))
    assert (found.cost.macs, found.cost.transcendentals) == (4096, 256)
    assert found.cheapest is not None
    assert (found.cheapest.macs, found.cheapest.transcendentals) == (0, 0)


def test_bytes_read_and_written_come_from_one_branch() -> None:
    """One branch reads the most, the other writes the most; none moves as much as the two."""

    def read(v: Any) -> Any:
        return v.sum(0)

    def write(v: Any) -> Any:
        return jnp.broadcast_to(v[0, 0], (32, 16))[0]

    (found,) = conditionals(*lowered(lambda flag, x: lax.cond(flag, read, write, x), FLAG, X))
    moved = [(cost.bytes_read or 0, cost.bytes_written or 0) for cost in found.branches]
    assert max(moved)[1] < min(moved)[1]
    assert (found.cost.bytes_read, found.cost.bytes_written) == max(moved, key=sum)
    assert found.cheapest is not None
    assert (found.cheapest.bytes_read, found.cheapest.bytes_written) == min(moved, key=sum)


def test_a_spread_goes_through_loops_and_conditionals() -> None:
    """5 iterations, of one product always, and of none, or one, or three more."""

    def step(i: Any, v: Any) -> Any:
        def inner(u: Any) -> Any:
            return lax.cond(i > 1, power(3), power(1), u)

        return lax.cond(i > 2, inner, power(0), v) @ v

    nodes, costs = lowered(lambda x: lax.fori_loop(0, 5, step, x), X)
    (loop,) = (costs[node.name] for node in nodes if node.instruction.opcode == "while")
    assert loop.cost.macs == 5 * 4 * 4096
    assert loop.cheapest is not None
    assert loop.cheapest.macs == 5 * 4096
    outer, inner = conditionals(nodes, costs)
    assert [branch.macs for branch in outer.branches] == [0, 5 * 3 * 4096]
    assert [branch.macs for branch in inner.branches] == [5 * 4096, 5 * 3 * 4096]
    assert inner.cheapest is not None
    assert inner.cheapest.macs == 5 * 4096


def test_without_a_conditional_there_is_no_spread() -> None:
    nodes, costs = lowered(lambda x: lax.fori_loop(0, 5, lambda i, v: v @ v, x), X)
    assert {costs[node.name].cheapest for node in nodes} == {None}
    assert {costs[node.name].branches for node in nodes} == {()}


def test_branches_that_share_a_computation_are_told_apart() -> None:
    nodes, costs = priced(
        xla.parse_text("""HloModule m
        square {
          v = f32[16,16] parameter(0)
          ROOT w = f32[16,16] dot(v, v), lhs_contracting_dims={1}, rhs_contracting_dims={0}
        }
        keep {
          ROOT u = f32[16,16] parameter(0)
        }
        ENTRY e {
          n = s32[] parameter(0)
          x = f32[16,16] parameter(1)
          ROOT y = f32[16,16] conditional(n, x, x, x),
            branch_computations={square, keep, square}
        }""")
    )
    assert len({node.name for node in nodes}) == len(nodes)
    (found,) = conditionals(nodes, costs)
    assert [branch.macs for branch in found.branches] == [4096, 0, 4096]
    assert found.cost.macs == 4096
