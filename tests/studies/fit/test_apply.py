"""`apply_plan` is tested with whole steps in `test_run`; here what it leaves alone."""

from __future__ import annotations

from edgegraph.studies.fit.apply import apply_plan
from tests.studies.device_comparisons import dense


def test_no_plan_is_the_step_itself() -> None:
    workload = dense()
    assert apply_plan(workload, ()) is workload
