"""The table of opcodes: complete, and the only place where sets of opcodes stand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import edgegraph
from edgegraph.hlo import opcodes
from tests.conformance.opcodes import OPCODES

PACKAGE = Path(edgegraph.__file__).parent

ELSEWHERE = {
    "hlo/op_name.py": "scopes of jax, some of them named like opcodes",
    "rewrites/folding.py": "primitives of jax, some of them named like opcodes",
    "rewrites/prepared.py": "primitives of jax, some of them named like opcodes",
    "studies/fit/equations.py": "primitives of jax, some of them named like opcodes",
}
UNLIKE = {"gather", "scatter", "copy", "dot", "convolution", "reduce", "fusion", "call", "sort"}
"""Opcodes that are English or name other things, too."""

SETS = {name: found for name, found in vars(opcodes).items() if isinstance(found, frozenset)}


def test_the_table_names_every_opcode_of_xla_once() -> None:
    words = [opcode for _, row in opcodes._TABLE for opcode in row.split()]
    assert sorted(words) == sorted(OPCODES)


@pytest.mark.parametrize("name", SETS)
def test_every_set_holds_opcodes(name: str) -> None:
    assert SETS[name]
    assert SETS[name] <= set(OPCODES)


def test_what_is_free_and_what_holds_ops() -> None:
    """By hlo_cost_analysis.cc, whose handlers of these move no bytes; and hlo_opcode.h."""
    assert {
        "after-all", "bitcast", "constant", "get-tuple-element", "opt-barrier", "parameter",
        "partition-id", "replica-id", "tuple",
    } == opcodes.FREE  # fmt: skip
    assert {"async-start", "call", "conditional", "fusion", "while"} == opcodes.CONTAINERS
    assert opcodes.CONTROL_FLOW < opcodes.CALLERS < opcodes.CONTAINERS


def test_what_starts_is_waited_for() -> None:
    started = {opcode.removesuffix("-start") for opcode in opcodes.STARTS}
    assert started == {opcode.removesuffix("-done") for opcode in opcodes.DONES}
    assert {opcode for opcode in OPCODES if opcode.endswith("-done")} == opcodes.DONES
    assert {"async-update"} == opcodes.WAITS - opcodes.DONES


def test_elementwise_is_what_xla_says() -> None:
    """``HloInstruction::IsElementwiseImpl``: unary, binary and ternary ops, and map."""
    unlike = {"broadcast", "transpose", "reshape", "reduce", "dot", "iota", "sort", "gather"}
    assert not opcodes.ELEMENTWISE & unlike
    assert {"add", "clamp", "compare", "complex", "convert", "copy", "map", "not", "select",
            "stochastic-convert", "tanh"} <= opcodes.ELEMENTWISE  # fmt: skip


def test_sets_of_one_kind_lie_apart() -> None:
    apart = (
        opcodes.FREE, opcodes.CONTAINERS, opcodes.DONES, opcodes.COLLECTIVES, opcodes.DOTS,
        opcodes.REDUCTIONS, opcodes.ELEMENTWISE - opcodes.COPIES, opcodes.COPIES,
    )  # fmt: skip
    assert sum(map(len, apart)) == len(frozenset().union(*apart))


def _sets(path: Path) -> list[str]:
    """Return the sets of opcodes that are written out in a module."""
    return [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Set)
        and len(words := {e.value for e in node.elts if isinstance(e, ast.Constant)}) > 1
        and words & set(OPCODES) - UNLIKE
    ]


def test_no_other_module_writes_out_a_set_of_opcodes() -> None:
    found = [
        place
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in {"hlo/opcodes.py", *ELSEWHERE}
        for place in _sets(path)
    ]
    assert not found
