"""What a study says of compiling: as a whole, by pass, by layer, with depth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from edgegraph.studies.regress.compile_words import compile_lines
from edgegraph.studies.regress.compiling import compile_time
from edgegraph.studies.regress.turns import CONTROL, FIRST, SECOND, Generation
from edgegraph.studies.regress.versions import Version

NOISE = (1.0, 1.01, 0.99)


def generations(slower: float) -> list[Generation]:
    """Three generations in which one pass makes the second version slower."""
    return [
        Generation(
            source=None,
            artifact=None,
            compile_s={FIRST: 2.0 * each, CONTROL: 2.0, SECOND: 2.0 * slower * each},
            passes={
                FIRST: {"passes\tfusion": 0.5 * each, "passes\tgone": 1.0},
                CONTROL: {"passes\tfusion": 0.5, "passes\tgone": 1.0},
                SECOND: {"passes\tfusion": 0.5 * each + 2.0 * (slower - 1)},
            },
        )
        for each in NOISE
    ]


def version(label: str, compile_s: float, apart: Any = None) -> Version:
    made = Version(label=label, options={}, compile_s=[compile_s], apart=apart)
    made.source = cast(Any, object())
    made.passes = {"passes\tfusion": 0.5}
    return made


def layers(compile_s: float) -> dict[str, Any]:
    return {
        "layers": [
            {"layers": ["head"], "phase": "forward", "compile_s": 0.1},
            {"layers": ["b0", "b1", "b2", "b3"], "phase": "forward", "compile_s": compile_s},
        ],
        "growth": {
            "layer": "b0", "repeats": 4, "numbers": [1, 2, 4],
            "rounds": [[compile_s, 2.0, 8.0]] * 3, "exponents": [1.9, 2.0, 2.1],
        },
    }  # fmt: skip


def test_compiling_that_became_slower_is_told_with_its_pass() -> None:
    found = compile_time(version("0.1", 2.0), version("0.2", 4.0), generations(2.0))
    assert found is not None
    assert found.verdict == "slower"
    assert found.ratio == pytest.approx(2.0)
    by_name = {each.name: each for each in found.passes}
    assert by_name["fusion"].verdict == "slower"
    assert by_name["fusion"].after_s == pytest.approx(2.5)
    # What a version does not run takes no time there, and is not said to take 0.
    assert (by_name["gone"].before_s, by_name["gone"].after_s) == (1.0, None)
    said = "\n".join(compile_lines(found))
    assert "compiling became slower: 4 s against 2 s, ratio 2.00" in said
    assert "the pass: fusion, 500 ms → 2.5 s" in said


def test_what_takes_as_long_is_not_told() -> None:
    found = compile_time(version("0.1", 2.0), version("0.2", 2.0), generations(1.0))
    assert found is not None
    assert found.verdict in ("no difference", "NOISY")
    assert list(compile_lines(found)) == []


def test_one_version_has_layers_and_their_growth_and_no_verdict() -> None:
    found = compile_time(None, version("0.1", 9.0, layers(0.5)), ())
    assert found is not None
    assert (found.verdict, found.before_s, found.after_s) == (None, None, 9.0)
    assert [(each.layer, each.repeats) for each in found.layers] == [("b0", 4), ("head", 1)]
    assert found.layers[0].ratio is None
    (growth,) = found.growth
    assert growth.exponent == pytest.approx(2.0)
    assert growth.saved_s == pytest.approx(7.5)
    said = list(compile_lines(found))
    assert said[0] == "compiling takes 9 s"
    assert said[1].startswith(
        "0.1: the 4 layers like b0 take 8 s to compile, one 500 ms; it grows as layers^2.0 (1.8 to"
    )
    assert said[1].endswith("jax.lax.scan over them would save about 7.5 s")
    # A scan that saves little is not named.
    small = replace(found, growth=(replace(growth, one_s=7.9),))
    assert list(compile_lines(small)) == ["compiling takes 9 s"]


def test_layers_of_two_versions_stand_side_by_side() -> None:
    found = compile_time(version("0.1", 9.0, layers(0.5)), version("0.2", 9.0, layers(1.0)), ())
    assert found is not None
    assert found.layers[0].ratio == pytest.approx(2.0)
    assert [each.version for each in found.growth] == ["0.1", "0.2"]
    # Compiled once each, no verdict is given.
    assert {each.verdict for each in found.passes} == {None}


def test_a_version_without_a_program_has_no_time_to_compile() -> None:
    assert compile_time(None, Version(label="0.1", options={}), ()) is None
