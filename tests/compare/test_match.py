"""What is no change: other names and numbers, another order, another run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgegraph as eg
from tests import programs
from tests.compare.shuffle import shuffled

PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "small_cnn": (programs.small_cnn, (8,)),
    "gradient": (programs.small_cnn_gradient, (4,)),
    "remat": (programs.remat_gradient, ()),
    "scan": (programs.scan, (5,)),
    "branches": (programs.branches, ()),
    "mixed": (programs.mixed, ()),
}


@cache
def program(name: str, stage: str) -> eg.Program:
    make, settings = PROGRAMS[name]
    function, arguments = make(*settings)
    return eg.compile(function, *arguments, name=name, stage=stage)


@cache
def analysis(name: str, stage: str) -> eg.Analysis:
    return eg.analyze(program(name, stage))


@pytest.mark.parametrize("stage", ["optimized", "lowered"])
@pytest.mark.parametrize("name", PROGRAMS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_other_names_and_order_are_no_change(name: str, stage: str, seed: int) -> None:
    original = analysis(name, stage)
    other = eg.analyze(shuffled(program(name, stage), Random(seed)))
    assert {op.name for op in original.op_records}.isdisjoint(op.name for op in other.op_records)
    for before, after in ((original, other), (other, original)):
        found = eg.diff(before, after)
        assert found.op_changes == ()
        assert found.empty
        assert found.same_ops > 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_another_run_is_no_change(name: str) -> None:
    make, settings = PROGRAMS[name]
    function, arguments = make(*settings)
    again = eg.analyze(eg.compile(function, *arguments, name="again"))
    found = eg.diff(analysis(name, "optimized"), again)
    assert found.empty
    assert [setting.name for setting in found.settings] == ["workload"]
    assert all(
        figure.before == figure.after for figure in found.figures if figure.name != "code_bytes"
    )


FUSED = """HloModule m
inner {{ p = f32[8] parameter(0)
  a = f32[8] tanh(p)
  b = f32[8] {second}(a)
  c = f32[8] {third}(b)
  ROOT d = f32[{size}] {last} }}
ENTRY e {{ x = f32[8] parameter(0)
  ROOT f = f32[{size}] fusion(x), kind=kLoop, calls=inner }}"""


def fused(folder: Path, **ops: str) -> eg.Analysis:
    path = folder / "module.txt"
    path.write_text(FUSED.format(**ops))
    return eg.analyze(eg.read_hlo(path))


@pytest.mark.parametrize(
    ("second", "kinds"), [("exponential", {"changed"}), ("cosine", {"added", "removed"})]
)
def test_kernels_that_share_half_of_their_ops_are_one_another_s(
    second: str, kinds: set[str], tmp_path: Path
) -> None:
    # Of four ops tanh is shared, and the second or not.
    cut = "slice(c), slice={[0:6]}"
    before = fused(tmp_path, second="exponential", third="log", last=cut, size="6")
    joined = "concatenate(c, c), dimensions={0}"
    found = eg.diff(before, fused(tmp_path, second=second, third="sine", last=joined, size="16"))
    assert {change.kind for change in found.op_changes} == kinds
