from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest

from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import build_graph, flatten
from edgegraph.hlo.module import Computation, Instruction, Module, Shape
from tests import programs

F32 = Shape(dtype="f32")


def test_every_instruction_of_containers_is_nested_under_its_caller() -> None:
    graph = build_graph(programs.module(programs.scan, 5))
    loop = next(name for name in graph if graph.nodes[name]["opcode"] == "while")
    inside = [name for name in graph if graph.nodes[name]["parent"] == loop]
    assert inside
    assert all(graph.nodes[name]["position"] > graph.nodes[loop]["position"] for name in inside)


def test_edges_are_keyed_by_operand_position_and_carry_the_value() -> None:
    module = programs.module(programs.small_cnn, 2)
    graph = build_graph(module)
    convolution = next(
        node for node in flatten(module)
        if node.instruction.opcode == "convolution" and "conv2" in node.instruction.op_name
    )  # fmt: skip
    kernel = convolution.operands[1]
    edge = graph.edges[kernel, convolution.name, 1]
    assert edge == {"shape": "f32[3,3,32,64]", "dtype": "f32", "bytes": 3 * 3 * 32 * 64 * 4}


def test_a_function_that_uses_one_value_twice_has_two_edges() -> None:
    x = Instruction(name="x", opcode="parameter", shape=F32)
    y = Instruction(name="y", opcode="multiply", shape=F32, operands=("x", "x"))
    entry = Computation(name="main", instructions=(x, y), root="y")
    graph = build_graph(Module(name="m", entry="main", computations={"main": entry}))
    assert sorted(graph.edges(keys=True)) == [("x", "y", 0), ("x", "y", 1)]


@pytest.mark.parametrize("make", [programs.scan, programs.mixed, programs.small_cnn_gradient])
def test_the_graph_is_acyclic_and_positions_respect_operands(make: Callable[..., Any]) -> None:
    settings = (4,) if make is programs.small_cnn_gradient else ()
    for serialized in (
        programs.compiled(make, *settings),
        programs.lowered(make, *settings),
    ):
        graph = build_graph(decode(serialized))
        assert nx.is_directed_acyclic_graph(graph)
        position = nx.get_node_attributes(graph, "position")
        assert all(position[operand] < position[user] for operand, user in graph.edges())


def test_a_computation_called_twice_gives_a_node_per_call() -> None:
    inner = Computation(
        name="inner", root="n",
        instructions=(Instruction(name="p", opcode="parameter", shape=F32),
                      Instruction(name="n", opcode="negate", shape=F32, operands=("p",))),
    )  # fmt: skip
    calls = [Instruction(name="x", opcode="parameter", shape=F32)]
    calls += [
        Instruction(name=f"c{i}", opcode="call", shape=F32, operands=("x",), called=("inner",))
        for i in range(2)
    ]
    entry = Computation(name="main", instructions=tuple(calls), root="c1")
    module = Module(name="m", entry="main", computations={"inner": inner, "main": entry})
    names = [node.name for node in flatten(module)]
    assert names == ["x", "c0", "c0/p", "c0/n", "c1", "c1/p", "c1/n"]


def test_a_module_that_explodes_is_refused() -> None:
    """Each computation calls the one below twice: 2**40 ops in 40 small computations."""
    leaf = Instruction(name="leaf", opcode="constant", shape=F32)
    computations = {"c0": Computation(name="c0", instructions=(leaf,), root="leaf")}
    for depth in range(1, 41):
        calls = tuple(
            Instruction(
                name=f"call{depth}_{i}", opcode="call", shape=F32, called=(f"c{depth - 1}",)
            )
            for i in range(2)
        )
        name = f"c{depth}"
        computations[name] = Computation(name=name, instructions=calls, root=calls[-1].name)
    with pytest.raises(FormatError, match="more than 100,000 ops"):
        flatten(Module(name="bomb", entry="c40", computations=computations))


def test_of_a_tuple_of_many_arrays_each_sixteen_count_as_an_op() -> None:
    # 2 million arrays count as 125,000 ops; five times that is more than four times what is held.
    thousand = Shape(dtype="tuple", elements=(F32,) * 1000)
    large = Shape(dtype="tuple", elements=(thousand,) * 2000)
    held = Instruction(name="held", opcode="custom-call", shape=large)
    inner = Computation(name="inner", instructions=(held,), root="held")
    calls = tuple(
        Instruction(name=f"call{i}", opcode="call", shape=F32, called=("inner",)) for i in range(5)
    )
    entry = Computation(name="main", instructions=calls, root="call4")
    module = Module(name="m", entry="main", computations={"inner": inner, "main": entry})
    with pytest.raises(FormatError, match=r"more than 500,0\d\d ops"):
        flatten(module)
