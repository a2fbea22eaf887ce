"""What is said of compiling."""

from __future__ import annotations

from edgegraph.studies.regress.compile_time import CompileTime, PassTime
from edgegraph.studies.regress.compile_words import compile_lines, moved_pass

FUSION = PassTime(name="fusion", threads="passes", before_s=0.5, after_s=2.5, verdict="slower")
CODE = PassTime(name="CSE", threads="machine code", before_s=0.5, after_s=9.0, verdict="slower")


def slower(*passes: PassTime) -> CompileTime:
    return CompileTime(
        before_s=2.0, after_s=4.0, ratio=2.0, interval=(1.9, 2.1), verdict="slower", passes=passes
    )


def test_the_pass_is_one_of_those_that_follow_each_other() -> None:
    # What goes on beside them may take long and delay nothing.
    assert moved_pass(slower(CODE, FUSION)) == FUSION
    assert list(compile_lines(slower(CODE, FUSION))) == [
        "compiling became slower: 4 s against 2 s, ratio 2.00 (95 %: 1.90 to 2.10)",
        "the pass: fusion, 500 ms → 2.5 s",
    ]


def test_no_pass_is_named_that_has_no_verdict() -> None:
    other = PassTime(name="fusion", threads="passes", before_s=0.5, after_s=2.5, verdict="NOISY")
    assert moved_pass(slower(other)) is None
    same = CompileTime(before_s=2.0, after_s=2.0, verdict="no difference", passes=(FUSION,))
    assert moved_pass(same) is None
    assert list(compile_lines(same)) == []
