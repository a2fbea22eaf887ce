"""Scalar integer constants are read as XLA prints them."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Instruction


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
