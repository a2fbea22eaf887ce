"""Rules of one's own: registered, replaced, and told where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.analysis.findings import RULES, find
from edgegraph.errors import InputError
from tests import analyses


@pytest.fixture(autouse=True)
def _rules_of_before() -> Iterator[None]:
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def finding(rule: str, weight: float = 0.0) -> eg.Finding:
    return eg.Finding(
        rule=rule, layer=None, seen="", why="", try_next="", numbers={}, certainty="high",
        weight=weight,
    )  # fmt: skip


def test_a_rule_of_ones_own_runs_with_every_analysis() -> None:
    @eg.register_finding("mine")
    def mine(evidence: eg.Evidence) -> Iterator[eg.Finding]:
        assert evidence.analysis.findings == ()
        assert evidence.module.name == "jit__lambda"
        yield finding("mine")

    analysis = analyses.memory_bound()
    assert [each.rule for each in analysis.findings].count("mine") == 1


def test_it_takes_the_place_of_one_with_the_same_name() -> None:
    @eg.register_finding("compute-bound-layer")
    def always(evidence: eg.Evidence) -> list[eg.Finding]:
        return [finding("compute-bound-layer", weight=2.0)]

    first, *others = find(analyses.small_cnn(32))
    assert first.weight == 2.0
    assert "compute-bound-layer" not in {other.rule for other in others}


def test_a_finding_under_another_name_is_refused() -> None:
    eg.register_finding("mine")(lambda evidence: [finding("yours")])
    with pytest.raises(InputError, match="rule 'mine' returned a finding of rule 'yours'"):
        find(analyses.small_cnn(1))


@pytest.mark.parametrize("name", ["", " ", None, len])
def test_a_rule_needs_a_name(name: Any) -> None:
    with pytest.raises(InputError, match="register_finding got the name"):
        eg.register_finding(name)
