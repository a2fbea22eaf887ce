"""A figure over time at the terminal and drawn, with its unit and what else changed."""

from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure
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


def test_the_plot_has_a_line_for_all_that_compare() -> None:
    ax = follow([run(1, 1.0), run(2, 2.0, batch=16), run(3, 1.5)], "latency_s").plot()
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["batch 8", "batch 16"]
    assert ax.get_title(loc="left") == "net"
    ax = weeks().plot()
    assert ax.get_title(loc="left") == "net, batch 8"
    assert ax.yaxis.get_major_formatter()(0.25) == "250 ms"
    assert ax.get_ylim()[0] == 0


def test_a_new_figure_is_one_column_wide() -> None:
    figure = weeks().plot().get_figure()
    assert isinstance(figure, Figure)
    assert tuple(figure.get_size_inches()) == (3.3, 2.4)
    ax = Figure().subplots()
    assert weeks().plot(ax) is ax


@pytest.mark.parametrize(("last", "scale"), [(9.9, "linear"), (10.1, "log"), (1000.0, "log")])
def test_values_over_a_decade_stand_on_a_logarithmic_scale(last: float, scale: str) -> None:
    ax = follow([run(1, 1.0), run(2, last)], "latency_s").plot()
    assert ax.get_yscale() == scale


def test_a_linear_scale_begins_at_0_and_leaves_room_above() -> None:
    ax = follow([run(1, 1.0), run(2, 2.0)], "latency_s").plot()
    # Matplotlib leaves 5 % of the span of 1 s above the highest, and this 3 % more.
    assert ax.get_ylim() == pytest.approx((0.0, 1.03 * 2.05))


def test_marks_of_what_is_not_sound_are_hollow() -> None:
    marks = [line for line in weeks().plot().get_lines() if line.get_marker() == "o"]
    faces = [line.get_markerfacecolor() for line in marks if len(line.get_xdata()) == 1]  # type: ignore[arg-type]
    assert len(faces) == 4
    assert faces[0] == faces[2] == faces[3] != faces[1]


def test_figures_are_named_and_written_with_their_units() -> None:
    names = ("peak_memory_bytes", "throughput_per_s", "flops")
    assert [heading(name) for name in names] == ["peak memory", "throughput", "flops"]
    assert (written(0.00314, "latency_s"), written(7, "ops")) == ("3.14 ms", "7")
    assert (curve([1, 2, 3]), curve([5, 5])) == ("▁▅█", "▄▄")
