"""The overlap study: brackets by hand, and one real study of a small program."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.errors import InputError
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.timing import Throughput
from edgegraph.studies.overlap import run as study
from edgegraph.studies.overlap.present import overlap_table
from edgegraph.studies.overlap.result import OverlapStudy
from tests import analyses
from tests.studies.overlap_studies import bracket, made
from tests.studies.sweeps import throughput

BRIEF = MeasurementSettings(
    warm_up_calls=1, warm_up_s=0.0, minimum_samples=3, minimum_s=0.0, limit_s=2.0
)


@pytest.mark.parametrize(
    ("time_s", "place", "overlap"),
    [
        (3.0, "within", 1.0),
        (4.0, "within", 0.5),
        (5.0, "within", 0.0),
        (6.0, "above", -0.5),
        (2.0, "below", 1.5),
        (5.05, "unclear", -0.025),
        (2.95, "unclear", 1.025),
    ],
)
def test_where_a_time_lies_in_its_bracket(time_s: float, place: str, overlap: float) -> None:
    found = bracket(time_s)
    assert (found.overlapped_s, found.serial_s, found.place) == (3.0, 5.0, place)
    assert found.overlap == pytest.approx(overlap)


def test_a_bracket_narrower_than_the_noise_does_not_tell() -> None:
    assert bracket(4.0, noise=0.3).overlap is None


def said(found: OverlapStudy) -> str:
    text = io.StringIO()
    Console(width=80, file=text).print(overlap_table(found))
    return " ".join(text.getvalue().split())


def test_what_calls_in_flight_gain() -> None:
    # 2 samples/s are a quarter of a call of 8 per second: 1.25 calls in the 5 s of one.
    assert made().dispatch_gain == pytest.approx(1.25)
    assert "at queue depth 8, 1.25 times as many as one after the other." in said(made())


def test_what_input_overlap_gains_is_said() -> None:
    assert "One after the other 7 s a step, side by side 5.5 s: overlap takes away 21 %" in said(
        made()
    )


def test_noise_withholds_the_verdict() -> None:
    study = made()
    assert study.host_input is not None
    noisy = replace(
        study,
        latency=analyses.latency(5.0, verdict="NOISY"),
        host_input=replace(study.host_input, verdict="NOISY", reasons=("step: made up",)),
    )
    assert noisy.verdict == "NOISY"
    text = said(noisy)
    assert text.count("too noisy for a verdict") == 2
    assert "takes away" not in text


def test_the_frame_has_the_whole_first() -> None:
    frame = made().frame
    assert list(frame["place"]) == ["within", "above"]
    assert frame["layer"].isna().tolist() == [True, False]


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    assert eg.load(made().save(tmp_path / "a.edgegraph")) == made()


def test_the_plot_names_its_layers() -> None:
    ax = made().plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["whole program", "dense"]
    assert "time" in ax.get_xlabel()


def test_no_plot_without_a_device() -> None:
    with pytest.raises(InputError, match="without a device"):
        made(whole=None, layers=()).plot()


def workload() -> eg.Workload:
    def forward(w: jax.Array, x: jax.Array) -> jax.Array:
        with jax.named_scope("Net"), jax.named_scope("dense"):
            return jnp.tanh(x @ w)

    made = eg.Workload.from_function(
        forward,
        lambda batch: (
            jax.ShapeDtypeStruct((512, 512), "float32"),
            jax.ShapeDtypeStruct((batch, 512), "float32"),
        ),
        name="dense",
    )
    return replace(made, prepare=lambda batch, step: [np.full((batch, 512), step, np.float32)])


@pytest.fixture
def no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no throughput, which takes a process of its own and has tests of its own."""

    def measured(*_: Any, **__: Any) -> tuple[Throughput, ...]:
        return (throughput(8, 100.0),)

    monkeypatch.setattr(study, "measure_throughput", measured)


@pytest.mark.filterwarnings("ignore:times include the wake-up:RuntimeWarning")
@pytest.mark.usefixtures("no_other_process")
def test_a_real_study_has_all_its_parts() -> None:
    found = eg.overlap_study(workload(), batch=64, device=analyses.DEVICE, settings=BRIEF)
    assert found.whole is not None
    # 2 x 64 x 512 x 512 FLOPs at 100 GFLOP/s.
    (layer,) = [row for row in found.layers if row.layer == "Net/dense"]
    assert layer.compute_time_s == pytest.approx(33_554_432 / 100e9)
    assert found.host_input is not None
    assert found.host_input.serial_s > 0
    assert found.schedule is not None
    assert found.schedule.critical_path_s <= found.schedule.compute_s
    json.dumps(found.document)


@pytest.mark.usefixtures("no_other_process")
def test_the_command_shows_what_was_saved_and_refuses_what_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = made().save(tmp_path / "a.edgegraph")
    assert main(["overlap", str(saved)]) == 0
    shown = capsys.readouterr().out
    assert main(["show", str(saved)]) == 0
    assert capsys.readouterr().out == shown
    (tmp_path / "dump.txt").touch()
    assert main(["overlap", str(tmp_path / "dump.txt")]) == 2
    assert "needs the Python code" in capsys.readouterr().err
    assert main(["overlap", "models.cnn:small_cnn", "-o", "x.doc"]) == 2
    assert ".edgegraph, .csv, .png" in capsys.readouterr().err
