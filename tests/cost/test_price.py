"""Prices are held against XLA's own totals and against arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgegraph import xla
from edgegraph.cost.cost import UNKNOWN
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import Node, flatten
from tests import programs

FIGURES = ("macs", "flops", "transcendentals", "bytes_read", "bytes_written", "wire_bytes")


def priced(serialized: bytes) -> tuple[tuple[Node, ...], dict[str, OpCost]]:
    module = decode(serialized)
    nodes = flatten(module)
    return nodes, price_nodes(module, nodes)


def total(nodes: tuple[Node, ...], costs: dict[str, OpCost], figure: str) -> int:
    return sum(getattr(costs[n.name].cost, figure) or 0 for n in nodes if n.parent is None)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (programs.small_cnn, (1,)),
        (programs.small_cnn, (32,)),
        (programs.small_cnn_gradient, (4,)),
        (programs.branches, ()),
        (programs.mixed, ()),
    ],
)
@pytest.mark.parametrize("stage", [programs.lowered, programs.compiled])
def test_entry_ops_sum_to_xla_total(
    stage: Callable[..., bytes], make: Callable[..., Any], settings: tuple[int, ...]
) -> None:
    serialized = stage(make, *settings)
    nodes, costs = priced(serialized)
    xla_total = xla.cost_analysis(serialized)
    moved = total(nodes, costs, "bytes_read") + total(nodes, costs, "bytes_written")
    flops = xla_total.get("flops", 0)
    if make is programs.mixed:
        flops += 64 * 3 - 64 * 6  # Rows of 8 are sorted, and not 64 values.
    if (stage, make) == (programs.lowered, programs.mixed):
        flops += 8 * 7 - 8 * 8 * 7  # A cumulative sum over 8 of 8 is 7 additions in each row.
    assert total(nodes, costs, "flops") == pytest.approx(flops, rel=1e-4)
    accessed = xla_total["bytes accessed"]
    if (stage, make) == (programs.compiled, programs.mixed):
        accessed -= 3 * 4 * (64 - 16)  # 2 of 8 rows are looked up, and 2 read and written over.
    assert moved == pytest.approx(accessed, rel=1e-4)
    assert total(nodes, costs, "transcendentals") == pytest.approx(
        xla_total.get("transcendentals", 0), rel=1e-4
    )


@pytest.mark.parametrize("make", [programs.small_cnn_gradient, programs.scan, programs.branches])
def test_containers_are_the_sum_of_their_contents(make: Callable[..., Any]) -> None:
    nodes, costs = priced(programs.compiled(make, *((4,) if make is not programs.branches else ())))
    parents = {node.parent for node in nodes if node.parent is not None}
    assert parents
    for parent in parents:
        for figure in FIGURES:
            inside = sum(
                getattr(costs[n.name].cost, figure) or 0 for n in nodes if n.parent == parent
            )
            assert inside == getattr(costs[parent].cost, figure), (parent, figure)


def test_small_cnn_at_batch_32_by_hand() -> None:
    nodes, costs = priced(programs.compiled(programs.small_cnn, 32))
    by_scope = {
        node.instruction.op_name.split("/")[-2]: costs[node.name].cost.macs
        for node in nodes
        if costs[node.name].cost.macs and node.instruction.opcode != "fusion"
    }
    assert by_scope == {
        "conv1": 32 * 28 * 28 * 9 * 1 * 32,
        "conv2": 32 * 14 * 14 * 9 * 32 * 64,
        "dense1": 32 * 3136 * 256,
        "dense2": 32 * 256 * 10,
    }
    assert total(nodes, costs, "flops") == 278_659_392


def test_a_scan_costs_its_trips() -> None:
    nodes, costs = priced(programs.compiled(programs.scan, 12))
    assert total(nodes, costs, "macs") == 12 * 4 * 8 * 8
    assert total(nodes, costs, "transcendentals") == 12 * 4 * 8
    dots = [node for node in nodes if node.instruction.opcode == "dot"]
    assert [costs[node.name].executions for node in dots] == [12]


def test_an_unknown_trip_count_is_said_to_be_unknown() -> None:
    nodes, costs = priced(programs.compiled(programs.data_dependent_loop))
    loop = next(node for node in nodes if node.instruction.opcode == "while")
    assert "trip count" in (costs[loop.name].unpriced or "")
    inside = [node for node in nodes if node.parent == loop.name]
    assert {costs[node.name].executions for node in inside} == {None}


def test_of_a_conditional_the_most_expensive_branch_counts() -> None:
    nodes, costs = priced(programs.compiled(programs.branches))
    assert total(nodes, costs, "macs") == 16 * 16 * 16
    assert total(nodes, costs, "transcendentals") == 16 * 16


def test_a_custom_call_is_priced_by_its_rule() -> None:
    nodes, costs = priced(programs.compiled(programs.top_k))
    call = next(node for node in nodes if node.instruction.opcode == "custom-call")
    assert costs[call.name].cost.flops == 8 * 64 * 2
    assert costs[call.name].unpriced is None


def test_a_custom_call_without_a_rule_stays_unknown() -> None:
    text = """HloModule m
    ENTRY e {
      x = f32[8] parameter(0)
      ROOT y = f32[8] custom-call(x), custom_call_target="mystery"
    }"""
    _, costs = priced(xla.parse_text(text))
    assert costs["y"].cost == UNKNOWN
    assert 'eg.register_custom_call("mystery")' in (costs["y"].unpriced or "")
