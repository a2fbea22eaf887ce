"""Steps, layers and fusions of a study written by hand."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgegraph.results.files import load
from edgegraph.results.verdicts import HELPS, HURTS, NO_DIFFERENCE, NOISY
from edgegraph.studies.fusion.result import FULL, FusionStudy, Rung
from tests.studies.fusion_studies import effect, study, unmeasured


def test_steps_say_what_each_kind_of_fusion_brought() -> None:
    found = study()
    assert [step.verdict for step in found.steps] == [HELPS, HELPS, HELPS]
    assert found.verdict == HELPS
    # 27,617,584 - 3,402,024 bytes, 12 - 2 kernels, 3.5 / 4.2
    assert found.conclusions[0].startswith(
        "library fusion helps: 3.5 ms with, 4.2 ms without, ratio 0.83"
    )
    assert found.conclusions[0].endswith("24.2 MB fewer moved, 10 launches fewer")


def test_fusion_may_hurt_or_make_no_difference() -> None:
    assert study(full_s=5e-3).verdict == HURTS
    same = study(full_s=4.6e-3)
    assert same.verdict == NO_DIFFERENCE
    assert same.conclusions[2].startswith("all fusion makes no difference: 4.6 ms with")


def test_noise_withholds_the_claim_on_time_but_not_on_bytes() -> None:
    step = study().steps[0]
    assert step.comparison is not None
    noisy = replace(
        step, verdict=NOISY, comparison=replace(step.comparison, reasons=("the control strays",))
    )
    assert noisy.sentence == (
        "library fusion: 24.2 MB fewer moved, 10 launches fewer; NOISY, so nothing is said of"
        " time: the control strays"
    )


def test_twins_are_called_the_same_program() -> None:
    first, second, _ = unmeasured().conclusions
    assert first.startswith("library fusion: same program")
    assert second == "loop fusion: 31.5 MB fewer moved, 12 launches fewer"


@pytest.mark.parametrize(
    ("low", "high", "verdict", "expected"),
    [
        (3.0e-3, 3.2e-3, "OK", HELPS),
        (4.8e-3, 5.0e-3, "OK", HURTS),
        (4.0e-3, 4.6e-3, "OK", NO_DIFFERENCE),
        (3.0e-3, 3.2e-3, "NOISY", NOISY),
    ],
)
def test_layers_are_judged_by_their_intervals(
    low: float, high: float, verdict: str, expected: str
) -> None:
    """Without fusion the layer takes 4.6 ms, 4.51 to 4.69 ms."""
    found = study()
    full = found.rungs[0]
    layer = replace(
        full.layers[0], time_s=(low + high) / 2, interval_s=(low, high), verdict=verdict
    )
    changed: tuple[Rung, ...] = (replace(full, layers=(layer,)), *found.rungs[1:])
    judged = replace(found, rungs=changed)
    assert judged.layer_verdict("Net/dense", "forward") == expected
    assert judged.layer_verdict("Net/other", "forward") is None


def test_an_effect_saves_what_its_ops_would_move_more() -> None:
    assert effect().saved_bytes == 59_121_436 - 3_399_424
    assert effect().saved_s == pytest.approx(0.2e-3)
    assert replace(effect(), unfused_time_s=None).saved_s is None


def test_frames_have_a_row_for_every_rung_layer_and_fusion() -> None:
    found = study()
    assert list(found.frame["bytes"]) == [3_402_024, 27_617_584, 59_126_596]
    assert found.frame["latency_low_s"][0] == pytest.approx(0.97 * 3.5e-3)
    assert list(found.layers["rung"]) == [rung.name for rung in found.rungs]
    assert list(found.fusions_frame["saved_bytes"]) == [55_722_012]
    assert found.fusions_frame["rung"][0] == FULL


@pytest.mark.parametrize("make", [study, unmeasured])
def test_saved_and_loaded_is_the_same(make: Callable[[], FusionStudy], tmp_path: Path) -> None:
    found = make()
    loaded = load(found.save(tmp_path / "study.edgegraph"))
    assert loaded == found
    assert loaded.conclusions == found.conclusions


def test_a_notebook_and_json_show_the_conclusions() -> None:
    found = study(recomputed=1_000_000)
    assert "library fusion helps" in found._repr_html_()
    assert found.document["verdict"] == HELPS
    assert found.document["conclusions"][-1] == "recomputed: 1 MFLOP, 0.4 % of all, in 1 fusion"
    assert "processes" not in found.document["steps"][0]["comparison"]


def test_a_study_that_was_saved_when_launches_were_called_kernels_is_read(tmp_path: Path) -> None:
    """Version 0.1 before the two were told apart, which did not count kernels."""
    now = study()
    with zipfile.ZipFile(now.save(tmp_path / "now.edgegraph")) as archive:
        text = re.sub(r',"kernels":\d+', "", archive.read("result.json").decode())
    former = tmp_path / "former.edgegraph"
    with zipfile.ZipFile(former, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", text.replace("launches", "kernels"))
    rungs = tuple(replace(rung, kernels=None) for rung in now.rungs)
    assert load(former) == replace(now, rungs=rungs)
