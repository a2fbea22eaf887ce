from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.studies.improve.cache import (
    SettledWholes,
    TimedForms,
    settled_again,
    settled_of,
    whole_key,
)
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.settle import taken_back
from edgegraph.studies.improve.trials import PREPARED, Donation, OptionTrial
from edgegraph.studies.improve.whole import Whole
from tests.studies.improve.improvements import change, improvement


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))


def test_what_was_timed_comes_back() -> None:
    timed = TimedForms()
    timed.put("conv", [change("depthwise", 2.0, 1.0, kept=True)])
    timed.save()
    assert TimedForms().get("conv") == [change("depthwise", 2.0, 1.0, kept=True)]
    assert TimedForms().get("dot") is None
    assert TimedForms(("bf16",)).get("conv") is None


def test_a_damaged_file_is_begun_anew() -> None:
    timed = TimedForms()
    timed.save()
    timed.path.write_text("no json")
    assert TimedForms().get("conv") is None


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.warns(UserWarning, match="timed forms are not kept"):
        TimedForms().save()


def test_what_was_found_out_about_a_whole_comes_back() -> None:
    changes = (change("one", 4.0, 1.0, kept=True), change("two", 3.0, 1.0, kept=True))
    before = improvement(changes=changes, prepared=True, folded=2)
    after = replace(
        taken_back(before, ["two", PREPARED], "does not help the whole"),
        options=(OptionTrial(name="o", value=1, ratio=0.9, kept=True),),
        donation=Donation(arguments=(1,), before_bytes=8, after_bytes=4, ratio=1.0, kept=True),
    )
    after = replace(after, changes=(replace(after.changes[0], whole_ratio=1.2), after.changes[1]))
    wholes = SettledWholes()
    wholes.put("key", settled_of(before, after))
    wholes.save()
    known = SettledWholes().get("key")
    assert known is not None
    assert settled_again(before, known) == after


def test_a_whole_is_named_by_what_it_is_made_of() -> None:
    def key(study: Improvement, number: float = 1.0, seconds: float = 60.0) -> str:
        workload = eg.Workload.from_function(lambda x: x + number, lambda _: (jnp.ones(4),))
        return whole_key(study, Whole(workload, 1), seconds)

    study = improvement()
    assert key(study) == key(study)
    others = {
        key(replace(study, changes=())), key(study, 2.0), key(study, seconds=1.0),
        key(replace(study, prepared=True)), key(replace(study, allow=("bf16",))),
        key(replace(study, prepared=True, folded=1)),
    }  # fmt: skip
    assert len(others | {key(study)}) == 7
