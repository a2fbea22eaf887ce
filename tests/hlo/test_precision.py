"""Precisions, by XLA's own parser of HLO text."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.hlo.decode import decode

DOT = "dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
CONVOLUTION = "convolution(x, y), dim_labels=bf_io->bf"
CALL = 'custom-call(x, y), custom_call_target="__cublas$gemm"'

ALGORITHMS = (
    "dot_any_f8_any_f8_f32", "dot_any_f8_any_f8_f32_fast_accum", "dot_f16_f16_f16",
    "dot_f16_f16_f32", "dot_bf16_bf16_bf16", "dot_bf16_bf16_f32", "dot_bf16_bf16_f32_x3",
    "dot_bf16_bf16_f32_x6", "dot_bf16_bf16_f32_x9", "dot_tf32_tf32_f32", "dot_tf32_tf32_f32_x3",
    "dot_f32_f32_f32", "dot_f64_f64_f64",
)  # fmt: skip


def precision(op: str, attribute: str = "") -> str | None:
    text = f"""HloModule m
      ENTRY e {{ x = f32[2,2] parameter(0)
                 y = f32[2,2] parameter(1)
                 ROOT p = f32[2,2] {op}{attribute} }}"""
    module = decode(xla.parse_text(text))
    return module.computations[module.entry].instructions[-1].precision


@pytest.mark.parametrize("op", [DOT, CONVOLUTION, CALL])
def test_operand_precision(op: str) -> None:
    assert precision(op) is None
    assert precision(op, ", operand_precision={default,default}") is None
    assert precision(op, ", operand_precision={high,high}") == "high"
    assert precision(op, ", operand_precision={highest,highest}") == "highest"
    assert precision(op, ", operand_precision={highest,high}") == "high"
    assert precision(op, ", operand_precision={highest,default}") is None


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms(name: str) -> None:
    assert precision(DOT, f", algorithm={name}") == name


def test_other_ops_have_none() -> None:
    assert precision("add(x, y)") is None
