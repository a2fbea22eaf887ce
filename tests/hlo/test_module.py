from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Instruction, Shape


@pytest.mark.parametrize(
    ("shape", "size", "size_bytes", "written"),
    [
        (Shape(dtype="f32", dimensions=(2, 3)), 6, 24, "f32[2,3]"),
        (Shape(dtype="bf16"), 1, 2, "bf16[]"),
        (Shape(dtype="s4", dimensions=(3,)), 3, 2, "s4[3]"),
        (Shape(dtype="pred", dimensions=(5,)), 5, 5, "pred[5]"),
        (Shape(dtype="c128", dimensions=(0, 7)), 0, 0, "c128[0,7]"),
        (Shape(dtype="token"), 0, 0, "token[]"),
    ],
    ids=str,
)
def test_arrays(shape: Shape, size: int, size_bytes: int, written: str) -> None:
    assert (shape.size, shape.bytes, str(shape)) == (size, size_bytes, written)
    assert shape.leaves() == (shape,)


def test_tuples() -> None:
    a, b = Shape(dtype="f32", dimensions=(8,)), Shape(dtype="s32")
    inner = Shape(dtype="tuple", elements=(b, a))
    outer = Shape(dtype="tuple", elements=(a, inner))
    assert (outer.size, outer.bytes) == (0, 32 + 4 + 32)
    assert outer.leaves() == (a, b, a)
    assert str(outer) == "(f32[8], (s32[], f32[8]))"


@pytest.mark.parametrize("dtype", ["pred", "s8", "bf16", "f32", "c64", "f8e4m3fn"])
def test_bytes_are_what_xla_reads_and_writes(dtype: str) -> None:
    text = f"HloModule m ENTRY e {{ x = {dtype}[3,5] parameter(0) ROOT y = {dtype}[3,5] copy(x) }}"
    serialized = xla.parse_text(text)
    module = decode(serialized)
    total = sum(i.shape.bytes for i in module.computations["e"].instructions)
    assert total == xla.cost_analysis(serialized)["bytes accessed"]
    assert module.instruction_count == 2


def constant(dtype: str, value: str) -> Instruction:
    text = f"HloModule m ENTRY e {{ ROOT c = {dtype} constant({value}) }}"
    return decode(xla.parse_text(text)).computations["e"].instructions[0]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("s8[]", -7), ("u8[]", 200), ("s16[]", -300), ("u16[]", 65535), ("s32[]", -70000),
        ("u32[]", 4294967295), ("s64[]", -(2**40)), ("u64[]", 2**63), ("s32[]", 0), ("u8[]", 0),
    ],
)  # fmt: skip
def test_integers(dtype: str, value: int) -> None:
    assert constant(dtype, str(value)).literal == value


def test_booleans() -> None:
    assert constant("pred[]", "true").literal == 1
    assert constant("pred[]", "false").literal == 0


@pytest.mark.parametrize(("dtype", "value"), [("f32[]", "3"), ("s32[2]", "{1,2}")])
def test_other_constants_are_not_read(dtype: str, value: str) -> None:
    assert constant(dtype, value).literal is None


def test_directions_of_comparisons() -> None:
    text = (
        "HloModule m ENTRY e { a = s32[] parameter(0)"
        " b = s32[] constant(5) ROOT c = pred[] compare(a, b), direction=GE }"
    )
    a, _, c = decode(xla.parse_text(text)).computations["e"].instructions
    assert (a.comparison, c.comparison) == (None, "GE")
