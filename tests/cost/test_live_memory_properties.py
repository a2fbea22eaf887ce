"""What must hold of the live memory of any program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.hlo.module import Module
from edgegraph.memory.live import MemoryProfile
from tests import programs
from tests.memory.test_live import profile, scheduled


@pytest.mark.parametrize(
    "make",
    [
        programs.small_cnn_gradient,
        programs.scan,
        programs.branches,
        programs.mixed,
        programs.data_dependent_loop,
    ],
)
def test_what_holds_of_any_program(make: Callable[..., Any]) -> None:
    settings = (4,) if make is programs.small_cnn_gradient else ()
    module = programs.module(make, *settings)
    check_profile(module)


def check_profile(module: Module) -> MemoryProfile:
    """Check what must hold of any scheduled module."""
    found = profile(module)
    peak = found.alive_bytes[found.peak_step]
    assert peak == max(found.alive_bytes) == sum(buffer.bytes for buffer in found.held)
    assert min(found.alive_bytes) >= 0
    fixed = sum(b.bytes for b in found.held if b.role in ("argument", "constant"))
    assert min(found.alive_bytes) >= fixed
    allocation = found.allocation
    assert peak - fixed <= allocation.temp_bytes + allocation.output_bytes
    # Each buffer begins at a multiple of 64 bytes; more than all of them side by side is waste.
    assert allocation.temp_bytes <= sum(size + 63 for size in allocation.sizes.values())
    return found


OPS = ("negate", "reverse", "add", "concatenate", "slice")


@st.composite
def straight_programs(draw: st.DrawFn) -> tuple[str, dict[str, tuple[int, tuple[str, ...], str]]]:
    """Draw a program without loops, and the bytes, operands and opcode of each op."""
    ops: dict[str, tuple[int, tuple[str, ...], str]] = {}
    lines = []
    for number in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 40))
        ops[f"p{number}"] = (4 * size, (), "parameter")
        lines.append(f"p{number} = f32[{size}] parameter({number})")
    for number in range(draw(st.integers(1, 12))):
        name = f"t{number}"
        opcode = draw(st.sampled_from(OPS))
        first = draw(st.sampled_from(sorted(ops)))
        size = ops[first][0] // 4
        operands: tuple[str, ...] = (first,)
        suffix = ""
        if opcode == "reverse":
            suffix = ", dimensions={0}"
        elif opcode == "add":
            same = [other for other in sorted(ops) if ops[other][0] == 4 * size]
            operands = (first, draw(st.sampled_from(same)))
        elif opcode == "concatenate":
            operands = (first, draw(st.sampled_from(sorted(ops))))
            size += ops[operands[1]][0] // 4
            suffix = ", dimensions={0}"
        elif opcode == "slice":
            size = draw(st.integers(1, size))
            suffix = f", slice={{[0:{size}]}}"
        ops[name] = (4 * size, operands, opcode)
        lines.append(f"{name} = f32[{size}] {opcode}({', '.join(operands)}){suffix}")
    lines[-1] = "ROOT " + lines[-1]
    return "\n".join(lines), ops


@given(straight_programs())
def test_any_straight_program(
    drawn: tuple[str, dict[str, tuple[int, tuple[str, ...], str]]],
) -> None:
    text, ops = drawn
    found = check_profile(scheduled(text))
    naive = _alive_without_sharing(ops)
    for node, count, expected in zip(found.steps, found.alive_bytes, naive, strict=True):
        size, operands, opcode = ops[node.name]
        needed = sum(ops[operand][0] for operand in set(operands))
        # What is elementwise may write over an operand; nothing else may.
        shared = size if opcode in ("negate", "add") else 0
        assert count >= needed + size - shared
        assert expected - shared <= count <= expected
    if not {"negate", "add"} & {opcode for _, _, opcode in ops.values()}:
        assert found.alive_bytes == tuple(naive)


def _alive_without_sharing(ops: dict[str, tuple[int, tuple[str, ...], str]]) -> list[int]:
    """Add up, for every op, what is made up to it and still read at it or later."""
    order = list(ops)
    last = {name: order.index(name) for name in order}
    for name, (_, operands, _) in ops.items():
        for operand in operands:
            last[operand] = order.index(name)
    last[order[-1]] = len(order)
    parameters = [name for name in order if ops[name][2] == "parameter"]
    return [
        sum(ops[name][0] for name in parameters)
        + sum(
            ops[name][0]
            for name in order[: time + 1]
            if name not in parameters and last[name] >= time
        )
        for time in range(len(order))
    ]
