"""The smallest case: what shows half of the whole, as text that others can read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgegraph.results.timing import TimingComparison
from edgegraph.studies.regress.case import Cutter, bare, lowered_text, shows
from edgegraph.studies.regress.script import Script
from edgegraph.studies.regress.turns import concluded
from edgegraph.studies.regress.workers import Side, Source
from tests.studies.regressions import seen


def timing(ratio: float) -> TimingComparison:
    return concluded(("a", "b"), [seen(ratio), seen(1.001 * ratio), seen(0.999 * ratio)])


@pytest.mark.parametrize(
    ("part", "whole", "enough"),
    [(2.0, 2.0, True), (1.5, 2.0, True), (1.2, 2.0, False), (0.5, 2.0, False), (0.5, 0.4, True)],
)
def test_a_part_shows_it_by_half(part: float, whole: float, enough: bool) -> None:
    # In logarithms: half of twice as slow is 1.414 times.
    assert shows(timing(part), timing(whole)) is enough


def test_the_module_of_a_case_is_what_jax_lowers() -> None:
    script = Script(
        body=("b = lax.sin(a)", "return b"),
        arguments=(("a", "float32", (4,)),),
        operations=("sin",),
    )
    text = bare(lowered_text(script))
    assert "f32[4]{0} sine" in text or "f32[4] sine" in text
    assert "metadata" not in text


def test_names_and_positions_are_left_out() -> None:
    text = 'a = f32[] add(b, c), metadata={op_name="x{y}" id=1}, backend_config={"a":{"b":1}}\n'
    assert bare(f'FileNames\n1 "a.py"\n\n{text}') == "a = f32[] add(b, c)\n"


def test_what_a_version_lowers_otherwise_is_one_script_with_both_forms(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import jax, jax.numpy as jnp, os\n"
        "def net(x):\n"
        "    with jax.named_scope('slow'):\n"
        "        for _ in range(12):\n"
        "            x = jnp.sort(-x, axis=0)\n"
        "        return x\n"
    )
    side = Side(label="b", python=Path(sys.executable))
    source = Source(spec=f"{tmp_path}/net.py:net", args=("x=f32[64,64]",))
    cutter = Cutter(
        sides=(side, side), source=source, folder=tmp_path, layers=["slow"], ops="sort",
        report=lambda message, fraction: None,
    )  # fmt: skip
    # Both lower it alike, so there is nothing to show.
    assert cutter.forms(timing(2.0)) is None
    found = cutter._cut(side)
    assert found[0].what == "sort"
    assert found[-1].whole


def test_where_no_version_can_cut_this_jax_does(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import jax\ndef net(x):\n    return jax.numpy.sin(x)\n")
    gone = Side(label="a", python=tmp_path / "python")
    gone.python.symlink_to("/bin/false")
    cutter = Cutter(
        sides=(gone, gone), source=Source(spec=f"{tmp_path}/net.py:net", args=("x=f32[4]",)),
        folder=tmp_path, layers=[], ops="", report=lambda message, fraction: None,
    )  # fmt: skip
    assert cutter._cut_anywhere()[0].what == "sin"
