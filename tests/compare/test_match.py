"""What is no change: other names and numbers, another order, another run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
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
