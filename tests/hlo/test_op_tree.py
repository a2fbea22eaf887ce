"""What holds what, and what is one kernel: alike for all who ask."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import edgegraph as eg
from edgegraph.analysis.findings import Evidence
from edgegraph.gate.limits import METRICS
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.op_tree import OpTree, launches
from tests.analyses import DEVICE
from tests.corpus.files import FILES, serialized

SUMMED = ("macs", "flops", "transcendentals", "bytes_read", "bytes_written", "wire_bytes")


@dataclass(frozen=True)
class Op:
    name: str
    opcode: str
    parent: str | None = None
    executions: int | None = 1


LOOP = [
    Op("x", "parameter"),
    Op("start", "copy-start"),
    Op("loop", "while"),
    Op("body.x", "parameter", "loop", 12),
    Op("fusion", "fusion", "loop", 12),
    Op("p", "parameter", "fusion", 12),
    Op("inner", "fusion", "fusion", 12),
    Op("add", "add", "inner", 12),
    Op("multiply", "multiply", "fusion", 12),
    Op("sort", "sort", "loop", 12),
    Op("done", "copy-done"),
    Op("gather", "async-start"),
    Op("gather.x", "parameter", "gather"),
    Op("gathered", "all-gather", "gather"),
    Op("gather.update", "async-update"),
    Op("gather.done", "async-done"),
    Op("tuple", "tuple"),
]
"""By hand: a copy, two ops fused and a sort in a loop of 12, and a collective in the background."""


def test_kernels_are_what_is_launched_as_one() -> None:
    tree = OpTree(LOOP)
    inside = {kernel.name: [op.name for op in kernel.leaves] for kernel in tree.kernels}
    assert inside == {
        "start": ["start"],
        "fusion": ["p", "add", "multiply"],
        "sort": ["sort"],
        "gathered": ["gathered"],
    }
    assert [kernel.name for kernel in tree.kernels if kernel.is_fusion] == ["fusion"]
    assert [op.name for op in tree.kernels[1].ops] == ["add", "multiply"]


def test_what_a_program_has_and_what_a_call_launches_are_two_figures() -> None:
    tree = OpTree(LOOP)
    assert (len(tree.kernels), launches(tree.kernels)) == (4, 1 + 12 + 12 + 1)


@pytest.mark.parametrize(("executions", "count"), [(0, 0), (1, 1), (7, 7), (None, 1)])
def test_what_never_runs_is_not_launched(executions: int | None, count: int) -> None:
    """A branch that a trace saw untaken runs 0 times; of unknown number counts once."""
    assert launches(OpTree([Op("sort", "sort", None, executions)]).kernels) == count


def test_what_holds_what() -> None:
    tree = OpTree(LOOP)
    assert [op.name for op in tree.top] == [op.name for op in LOOP if op.parent is None]
    assert [op.name for op in tree.leaves_in(tree.ops[2])] == [
        "body.x", "p", "add", "multiply", "sort",
    ]  # fmt: skip
    assert tree.leaves_in(LOOP[0]) == [LOOP[0]]
    assert {op.name for op in LOOP} - {op.name for op in tree.leaves} == {
        "loop", "fusion", "inner", "gather",
    }  # fmt: skip
    assert {op.name for op in LOOP} - {op.name for op in tree.outside} == {
        "p", "inner", "add", "multiply",
    }  # fmt: skip
    assert [op.name for op in LOOP if not tree.is_leaf(op)] == ["loop", "fusion", "inner", "gather"]


def test_a_program_of_nothing_is_a_tree() -> None:
    tree: OpTree[Op] = OpTree([])
    assert (tree.top, tree.leaves, tree.kernels, tree.outside) == ([], [], [], [])


@pytest.mark.parametrize("name", FILES)
def test_all_count_the_same_kernels(name: str) -> None:
    """Nodes and records, the gate, the diff and the findings."""
    program = eg.Program(
        name=name, batch=None, target="unknown", stage="optimized", serialized=serialized(name)
    )
    analysis = eg.analyze(program, device=DEVICE)
    tree, nodes = analysis.op_tree, OpTree(flatten(analysis.module))
    names = [kernel.name for kernel in tree.kernels]
    assert names == [kernel.name for kernel in nodes.kernels]
    assert names == [kernel.name for kernel in Evidence(analysis).kernels]
    assert len(names) == METRICS["kernels"].value(analysis)
    known = [kernel.head.executions for kernel in tree.kernels]
    assert launches(tree.kernels) == sum(1 if count is None else count for count in known)

    # Every leaf that works is in one kernel, but for what waits.
    held = [op.name for kernel in tree.kernels for op in kernel.ops]
    works = [op.name for op in tree.leaves if op.opcode not in opcodes.FREE | opcodes.WAITS]
    assert sorted(held) == sorted(works)


@pytest.mark.parametrize("name", FILES)
def test_leaves_and_layers_add_up_to_the_whole(name: str) -> None:
    program = eg.Program(
        name=name, batch=None, target="unknown", stage="optimized", serialized=serialized(name)
    )
    analysis = eg.analyze(program, device=DEVICE)
    for figure in SUMMED:
        whole = analysis.totals[figure]
        assert whole == sum(getattr(op, figure) or 0 for op in analysis.op_tree.leaves)
        if figure != "wire_bytes":
            leaves = [row for row in analysis.layer_records if row.leaf]
            assert whole == sum(getattr(row, figure) or 0 for row in leaves)
