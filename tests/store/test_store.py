"""The run database: what is put comes back, and is found by what it is of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.errors import FormatError, InputError
from edgegraph.results.analysis import Analysis
from tests import analyses
from tests.store.conftest import one
from tests.studies import sweeps


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyses.measured(analyses.small_cnn(2))


def test_an_analysis_comes_back_as_it_was(path: Path, analysis: Analysis) -> None:
    with eg.open_store(path) as store:
        (number,) = store.put(analysis, fingerprint="abc")
        (run,) = store.find(workload="small_cnn", batch=2, kind="analysis", fingerprint="abc")
        assert store.load(number) == analysis
    assert (run.id, run.target, run.jax) == (number, "cpu", analysis.environment.jax)
    assert run.metrics["flops"] == analysis.totals.flops
    assert analysis.latency is not None
    assert run.metrics["latency_s"] == analysis.latency.median_s
    assert "throughput_per_s" not in run.metrics  # it was not measured
    assert eg.load(f"{path}#{number}") == analysis


def test_a_sweep_is_kept_point_by_point(path: Path) -> None:
    whole = sweeps.saturating()
    with eg.open_store(path) as store:
        numbers = store.put(whole)
        runs = store.find(kind="sweep")
        assert [run.id for run in runs] == list(numbers)
        assert [run.batch for run in runs] == [1, 2, 4, 8, 16, 32, 64, 128]
        assert [run.error for run in runs] == [None] * 7 + ["out of memory"]
        assert store.load(numbers[3]).points == (whole.points[3],)
        # 17,500 samples a second at batch 8, one call after the other.
        assert runs[3].metrics["throughput_per_s"] == 17_500
        assert list(store.frame["latency_s"][:2]) == [1 / 7_000, 2 / 12_000]


def test_a_figure_is_followed_over_time(path: Path) -> None:
    days = ["2025-01-09T00:00:00+00:00", "2025-01-02T00:00:00+00:00"]
    with eg.open_store(path) as store:
        for day in days:
            store.put(one(8, day))
        store.put(one(16, days[0]))
        history = store.history("small_cnn", "latency_s", batch=8)
        assert [entry.created_at for entry in history.entries] == sorted(days)
        assert [entry.value for entry in history.entries] == [1e-3, 1e-3]
        with pytest.raises(InputError, match="has 'macs'; there is bytes, compile_s"):
            store.history("small_cnn", "macs")
        with pytest.raises(InputError, match="no run of 'cnn'; it has small_cnn"):
            store.history("cnn")
        with pytest.raises(InputError, match="no run of 'small_cnn' with batch 3"):
            store.history("small_cnn", batch=3)


def test_a_point_of_a_sweep_is_there_once(path: Path) -> None:
    failed = replace(one(), points=(sweeps.failed(1),))
    with eg.open_store(path) as store, eg.open_store(path) as other:
        number = store.start_sweep("mine")
        assert other.start_sweep("mine") == number
        assert store.put_point(number, "1", failed)
        assert other.put_point(number, "1", one())  # in place of the one that failed
        assert not store.put_point(number, "1", one())
        assert store.put_point(number, "2", one(2))
        assert len(store.find()) == 2
        assert store.sweep(number).batches == (1, 2)
        store.finish_sweep("mine")
        again = store.start_sweep("mine")
        assert again != number
        assert store.points(again) == {}
        assert store.start_sweep("mine", fresh=True) != again


def test_a_run_that_is_not_there_and_a_damaged_one(path: Path) -> None:
    with eg.open_store(path) as store:
        (number,) = store.put(one())
        with pytest.raises(InputError, match="has no run 99"):
            store.load(99)
    with sqlite3.connect(path) as bad:
        bad.execute("UPDATE runs SET content = ?", (b"import os",))
    bad.close()
    with pytest.raises(FormatError, match=f"runs.db#{number} is not a saved result"):
        eg.load(f"{path}#{number}")


def test_a_run_that_cannot_be_is_not_there(path: Path) -> None:
    with eg.open_store(path) as store:
        store.put(one())
        for number in (0, 99, 1 << 63):
            with pytest.raises(InputError, match="has no run"):
                store.load(number)
        with pytest.raises(InputError, match="numbers below 2"):
            store.find(batch=1 << 63)
    for digits in ("0", "9" * 19, "9" * 5000):
        with pytest.raises(InputError, match="has no run"):
            eg.load(f"{path}#{digits}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE runs SET options = 7", "runs.db#1 is damaged"),
        ("UPDATE runs SET options = '[1]'", "Expected `object`"),
        ("UPDATE runs SET batch = 'many'", r"Expected `int | null`"),
        ("UPDATE metrics SET value = 'fast'", "Expected `float`"),
        ("UPDATE runs SET content = 'text'", "its content is a str"),
        ("UPDATE runs SET content = 99999999999", "its content is a int"),
    ],
)
def test_cells_of_another_type_are_refused(change: str, said: str, path: Path) -> None:
    with eg.open_store(path) as store:
        store.put(one())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with eg.open_store(path) as store:
        read = store.find if "content" not in change else lambda: store.load(1)
        with pytest.raises(FormatError) as caught:
            read()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
