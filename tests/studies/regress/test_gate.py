"""What other versions make of a program, held against limits."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.studies.regress import gate
from edgegraph.studies.regress.gate import check_by_turns, check_versions
from edgegraph.studies.regress.run import VersionStudy
from edgegraph.studies.regress.turns import concluded
from edgegraph.studies.regress.versions import Version
from tests.studies.regressions import regression, seen

HERE = [sys.executable, sys.executable]


def analysis(products: int) -> eg.Analysis:
    def net(x: jax.Array) -> jax.Array:
        for _ in range(products):
            x = jnp.tanh(x @ x)
        return x

    return eg.analyze(net, args=(jax.ShapeDtypeStruct((8, 8), "float32"),), name="net")


ANALYSES = {"0.1": analysis(1), "0.2": analysis(2)}


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two versions, of which the second has a product more; nothing is installed or run."""
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))

    def version(study: VersionStudy, number: int, wanted: str) -> Version:
        made = Version(label=wanted, options={})
        source: Any = SimpleNamespace(analysis=ANALYSES[wanted]) if wanted in ANALYSES else None
        made.source, made.error = source, None if source else "it is not for this Python"
        return made

    monkeypatch.setattr(VersionStudy, "named", lambda study, wanted: ["0.1", "0.2"])
    monkeypatch.setattr(VersionStudy, "version", version)


def test_without_a_baseline_the_oldest_is_held_against_the_others() -> None:
    ((version, result),) = check_versions("a:b", python=HERE, limits={"max_macs": "+1%"})
    assert (version, result.passed) == ("0.2", False)
    # 8 * 8 * 8, and twice that.
    assert (result.checks[0].before, result.checks[0].after) == (512, 1024)


def test_a_baseline_is_held_against_all(tmp_path: Path) -> None:
    path = ANALYSES["0.1"].save(tmp_path / "b.edgegraph")
    limits = {"max_macs": "+0"}
    found = check_versions("a:b", python=HERE, baseline=Path(path), limits=limits)
    assert [(version, result.passed) for version, result in found] == [
        ("0.1", True),
        ("0.2", False),
    ]


def test_a_latency_is_taken_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VersionStudy, "generations", lambda study, one, other: [])
    monkeypatch.setattr(VersionStudy, "concluded", lambda *given: regression().timing)
    limits = {"max_latency": "+5%", "max_ops": "+100"}
    ((_, result),) = check_versions("a:b", python=HERE, limits=limits)
    assert [(each.metric, each.verdict) for each in result.checks] == [
        ("ops", "passed"),
        ("latency", "failed"),
    ]


def test_a_latency_cannot_be_limited_by_itself() -> None:
    with pytest.raises(InputError, match=r"--max-latency '3ms': under several versions"):
        check_versions("a:b", python=HERE, limits={gate.MAX_LATENCY: "3ms"})


def test_one_version_needs_a_baseline() -> None:
    with pytest.raises(InputError, match="two versions at least are compared"):
        check_versions("a:b", python=HERE[:1])


def test_a_version_that_does_not_run_it_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VersionStudy, "named", lambda study, wanted: ["0.1", "0.99"])
    with pytest.raises(EdgeGraphError, match=r"jax 0\.99 does not run it: it is not for this"):
        check_versions("a:b", python=HERE)


@pytest.mark.parametrize(
    ("ratios", "limit", "verdict"),
    [
        ((2.0, 2.02, 1.98), "+5%", "failed"),
        ((2.0, 2.02, 1.98), "+150%", "passed"),
        ((1.0, 1.001, 0.999), "+5%", "passed"),
        # Beyond the limit, and within it: nobody knows.
        ((1.0, 1.2, 1.1), "+5%", "undecided"),
    ],
)
def test_times_by_turns_are_held_by_their_interval(
    ratios: tuple[float, ...], limit: str, verdict: str
) -> None:
    timing = concluded(("0.1", "0.2"), [seen(each) for each in ratios])
    found = check_by_turns(limit, timing)
    assert found.verdict == verdict
    assert found.before == pytest.approx(1e-3)
    assert (found.reason is None) == (verdict != "undecided")
