"""Improvements made by hand."""

from __future__ import annotations

from edgegraph.results.analysis import Environment
from edgegraph.results.timing import ProcessTimes, TimingComparison
from edgegraph.results.verdicts import FASTER
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import Change, OutputCheck
from tests.analyses import small_cnn

ENVIRONMENT: Environment = small_cnn().environment


def change(rule: str, plain_s: float, form_s: float, *, kept: bool, executions: int = 1) -> Change:
    return Change(
        rule=rule,
        title=f"{rule} -> other",
        exactness="reassociating",
        signature=f"{rule}(float32[8])",
        scopes=("Net/conv",),
        executions=executions,
        plain_s=plain_s,
        form_s=form_s,
        difference=2e-7,
        kept=kept,
        reason=None if kept else "not faster alone",
    )


def improvement(**changed: object) -> Improvement:
    seen = ProcessTimes(
        first_s=0.02, second_s=0.005, control_s=0.02, ratio=0.25, control_ratio=1.0, pairs=50,
        others_share=0.0,
    )  # fmt: skip
    timing = TimingComparison(
        first="net", second="net, improved", first_s=0.02, second_s=0.005, ratio=0.25,
        interval=(0.2, 0.4), control_ratio=1.0, control_interval=(0.99, 1.01), verdict=FASTER,
        cores=2, processes=(seen,),
    )  # fmt: skip
    fields = {
        "workload": "net",
        "batch": 1,
        "target": "cpu",
        "environment": ENVIRONMENT,
        "changes": (
            change("depthwise", 0.004, 0.0005, kept=True, executions=4),
            change("pointwise", 0.001, 0.002, kept=False),
        ),
        "outputs": (OutputCheck(name="", largest=4.0, difference=2e-6, sensitivity=1e-6),),
        "timing": timing,
    } | changed
    return Improvement(**fields)  # type: ignore[arg-type]
