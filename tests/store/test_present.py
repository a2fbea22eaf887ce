"""A figure over time at the terminal, with its unit and what else changed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

import edgegraph as eg
from edgegraph.store.history import follow
from edgegraph.store.present import curve, heading, history_table, workloads_table, written
from tests.store.conftest import one
from tests.store.test_history import run, weeks


def lines(renderable: RenderableType) -> list[str]:
    text = io.StringIO()
    Console(width=100, file=text).print(renderable)
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_the_table_says_what_changed() -> None:
    told = lines(history_table(weeks()))
    assert told[:2] == ["net: latency", "cpu, on m"]
    assert "8 #1 2026-01-01 10:00 1 s" in told
    assert "#2 2026-01-02 10:00 1.01 s +1.0 % NOISY" in told
    assert "#3 2026-01-03 10:00 1 s 0.0 % no difference, since #1" in told
    assert (
        "#4 2026-01-04 10:00 1.25 s +25.0 % slower, other program, jax 0.10.2 → 0.12.0 ▁▁▁█" in told
    )


def test_no_change_has_no_sign() -> None:
    told = lines(history_table(follow([run(1, 1.0), run(2, 0.9999)], "latency_s")))
    assert any("0.0 % no difference" in line for line in told)
    assert not any("-0.0" in line for line in told)


def test_what_differs_between_series_has_a_column() -> None:
    runs = [run(1, 1.0, dtype="bfloat16"), run(2, 2.0, options={"fast": True})]
    told = lines(history_table(follow(runs, "latency_s")))
    assert "batch dtype options run made, UTC latency change" in told
    assert "8 bfloat16 #1 2026-01-01 10:00 1 s" in told
    assert "8 fast=True #2 2026-01-02 10:00 2 s" in told


def test_a_database_is_listed_by_workload(tmp_path: object) -> None:
    with eg.open_store(f"{tmp_path}/runs.db") as store:
        store.put(one(1, "2025-01-09T08:30:00+00:00"))
        store.put(one(8, "2025-01-02T00:00:00+00:00"))
        told = lines(workloads_table(store.frame))
    assert "small_cnn 2 sweep cpu 2025-01-02 00:00 2025-01-09 08:30" in told


@pytest.mark.parametrize(
    ("metric", "name", "value", "text"),
    [
        ("latency_s", "latency", 2.5e-3, "2.5 ms"),
        ("throughput_per_s", "throughput", 1250.0, "1.25 k/s"),
        ("live_memory_bytes", "live memory", 3e9, "3 GB"),
        ("bytes", "bytes", 2e3, "2 kB"),
        ("macs", "macs", 5e6, "5 MMAC"),
        ("kernels", "kernels", 12, "12"),
    ],
)
def test_a_figure_has_the_unit_of_its_name(metric: str, name: str, value: float, text: str) -> None:
    assert (heading(metric), written(value, metric)) == (name, text)


def test_a_curve_spans_eight_heights() -> None:
    assert curve([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert curve([3.0, 3.0]) == "▄▄"
