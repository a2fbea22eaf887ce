"""What a program holds at every moment: by hand, and what must hold of any program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Module
from edgegraph.memory.live import MemoryProfile, profile_memory
from tests import programs
from tests.memory.scheduled import KIB, alive, held, profile, scheduled


def test_chain() -> None:
    # reverse may not write over its operand; negate may, and does.
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(a), dimensions={0}
      c = v negate(b)
      ROOT d = v reverse(c), dimensions={0}""")
    assert alive(module) == {"x": 1, "a": 2, "b": 3, "c": 2, "d": 3}
    assert held(module) == [("x", 1, "argument"), ("a", 1, "temporary"), ("b", 1, "temporary")]
    # a waits in the memory of the result, which nobody needs yet; b and c take turns beside it.
    assert profile(module).allocation.temp_bytes == KIB
    assert profile(module).allocation.output_bytes == KIB


def test_diamond_holds_what_the_other_arm_needs() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      left = v reverse(a), dimensions={0}
      right = v negate(a)
      ROOT sum = v add(left, right)""")
    # right writes over a, sum over left or right.
    assert alive(module) == {"x": 1, "a": 2, "left": 3, "right": 3, "sum": 2 + 1}
    assert profile(module).allocation.temp_bytes == KIB


def test_unused_result_is_alive_while_its_op_runs() -> None:
    module = scheduled("""
      x = v parameter(0)
      unused = f32[1024] concatenate(x, x, x, x), dimensions={0}
      ROOT y = v reverse(x), dimensions={0}""")
    assert alive(module) == {"x": 1, "unused": 5, "y": 2}


def test_outputs_stay_to_the_end() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(x), dimensions={0}
      c = v reverse(x), dimensions={0}
      ROOT all = (v[], v[], v[], v[]) tuple(a, b, c, x)""")
    assert alive(module) == {"x": 1, "a": 2, "b": 3, "c": 4, "all": 4}
    # The table of four pointers is part of the result.
    assert profile(module).allocation.output_bytes == 3 * KIB + 4 * 8
    assert {role for _, _, role in held(module)} == {"argument", "output"}


def test_other_memory_spaces_are_not_counted() -> None:
    module = scheduled("""
      x = v parameter(0)
      fast = f32[256]{0:S(1)} reverse(x), dimensions={0}
      ROOT y = v reverse(fast), dimensions={0}""")
    assert alive(module) == {"x": 1, "fast": 1, "y": 2}


def test_four_bit_numbers_are_packed() -> None:
    module = scheduled("x = s4[2048] parameter(0)\n ROOT y = s4[2048] reverse(x), dimensions={0}")
    assert alive(module) == {"x": 1, "y": 2}


def test_constants_are_alive_for_the_whole_run() -> None:
    module = scheduled(f"""
      x = f32[4] parameter(0)
      c = f32[4] constant({{{", ".join("1234")}}})
      ROOT y = f32[4] add(x, c)""")
    assert profile(module).alive_bytes == (32, 32, 48)
    assert {b.role for b in profile(module).held} == {"argument", "constant", "output"}


def test_a_buffer_is_named_after_what_was_last_written_to_it() -> None:
    module = scheduled("""
      x = v parameter(0)
      at = s32[] parameter(1)
      cache = v reverse(x), dimensions={0}
      first = v dynamic-update-slice(cache, x, at)
      big = f32[1024] concatenate(x, x, x, x), dimensions={0}
      part = v slice(big), slice={[0:256]}
      ROOT second = v dynamic-update-slice(first, part, at)""")
    found = profile(module)
    assert found.steps[found.peak_step].name == "part"
    names = [b.node.name for b in found.held if b.role != "argument"]
    assert names == ["big", "first", "part"]


def test_nothing_is_said_before_there_is_a_schedule() -> None:
    module = decode(xla.parse_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }"))
    assert profile_memory(module, flatten(module), ()) is None
    lowered = decode(programs.lowered(programs.small_cnn, 1))
    assert profile_memory(lowered, flatten(lowered), ()) is None


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
