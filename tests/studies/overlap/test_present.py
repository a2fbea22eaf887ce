"""An overlap study shown: its table and its figure."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from edgegraph.errors import InputError
from edgegraph.studies.overlap.present import label, overlap_table
from edgegraph.studies.overlap.result import OverlapStudy
from tests import analyses
from tests.studies.overlap_studies import bracket, made


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


def test_the_plot_names_its_layers() -> None:
    ax = made().plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["whole program", "dense"]
    assert "time" in ax.get_xlabel()


def test_no_plot_without_a_device() -> None:
    with pytest.raises(InputError, match="without a device"):
        made(whole=None, layers=()).plot()


def test_times_stand_in_their_brackets() -> None:
    ax = made().plot()
    spans = [list(map(float, line.get_xdata())) for line in ax.get_lines()]
    assert spans == [[3.0, 5.0], [4.0], [3.0, 5.0], [6.0]]
    assert [text.get_text() for text in ax.texts] == ["4 s, 50 %", "6 s"]
    assert ax.get_xlim() == pytest.approx((1.5, 6 * 2**0.3))  # of 3 to 6 s


def test_names_leave_out_the_network_and_the_forward_phase() -> None:
    assert label(bracket(4.0, layer="Net/block/dense")) == "block/dense"
    assert label(replace(bracket(4.0, layer="Net"), phase="backward")) == "Net (backward)"


def test_times_close_together_have_ticks_at_2_and_5_too() -> None:
    assert {2.0, 5.0} <= set(made().plot().get_xticks())
    apart = made(layers=(bracket(600.0),)).plot()
    assert not {2.0, 5.0, 20.0, 50.0} & set(apart.get_xticks())
