"""Which programs ran, for how long: by hand."""

from __future__ import annotations

import pytest

from edgegraph.measure.trace.profile import read_profile
from tests.measure.trace.profiles import STRAIGHT, Made, op, space


def test_time_is_that_in_which_an_op_ran_on_each_device() -> None:
    lines = {
        "Stream #1": [op("a", 0, 100), op("b", 200, 50)],
        "Stream #2": [op("c", 50, 100)],  # half of it beside a
    }
    found = read_profile(
        space(
            {
                "/device:GPU:0": lines,
                "/device:GPU:1": lines,
                "/host:CPU": {"t": [Made("x", 0, 500, {"hlo_op": "x", "hlo_module": "other"})]},
            },
            stats={"/device:GPU:0": {"core_count": 132}},
            programs={"m(7)": STRAIGHT.serialized},
        )
    )
    assert [(each.name, each.target, each.calls) for each in found] == [
        ("other", "cpu", None),
        ("m", "gpu", 2),
    ]
    assert [each.time_s for each in found] == [pytest.approx(5e-7), pytest.approx(2 * 2e-7)]
    assert found[1].statistics == {"core_count": 132}
    assert found[0].hlo is None
    assert found[1].hlo is not None


def test_a_tpu_names_its_programs_on_a_line_of_their_own() -> None:
    wide = 2**64 - 5  # which other places write as -5
    (found,) = read_profile(
        space(
            {
                "/device:TPU:0": {
                    "XLA Modules": [Made(f"jit_f({wide})", 0, 100)],
                    "XLA Ops": [Made("%a = f32[8] negate(...)", 10, 20)],
                }
            },
            programs={"jit_f(-5)": STRAIGHT.serialized},
        )
    )
    assert (found.name, found.program, found.target, found.calls) == ("jit_f", wide, "tpu", 1)
    assert found.time_s == pytest.approx(2e-8)
