"""Attributes are written as XLA writes them: the expected text is from XLA's own dumps."""

from __future__ import annotations

import re

import pytest

from edgegraph.hlo.module import Instruction, Shape, WindowDimension
from edgegraph.hlo.text import argument_text, attributes_text, window_text
from tests.hlo.texts import IDS, PROGRAMS, STAGES, instruction_lines, module_and_text

ALWAYS_WRITTEN = (
    "window=", "dim_labels=", "feature_group_count=", "batch_group_count=", "direction=", "index=",
    "control-predecessors=", "custom_call_target=", "lhs_contracting_dims=", "calls=", "body=",
)  # fmt: skip
"""What is in XLA's line if and only if it is in ours."""


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("program", range(len(PROGRAMS)), ids=IDS)
def test_attributes_stand_in_xlas_own_line(program: int, stage: str) -> None:
    module, text = module_and_text(program, stage)
    lines = instruction_lines(text)
    for computation in module.computations.values():
        for instruction in computation.instructions:
            line = lines[instruction.name].partition(", metadata=")[0]
            ours = attributes_text(instruction).replace("%", "").partition(", backend_config=")[0]
            for attribute in re.split(r", (?=[\w-]+=)", ours)[1:]:
                if attribute.startswith("branch_computations="):  # or true_, false_computation
                    assert all(name in line for name in instruction.called), line
                elif not attribute.startswith("operand_precision="):
                    assert attribute in line, (instruction.name, attribute, line)
            for name in ALWAYS_WRITTEN:
                assert (f" {name}" in line) == (f" {name}" in ours), (name, ours, line)
            if instruction.literal is not None:
                assert f"constant({argument_text(instruction)})" in line


def test_what_stands_in_the_brackets_without_operands() -> None:
    flag = Instruction(name="c", opcode="constant", shape=Shape(dtype="pred"), literal=0)
    assert argument_text(flag) == "false"
    scalar = Shape(dtype="s32")
    assert argument_text(Instruction(name="c", opcode="constant", shape=scalar)) == "…"
    assert argument_text(Instruction(name="i", opcode="iota", shape=scalar)) == ""


def test_a_long_configuration_is_cut() -> None:
    call = Instruction(name="f", opcode="rng", shape=Shape(dtype="f32"), backend_config="x" * 300)
    assert attributes_text(call) == f", backend_config={'x' * 200}…"


def test_a_window_says_what_differs_from_the_default_along_any_axis() -> None:
    plain = WindowDimension(size=3)
    assert window_text([plain, plain]) == "size=3x3"
    odd = WindowDimension(
        size=5, stride=2, padding_low=1, padding_high=2, window_dilation=3, base_dilation=4,
        reversal=True,
    )  # fmt: skip
    assert window_text([odd, plain]) == (
        "size=5x3 stride=2x1 pad=1_2x0_0 lhs_dilate=4x1 rhs_dilate=3x1 rhs_reversal=1x0"
    )
