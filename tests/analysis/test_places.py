"""Ops that say nothing of themselves are placed by those around them."""

from __future__ import annotations

from edgegraph.analysis.attribution import attribute
from edgegraph.analysis.places import (
    NOWHERE,
    Attribution,
    Flow,
    attribute_by_neighbours,
    common,
)
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Instruction, Shape

F32 = Shape(dtype="f32")


def node(name: str, opcode: str, op_name: str, *operands: str, parent: str | None = None) -> Node:
    instruction = Instruction(
        name=name, opcode=opcode, shape=F32, operands=operands, op_name=op_name
    )
    return Node(
        name=name,
        opcode=instruction.opcode,
        instruction=instruction,
        computation="inner" if parent else "main",
        parent=parent,
        operands=operands,
        position=0,
    )


def test_an_op_that_xla_added_belongs_to_the_layer_it_serves() -> None:
    nodes = [
        node("x", "negate", "jit(f)/Net/a/neg"),
        node("copy", "copy", "", "x"),
        node("y", "dot", "jit(f)/Net/b/dot_general", "copy"),
        node("last", "copy", "", "y"),
    ]
    attributions = attribute(nodes)
    assert attributions["copy"].layer == "Net/b"
    assert attributions["last"].layer == "Net/b"


def placed(layer: str | None, phase: str = "forward") -> Attribution:
    return Attribution(layer=layer, phase=phase)


def test_what_several_have_in_common() -> None:
    assert common([]) == NOWHERE
    assert common([placed("Net/a"), placed("Net/a")]) == placed("Net/a")
    assert common([placed("Net/a"), placed(None), placed("Net/ab")]) == placed("Net")
    assert common([placed("a", "backward"), placed("b", "backward")]) == placed(None, "backward")


def test_what_is_named_does_not_become_part_of_an_update() -> None:
    """The random numbers of a step are no part of its optimiser, a copy of a gradient is."""
    nodes = [
        node("noise", "negate", "jit(f)/neg"),
        node("gradient", "negate", "jit(f)/transpose(jvp())/neg"),
        node("copy", "copy", "", "gradient"),
        node("update", "add", "jit(f)/optimizer/add", "noise", "copy"),
    ]
    update = placed("optimizer", "update")
    attributions = [placed(None), placed(None, "backward"), placed(None), update]
    attribute_by_neighbours(Flow(nodes), attributions, certain={1}, named={0, 1, 3})
    assert attributions == [placed(None), placed(None, "backward"), update, update]


def test_a_sum_of_gradients_stands_with_the_layer_not_with_the_loss() -> None:
    nodes = [
        node("decay", "negate", "jit(f)/transpose(jvp(loss))/neg"),
        node("gradient", "negate", "jit(f)/transpose(jvp(Net))/neg"),
        node("sum", "add", "jit(f)/transpose(jvp())/add_any", "decay", "gradient"),
    ]
    attributions = [
        placed("loss", "backward"),
        placed("Net", "backward"),
        placed(None, "backward"),
    ]
    attribute_by_neighbours(Flow(nodes), attributions, certain={2}, named={2})
    assert attributions[2] == placed("Net", "backward")
