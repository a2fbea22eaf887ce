"""A figure over time: changes are told beyond the noise, and only between runs that compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from edgegraph.store.history import Entry, History, Run, follow


def run(number: int, value: float, metric: str = "latency_s", iqr: float = 0.0, **more: Any) -> Run:
    spread = {"latency_s": "latency_iqr_s", "throughput_per_s": "throughput_iqr_per_s"}.get(metric)
    usual: dict[str, Any] = {
        "id": number, "kind": "sweep", "workload": "net", "fingerprint": "a", "batch": 8,
        "dtype": None, "target": "cpu", "options": {}, "machine": "m", "edgegraph": "0.1.0",
        "jax": "0.10.2", "created_at": f"2026-01-{number:02}T10:00:00+00:00", "error": None,
        "verdict": "OK", "metrics": {metric: value} | ({spread: iqr} if spread else {}),
    }  # fmt: skip
    return Run(**(usual | more))


def judged(history: History) -> list[tuple[int | None, str | None]]:
    return [(entry.previous, entry.judged) for entry in history.entries]


def test_times_change_beyond_the_noise_of_both() -> None:
    # Interquartile ranges of 0.03 and 0.04 s: sqrt(0.03^2 + 0.04^2) = 0.05 s.
    slower, same = (
        follow([run(1, 1.0, iqr=0.03), run(2, value, iqr=0.04)], "latency_s").entries[1]
        for value in (1.06, 1.04)
    )
    assert slower.change == pytest.approx(0.06)
    assert (slower.previous, slower.judged) == (1, "slower")
    assert (same.previous, same.judged) == (1, "no difference")


def test_more_throughput_is_faster() -> None:
    runs = [run(1, 100.0, "throughput_per_s", 3.0), run(2, 120.0, "throughput_per_s", 4.0)]
    assert judged(follow(runs, "throughput_per_s"))[1] == (1, "faster")


def test_nothing_is_held_against_a_noisy_run() -> None:
    runs = [run(1, 1.0), run(2, 2.0, verdict="NOISY"), run(3, 1.0), run(4, 1.1)]
    assert judged(follow(runs, "latency_s")) == [
        (None, None), (1, "NOISY"), (1, "no difference"), (3, "slower"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"batch": 16},
        {"dtype": "bfloat16"},
        {"target": "tpu:v5e"},
        {"options": {"xla_cpu_enable_fast_math": True}},
        {"machine": "another"},
    ],
)
def test_only_what_is_alike_compares(other: dict[str, Any]) -> None:
    history = follow([run(1, 1.0), run(2, 2.0, **other), run(3, 1.0)], "latency_s")
    assert [entry.previous for entry in history.entries] == [None, None, 1]
    assert sorted(len(entries) for entries in history.series.values()) == [1, 2]


def test_counts_change_by_what_they_say() -> None:
    runs = [run(1, 100, "flops"), run(2, 101, "flops", fingerprint="b"), run(3, 5, "bytes")]
    first, second = follow(runs, "flops").entries
    assert (first.change, first.verdict, first.same_program) == (None, None, None)
    assert second.change == pytest.approx(0.01)
    assert (second.judged, second.same_program) == (None, False)


def weeks() -> History:
    values = [(1.0, "OK"), (1.01, "NOISY"), (1.0, "OK"), (1.25, "OK")]
    runs = [run(n, value, verdict=verdict) for n, (value, verdict) in enumerate(values, 1)]
    return follow([*runs[:3], replace(runs[3], jax="0.12.0", fingerprint="b")], "latency_s")


def test_the_frame_has_the_figure_by_its_name() -> None:
    frame = weeks().frame
    assert set(frame) == set(Entry.__dataclass_fields__) - {"value"} | {"latency_s"}
    assert list(frame["latency_s"]) == [1.0, 1.01, 1.0, 1.25]
    assert pd.isna(frame["previous"][0])
    assert "<td>slower</td>" in weeks()._repr_html_()
