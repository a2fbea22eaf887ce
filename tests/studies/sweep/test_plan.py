"""What is swept over is checked before any work, and put together after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgegraph.errors import InputError
from edgegraph.studies.sweep.plan import MixedMachinesWarning, make_plan
from tests.studies.sweep.conftest import dense, plan
from tests.studies.sweeps import point, sweep


def test_points_of_different_machines_are_told() -> None:
    here, there = sweep(point(1, 100.0)), sweep(point(2, 190.0))
    there = replace(there, environment=replace(there.environment, processor="another"))
    with pytest.warns(MixedMachinesWarning, match="dense: .* machines that differ .*another"):
        made = make_plan(dense(), batches=[1, 2]).result([there, here])
    assert [found.batch for found in made.points] == [1, 2]


@pytest.mark.parametrize(
    ("subject", "settings", "message"),
    [
        (None, {"batches": []}, "no batch size was given"),
        (None, {"batches": [0]}, "batch must be a positive integer, not 0"),
        (None, {"batches": [True]}, "batch must be a positive integer, not True"),
        (None, {"max_latency_s": 0.0}, "the latency budget must be positive, not 0.0 s"),
        (None, {"option_sets": {"default": {}}}, "choose another label"),
        (None, {"dtypes": ["float32"]}, "has its dtype already"),
        (7, {}, "cannot sweep 7; expected a Workload, or a function that returns one"),
        (lambda: 7, {}, "it returns 7, not a Workload"),
        (dense, {"dtypes": []}, "no dtype was given"),
        (lambda: dense(), {"dtypes": ["float32"]}, "cannot make a workload with dtype='float32'"),
    ],
)
def test_bad_input_is_refused(subject: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(subject, **settings)


def test_what_is_left_out_is_swept_widely_and_measured_here() -> None:
    made = make_plan(dense())
    assert made.batches == (1, 2, 4, 8, 16, 32, 64, 128, 256)
    assert made.queue_depths == (1, 4, 16)
    assert (made.target, made.measure, made.dtypes) == ("cpu", True, (None,))
    assert make_plan(dense(), target="device:rpi5").measure is False
