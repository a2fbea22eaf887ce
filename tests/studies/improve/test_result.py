from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.improve.result import by_rule
from edgegraph.studies.improve.trials import Donation
from tests.studies.improve.improvements import improvement


def test_what_is_told_follows_from_the_times() -> None:
    study = improvement()
    assert study.speedup == 4.0
    assert study.error == 5e-7
    assert dict(study.decisions) == {"depthwise(float32[8])": "depthwise"}
    assert study.conclusions[0] == ("20 ms -> 5 ms, 4 times as fast (95 % interval 2.5 to 5)")
    assert study.conclusions[-1] == "the changed sites alone took 16 ms, 80 % of the whole"


@pytest.mark.parametrize(
    ("interval", "control", "faster"),
    [
        ((0.1, 0.2), (0.99, 1.01), True),  # known roughly, and beyond doubt
        ((0.9, 0.995), (0.99, 1.01), False),  # within 1 % of 1
        ((0.6, 0.8), (0.7, 1.4), False),  # the control strays as far
    ],
)
def test_what_is_claimed_follows_from_the_interval(
    interval: tuple[float, float], control: tuple[float, float], faster: bool
) -> None:
    timing = improvement().timing
    assert timing is not None
    study = improvement(
        timing=replace(timing, interval=interval, control_interval=control, verdict="NOISY")
    )
    assert study.faster is faster
    assert ("times as fast" in study.conclusions[0]) is faster
    assert ("times as fast" in repr(study)) is faster


def test_frame_and_rules() -> None:
    study = improvement()
    assert study.frame["gain"].tolist() == [8.0, 0.5]
    assert study.frame["saved_s"].tolist() == pytest.approx([0.014, -0.001])
    kept, other = by_rule(study)
    assert (kept.plain_s, kept.form_s, kept.executions) == (0.016, 0.002, 4)
    assert other.reason == "not faster alone"


def test_nothing_found_is_said() -> None:
    study = improvement(changes=(), outputs=(), timing=None, untried=("a", "b"))
    assert study.speedup is None
    assert study.conclusions == (
        "nothing that was tried makes this program faster",
        "2 kinds of sites were not tried within the time limit",
    )


def test_it_is_saved_and_read(tmp_path: Path) -> None:
    study = improvement()
    again = eg.load(study.save(tmp_path / "study.edgegraph"))
    assert again == study
    with pytest.raises(InputError, match="decisions and no code"):
        _ = again.function


def test_the_run_database_keeps_it(tmp_path: Path) -> None:
    study = improvement()
    with eg.open_store(tmp_path / "runs.db") as store:
        store.put(study)
        (run,) = store.find(kind="improvement")
        assert store.load(run.id) == study
        store.put(replace(study, timing=None))  # nothing was kept
        assert store.find()[1].metrics == {}
    assert run.metrics == {"plain_s": 0.02, "improved_s": 0.005, "ratio": 0.25}


def test_what_is_donated_goes_with_the_decisions(tmp_path: Path) -> None:
    study = improvement(donation=Donation(arguments=(0, 2), kept=True))
    assert (study.donate_argnums, study.kept) == ((0, 2), True)
    path = replace(study, changes=()).save(tmp_path / "fast.rewrites")
    fast: Any = eg.rewrite(lambda x: x, path)
    assert fast.donate_argnums == (0, 2)
    assert improvement(donation=Donation(arguments=(0,))).donate_argnums == ()


def test_decisions_are_saved_by_their_ending(tmp_path: Path) -> None:
    path = improvement().save(tmp_path / "fast.rewrites")
    assert '"depthwise(float32[8])": "depthwise"' in path.read_text("utf-8")
