"""What is swept over is checked before any work, and put together after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import pytest

from edgegraph.errors import InputError
from edgegraph.studies.sweep.plan import MixedMachinesWarning, make_plan
from edgegraph.workload import Workload
from tests.studies.sweep.conftest import dense, plan, scores
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
        (scores(), {"vary": {"depth": [1]}}, "scores has no axis 'depth'; it has length"),
        (dense(), {"vary": {"length": [1]}}, "no axis 'length'; it has none besides the batch"),
        (scores(), {"vary": {"length": []}}, "no length was given; give a list such as"),
        (scores(), {"vary": {"length": [0]}}, "length must be a positive integer, not 0"),
        (scores(), {"vary": {"batch": [1]}}, "the batch is given twice, as batches and in vary"),
    ],
)
def test_bad_input_is_refused(subject: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(subject, **settings)


def test_axes_are_varied_beside_the_batch() -> None:
    both = make_plan(scores(), vary={"length": [8, 2, 8], "batch": [4, 1]})
    assert (both.batches, both.axes) == ((1, 4), {"length": (2, 8)})
    assert [(cell.batch, dict(cell.sizes)) for cell in both.cells] == [
        (1, {"length": 2}), (4, {"length": 2}), (1, {"length": 8}), (4, {"length": 8}),
    ]  # fmt: skip
    assert make_plan(scores(), vary={"length": [2, 8]}).batches == (1,)
    assert make_plan(scores(), batches=[2], vary={"length": [2, 8]}).batches == (2,)


def test_two_axes_at_most_have_several_sizes() -> None:
    def three(dtype: str = "float32") -> Workload:
        return Workload.from_function(
            lambda x: x, lambda batch, rows=1, columns=1: (jnp.ones((batch, rows, columns)),)
        )

    many = {"batch": [1, 2], "rows": [1, 2], "columns": [1, 2]}
    with pytest.raises(InputError, match="along 2 axes at most, not along batch, rows, columns"):
        make_plan(three, vary=many)
    made = make_plan(three, vary={**many, "batch": [2]})
    assert made.axes == {"rows": (1, 2), "columns": (1, 2)}
    with pytest.raises(InputError, match="along 2 axes at most for one dtype"):
        make_plan(three, vary={**many, "batch": [2]}, dtypes=["float32", "bfloat16"])


def test_an_axis_called_like_a_column_is_refused() -> None:
    odd = Workload.from_function(lambda x: x, lambda batch, bound=1: (jnp.ones((batch, bound)),))
    with pytest.raises(InputError, match="the axis bound has the name of a column of every sweep"):
        make_plan(odd, vary={"bound": [1, 2]})


def test_what_is_left_out_is_swept_widely_and_measured_here() -> None:
    made = make_plan(dense())
    assert made.batches == (1, 2, 4, 8, 16, 32, 64, 128, 256)
    assert made.queue_depths == (1, 4, 16)
    assert (made.target, made.measure, made.dtypes) == ("cpu", True, (None,))
    assert make_plan(dense(), target="device:rpi5").measure is False
