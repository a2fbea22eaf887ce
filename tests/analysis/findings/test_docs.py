"""The page on findings lists every rule, with its thresholds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgegraph.analysis import overhead
from edgegraph.analysis.findings import (
    RULES,
    data,
    fusions,
    launches,
    program,
    registry,
    slow,
)
from edgegraph.base.units import percent, seconds
from edgegraph.results.verdicts import FAR_UNDER

PAGE = Path(__file__).parents[3] / "docs" / "findings.md"

ROWS = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|.*\|$", PAGE.read_text("utf-8"), re.MULTILINE))
"""When a rule fires, by its name; the parts of a finding stand in a table of two columns."""

THRESHOLDS = {
    "memory-bound-dense": [percent(registry.LARGE_SHARE)],
    "compute-bound-layer": [percent(registry.LARGE_SHARE)],
    "far-under-the-roof": [percent(registry.LARGE_SHARE), percent(FAR_UNDER)],
    "faster-form": [percent(registry.LARGE_SHARE)],
    "no-library-kernel": [percent(slow.LOOPED)],
    "slow-function": [f"{slow.FEWEST_VALUES:,}", percent(registry.LARGE_SHARE)],
    "dispatch-bound": [percent(launches.DISPATCH_BOUND)],
    "overhead": [
        percent(overhead.DOMINANT),
        f"{overhead.FEWEST_LAUNCHES}",
        seconds(overhead.SMALL_S),
    ],
    "dominant-loop": [percent(program.DOMINANT)],
    "exposed-transfers": [percent(program.EXPOSED_SHARE)],
    "rematerialisation": [percent(program.REMATERIALISED)],
    "fusion-recomputes": [percent(fusions.RECOMPUTED)],
    "library-fusion-hurts": [percent(fusions.LIBRARY_LOSS)],
    "padding-waste": [percent(data.PADDED)],
    "dtype-conversions": [percent(data.MOVED_WITHOUT_NEED)],
    "layout-changes": [percent(data.MOVED_WITHOUT_NEED)],
    "low-coverage": [percent(program.MOST_WITHOUT_LAYER)],
}


def test_the_page_lists_every_rule_and_no_other() -> None:
    assert set(ROWS) == set(RULES)


@pytest.mark.parametrize("rule", THRESHOLDS)
def test_the_page_has_the_thresholds(rule: str) -> None:
    for threshold in THRESHOLDS[rule]:
        assert threshold in ROWS[rule]


def test_the_page_says_how_short_a_short_kernel_is() -> None:
    assert f"under {seconds(program.SHORT_KERNEL_S)} on average" in PAGE.read_text("utf-8")
