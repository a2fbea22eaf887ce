"""Whose memory an op may or must reuse, on programs written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from edgegraph.hlo.module import Instruction, Module, Shape
from edgegraph.memory.values import TupleParts, may_share, written_over
from tests.memory.scheduled import KIB, alive, profile, scheduled


def test_what_is_read_again_is_not_written_over() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v negate(a)
      ROOT c = v subtract(a, b)""")
    assert alive(module) == {"x": 1, "a": 2, "b": 3, "c": 3}


def test_parameter_is_not_written_over() -> None:
    module = scheduled("x = v parameter(0)\n ROOT y = v negate(x)")
    assert alive(module) == {"x": 1, "y": 2}


def test_update_in_place_counts_once() -> None:
    module = scheduled("""
      x = f32[1024] parameter(0)
      u = v parameter(1)
      zero = s32[] parameter(2)
      cache = f32[1024] reverse(x), dimensions={0}
      first = f32[1024] dynamic-update-slice(cache, u, zero)
      ROOT second = f32[1024] dynamic-update-slice(first, u, zero)""")
    found = profile(module)
    arguments = 5 * KIB + 4
    assert found.alive_bytes == (*[arguments] * 3, *[arguments + 4 * KIB] * 3)
    assert found.allocation.temp_bytes == 0
    assert found.allocation.output_bytes == 4 * KIB


def test_fusion_that_updates_in_place() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      u = f32[16] parameter(1)
      a = v reverse(x), dimensions={0}
      updated = v fusion(a, u), kind=kLoop, calls=f
      ROOT y = v reverse(updated), dimensions={0}""",
        """f { p = v parameter(0)
               q = f32[16] parameter(1)
               at = s32[] constant(3)
               ROOT d = v dynamic-update-slice(p, q, at) }""",
    )
    assert [count - KIB - 64 for count in profile(module).alive_bytes] == [
        0, 0, KIB, KIB, 2 * KIB
    ]  # fmt: skip


def test_elementwise_fusion_takes_over_an_operand_and_another_does_not() -> None:
    # The result is too small for a to wait in its memory.
    body = """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v fusion(a), kind=kLoop, calls=f
      ROOT y = f32[16] slice(b), slice={[0:16]}"""
    elementwise = "f { p = v parameter(0) n = v negate(p) ROOT m = v multiply(n, p) }"
    mixing = "f { p = v parameter(0) n = v reverse(p), dimensions={0} ROOT m = v add(n, p) }"
    assert profile(scheduled(body, elementwise)).alive_bytes[2] == 2 * KIB
    assert profile(scheduled(body, mixing)).alive_bytes[2] == 3 * KIB


def test_custom_call_that_writes_over_its_operand() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      call = (v[], s32[256]) custom-call(a), custom_call_target="lapack_sgetrf_ffi",
        output_to_operand_aliasing={{0}: (0, {})}
      lu = v get-tuple-element(call), index=0
      ROOT y = v reverse(lu), dimensions={0}""")
    assert alive(module) == {"x": 1, "a": 2, "call": 3, "lu": 2, "y": 3}


def test_sort_keeps_its_arrays_in_place() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(x), dimensions={0}
      ROOT sorted = (v[], v[]) sort(a, b), dimensions={0}, to_apply=less""",
        """less { p = f32[] parameter(0) q = f32[] parameter(1)
                  r = f32[] parameter(2) s = f32[] parameter(3)
                  ROOT l = pred[] compare(p, q), direction=LT }""",
    )
    assert alive(module)["sorted"] == 3


ARRAY = Shape(dtype="f32", dimensions=(4,))
MODULE = Module(name="m", entry="e", computations={})


def op(opcode: str, operands: int, results: int = 1) -> Instruction:
    shape = ARRAY if results == 1 else Shape(dtype="tuple", elements=(ARRAY,) * results)
    names = tuple(f"operand_{number}" for number in range(operands))
    return Instruction(name="op", opcode=opcode, shape=shape, operands=names)


@pytest.mark.parametrize(
    ("instruction", "pairs"),
    [
        (op("dynamic-update-slice", 3), [((), 0)]),
        (op("set-dimension-size", 2), [((), 0)]),
        (op("scatter", 3), [((), 0)]),
        # Two arrays, the indices, two updates.
        (op("scatter", 5, results=2), [((0,), 0), ((1,), 1)]),
        (op("add", 2), []),
    ],
)
def test_what_must_be_written_over(instruction: Instruction, pairs: list[Any]) -> None:
    found = written_over(MODULE, instruction)
    assert [(alias.output_index, alias.operand) for alias in found] == pairs


@pytest.mark.parametrize(
    ("opcode", "may"),
    [
        # CanShareOperandBufferWithUser of XLA: elementwise ops, updates, the right-hand sides.
        ("add", [True, True]), ("triangular-solve", [False, True]),
        ("dynamic-update-slice", [True, False]), ("copy", [False, False]), ("dot", [False, False]),
    ],
)  # fmt: skip
def test_what_may_be_written_over(opcode: str, may: list[bool]) -> None:
    found = [may_share(MODULE, op(opcode, 2), number, ARRAY, ARRAY) for number in range(2)]
    assert found == may


@pytest.mark.parametrize(
    "other",
    [
        Shape(dtype="s32", dimensions=(4,)),
        Shape(dtype="f32", dimensions=(2, 2)),
        Shape(dtype="f32", dimensions=(4,), layout=(0,)),
    ],
)
def test_arrays_of_another_form_lie_elsewhere(other: Shape) -> None:
    assert not may_share(MODULE, op("negate", 1), 0, other, ARRAY)


def test_parts_of_nested_tuples() -> None:
    pair = Shape(dtype="tuple", elements=(ARRAY, ARRAY))
    nested = Shape(dtype="tuple", elements=(ARRAY, pair, ARRAY))
    parts = TupleParts()
    assert parts.leaves(nested) == (ARRAY,) * 4
    assert parts.part(nested, (1,)) == range(1, 3)
    assert parts.part(nested, (1, 1)) == range(2, 3)
    assert parts.part(nested, (2,)) == range(3, 4)
