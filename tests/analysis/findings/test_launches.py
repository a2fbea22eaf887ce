"""What is said of a program of many small kernels: figures by hand, and what would be quicker."""

from __future__ import annotations

import pytest

from edgegraph.reporting.answer import headline
from tests.analysis.test_overhead import chain


def test_many_small_kernels_are_overhead_with_their_figures() -> None:
    found = chain(200)
    (finding,) = [each for each in found.findings if each.rule == "overhead"]
    # Each takes 200 ns to start, and 1.28 ns to move 128 bytes at 100 GB/s.
    assert finding.numbers["kernels"] == 201
    assert finding.numbers["kernel_s"] == pytest.approx(201.28e-9)
    assert finding.numbers["roof_time_s"] == pytest.approx(201 * 1.28e-9, rel=1e-3)
    assert "201 kernels of 201 ns take 100 % of the expected time" in finding.seen
    assert finding.try_next.startswith("batch, merge or scan")
    assert found.totals.bound == "overhead"
    assert "bound by launches" in headline(found)
    roofline = {"memory-bound-dense", "compute-bound-layer", "far-under-the-roof"}
    assert roofline.isdisjoint(finding.rule for finding in found.findings)
