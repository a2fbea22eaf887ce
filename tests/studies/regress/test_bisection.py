"""The first version that changed is found in few steps, and what cannot be told stays open."""

from __future__ import annotations

import math
from functools import partial

import pytest

from edgegraph.studies.regress.bisection import find_first
from edgegraph.studies.regress.result import Probe


def changed_from(first: int, at: int) -> Probe:
    return Probe(version=str(at), changed=at >= first, why="")


@pytest.mark.parametrize("count", [2, 3, 7, 16])
def test_every_first_change_is_found_in_logarithmically_many_steps(count: int) -> None:
    for first in range(1, count):
        found, probes = find_first(count, partial(changed_from, first))
        assert found == (first - 1, first)
        assert len(probes) <= 1 + math.ceil(math.log2(count))


def test_where_the_last_does_not_differ_nothing_is_searched() -> None:
    found, probes = find_first(9, lambda at: Probe(version=str(at), changed=False, why=""))
    assert found is None
    assert len(probes) == 1


def test_versions_that_cannot_be_told_leave_a_gap() -> None:
    def probe(at: int) -> Probe:
        return Probe(version=str(at), changed=None if at in (3, 4) else at >= 4, why="")

    found, probes = find_first(8, probe)
    assert found == (2, 5)
    assert {each.version for each in probes if each.changed is None} == {"3", "4"}
