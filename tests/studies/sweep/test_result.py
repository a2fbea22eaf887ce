"""A sweep and its points, written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from edgegraph.results.files import load
from edgegraph.studies.sweep.result import SweepPoint
from tests.studies.sweep.test_choice import RATES
from tests.studies.sweeps import point, saturating, sweep, throughput


def test_the_reason_for_the_worse_verdict_comes_first() -> None:
    found = point(1, 100.0, verdict="NOISY")
    worst = replace(found.throughputs[0], verdict="INVALID", reasons=("worst",))
    assert replace(found, throughputs=(worst,)).reasons[0] == "worst"


def test_a_point_takes_the_best_queue_depth_that_is_ok() -> None:
    found = SweepPoint(
        batch=8,
        throughputs=(
            throughput(8, 100.0, depth=1),
            throughput(8, 160.0, depth=4),
            throughput(8, 900.0, depth=16, verdict="INVALID"),
        ),
    )
    assert (found.throughput_per_s, found.queue_depth, found.verdict) == (160.0, 4, "OK")


def test_the_frame_has_a_row_for_every_point_errors_too() -> None:
    frame = saturating().frame
    assert list(frame.columns[:9]) == [
        "batch", "latency_s", "latency_p90_s", "throughput_per_s", "compute_time_s",
        "memory_time_s", "bound", "peak_memory_bytes", "error",
    ]  # fmt: skip
    assert list(frame["batch"]) == [1, 2, 4, 8, 16, 32, 64, 128]
    last = frame.iloc[-1]
    assert last["error"] == "out of memory"
    assert pd.isna(last["latency_s"])
    assert pd.isna(last["peak_memory_bytes"])
    noisy = frame.query("batch == 64").iloc[0]
    assert noisy["verdict"] == "NOISY"
    # perfect overlap and none, of 64 * 20 us of arithmetic and 60 us of data
    assert noisy["overlapped_time_s"] == pytest.approx(1280e-6)
    assert noisy["serial_time_s"] == pytest.approx(1340e-6)


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    found = saturating()
    loaded = load(found.save(tmp_path / "sweep.edgegraph"))
    assert loaded == found
    assert loaded.frame.equals(found.frame)
    assert loaded.conclusions == found.conclusions


def test_conclusions_name_the_curve_where_there_are_several() -> None:
    points = [
        point(batch, rate, dtype=dtype)
        for dtype in ("float32", "bfloat16")
        for batch, rate in RATES.items()
    ]
    first, second = sweep(*points).conclusions
    assert first.startswith("knee (float32): batch 8")
    assert second.startswith("knee (bfloat16): batch 8")


def test_a_notebook_shows_points_and_conclusions() -> None:
    html = saturating()._repr_html_()
    assert "out of memory" in html
    assert "knee: batch 8 is the smallest" in html
    assert "budget: " in html
