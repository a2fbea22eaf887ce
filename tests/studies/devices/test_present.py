"""A comparison of devices shown: its table and its figure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.devices.present import draw
from tests.studies.device_comparisons import comparison, dense, failed, row, said, three


def test_two_models_on_one_device_are_held_against_each_other() -> None:
    compared = eg.compare_devices(
        [dense(), dense(78, name="narrow")], devices=["device:rpi5"], batches=[1]
    )
    text = said(compared)
    assert "narrow has 10.1 times fewer MACs than dense and takes" in text  # 784 over 78
    assert "times less time at the roof; at the roof its ops wait for memory" in text


def test_an_estimate_of_a_part_is_said_to_be_one() -> None:
    (row,) = eg.compare_devices(dense(), devices=["device:rpi5"]).rows
    rows = [
        replace(row, device=device, compiler_time_s=1e-3, compiler_coverage=coverage)
        for device, coverage in (("tpu:v5e", 1.0), ("gpu:h100", 0.4))
    ]
    text = said(comparison(*rows))
    assert text.count("≥1 ms") == 1
    assert "it says nothing of some of the kernels" in text


def test_an_error_is_said_once_for_all_batch_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: None)
    text = said(eg.compare_devices(dense(), devices=["gpu:orin"], batches=[1, 8]))
    assert text.count("gpu:orin, batch 1, 8: compiling for 'gpu:orin' needs") == 1


def spans(ax: Axes) -> list[list[float]]:
    return [list(map(float, line.get_xdata())) for line in ax.get_lines()]  # type: ignore[arg-type]


def test_brackets_run_from_all_overlapped_to_nothing_overlapped() -> None:
    ax = draw(three())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cpu, 1", "tpu:v5e, 1"]
    assert spans(ax) == [[100e-6, 190e-6], [150e-6], [4e-6, 5e-6]]
    assert [text.get_text() for text in ax.texts] == ["150 µs", "≥ 4 µs"]


def test_the_axis_has_room_on_both_sides() -> None:
    ax = draw(three())
    # Half of the least; and where "≥ 4 µs" fits beside 190 us, which is over three times that.
    left, right = ax.get_xlim()
    assert left == pytest.approx(2e-6)
    assert 3 * 190e-6 <= right < 5 * 190e-6
    assert ax.get_xscale() == "log"
    narrow = draw(comparison(row("cpu", 1e-3, 2e-3)))
    assert narrow.get_xlim() == pytest.approx((0.5e-3, 6e-3))  # three times the most at least


def test_a_figure_grows_with_its_rows() -> None:
    # 0.75 inches and 0.19 for every row, of which there is room for two at least.
    for rows, inches in ((1, 1.13), (5, 1.7)):
        figure = draw(comparison(*[row("cpu", 1e-3, 2e-3)] * rows)).figure
        assert figure.get_figure(root=True).get_size_inches() == pytest.approx((3.3, inches))


def test_a_long_name_leaves_room_for_the_rows() -> None:
    compared = comparison(row("a name " * 30 + "of a device", 1e-3, 2e-3))
    ax = compared.plot()
    assert ax.get_position().width > 0.2
    assert ax.get_yticklabels()[0].get_text().startswith("…")


def test_there_is_nothing_to_draw_of_errors() -> None:
    with pytest.raises(InputError, match="no device has figures to draw"):
        draw(comparison(failed("gpu:orin")))
