"""What a regression study says."""

from __future__ import annotations

from dataclasses import replace

from edgegraph.studies.regress.words import conclusions, of
from tests.studies.regressions import regression


def test_it_says_whether_since_when_whose_and_where() -> None:
    said = "\n".join(conclusions(regression()))
    assert "0.10.2 against 0.10.1: slower" in said
    assert "ratio 2.00" in said
    assert "it began with 0.10.2" in said
    assert "the change is XLA's" in said
    assert "slower by most: Net/Dense_0" in said
    assert "fusion f32[8] → dot f32[8] in Net/Dense_0" in said
    assert "alone it shows in dot_general" in said


def test_what_is_not_known_is_not_said() -> None:
    bare = replace(
        regression(), timing=None, whose=None, case=None, layers=(), ops=(), began=None,
        same_program=None,
    )  # fmt: skip
    assert conclusions(bare) == (
        "0.10.2 against 0.10.1: whether the programs are the same is not known; it was not timed",
    )
    assert conclusions(replace(bare, before=None, after=None)) == (
        "fewer than two versions run it, so nothing is compared",
    )


def test_whose_change_is_written_out() -> None:
    assert of("XLA") == "XLA's"
    assert of("JAX or Flax") == "JAX's or Flax's"
    assert of("JAX and XLA") == "JAX's and XLA's"
