"""Prices are remembered; instructions of equal shapes must not be taken for equal."""

from __future__ import annotations

import pytest

from edgegraph import xla
from tests.conformance.cases import Case, binary, module
from tests.conformance.harness import alone, price


def with_each(opcode: str, result: str, operands: str, *attributes: str) -> list[Case]:
    """Write instructions that differ in their attributes."""
    return [Case(opcode, result, tuple(operands.split()), f", {each}") for each in attributes]


def with_functions(opcode: str, result: str, operands: str, attributes: str) -> list[Case]:
    """Write instructions that differ in the function that they apply."""
    return [
        Case(opcode, result, tuple(operands.split()), f", {attributes}, to_apply=f@", (function,))
        for function in (binary("f32", "add"), binary("f32", "power"))
    ]


CASES = (
    with_each(
        "dot",
        "f32[2,2]",
        "f32[2,2] f32[2,2]",
        "lhs_contracting_dims={1}, rhs_contracting_dims={0}",
        "lhs_batch_dims={0,1}, rhs_batch_dims={0,1}",
    ),
    with_each(
        "convolution",
        "f32[1,5,5,1]",
        "f32[1,5,5,1] f32[3,3,1,1]",
        "dim_labels=b01f_01io->b01f, window={size=3x3 pad=1_1x1_1}",
        "dim_labels=b01f_01io->b01f, window={size=3x3 pad=2_2x2_2 rhs_dilate=2x2}",
    ),
    with_each(
        "fft",
        "c64[4,4]",
        "c64[4,4]",
        "fft_type=FFT, fft_length={4}",
        "fft_type=FFT, fft_length={4,4}",
    ),
    [
        case
        for window in ("size=1", "size=3 pad=1_1", "size=5 pad=2_2")
        for case in with_functions(
            "reduce-window", "f32[9]", "f32[9] f32[]", f"window={{{window}}}"
        )
    ],
    with_functions("reduce", "f32[3]", "f32[3,5] f32[]", "dimensions={1}"),
    with_functions("map", "f32[9]", "f32[9] f32[9]", "dimensions={0}"),
    with_functions(
        "scatter",
        "f32[9]",
        "f32[9] s32[4,1] f32[4]",
        "update_window_dims={}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0},"
        " index_vector_dim=1",
    ),
)


@pytest.mark.parametrize("cases", CASES, ids=lambda cases: cases[0].opcode)
def test_equal_shapes_are_not_taken_for_equal_costs(cases: list[Case]) -> None:
    theirs = [alone(case) for case in cases]
    assert len(set(theirs)) > 1
    priced = price(xla.parse_text(module(*cases)))
    assert [priced.cost(f"x{number}") for number in range(len(cases))] == theirs
