"""What all figures share: sizes, margins, files and markup."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgegraph.errors import InputError
from edgegraph.reporting.figure import (
    column_axes,
    figure_of,
    inline_svg,
    names_margin,
    new_figure,
    save_figure,
    two_axes,
    width_inches,
)
from edgegraph.reporting.palette import INK
from edgegraph.reporting.plots import roofline
from tests.reporting.conftest import MAKERS

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("kind", MAGIC)
def test_figures_are_written_in_three_formats_the_same_every_time(
    kind: str, tmp_path: Path
) -> None:
    first = save_figure(roofline(MAKERS["hostile"]()), tmp_path / f"first.{kind}").read_bytes()
    again = save_figure(roofline(MAKERS["hostile"]()), tmp_path / f"again.{kind}").read_bytes()
    assert first.startswith(MAGIC[kind])
    assert first == again


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.png, \.svg or \.pdf"):
        save_figure(roofline(MAKERS["forward"]()), tmp_path / "plot.bmp")


def test_margins_and_axes_are_in_inches() -> None:
    ax = column_axes(2.0, left=0.5, top=0.3)
    assert tuple(figure_of(ax).get_size_inches()) == (3.3, 2.0)
    # 0.5 to the left and 0.08 to the right, 0.3 above and 0.4 below.
    assert ax.get_position().bounds == pytest.approx((0.5 / 3.3, 0.2, 2.72 / 3.3, 0.65))
    assert width_inches(ax) == pytest.approx(2.72)


def test_names_take_what_their_characters_take() -> None:
    # Three fifths of 7 points a character, 72 points an inch, and a gap.
    assert names_margin(["conv1", "dense"]) == pytest.approx(0.14 + 5 * 0.6 * 7 / 72)
    assert names_margin([]) == 0.14


def test_two_panels_stand_above_or_beside_each_other() -> None:
    above, below = two_axes(3.3, 4.0)
    assert above.get_position().y0 > below.get_position().y1
    left, right = two_axes(7.0, 2.0, beside=True)
    assert left.get_position().x1 < right.get_position().x0


def test_ids_of_inline_figures_are_their_own_and_colours_follow_the_page() -> None:
    ax = new_figure(2.0, 2.0).subplots()
    ax.plot([0, 1], [0, 1], color=INK)
    svg = inline_svg(ax, prefix="a1-", label="a <line>")
    assert svg == inline_svg(ax, prefix="a1-", label="a <line>")
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "a <line>"
    ids = [found for element in root.iter() if (found := element.get("id"))]
    assert ids
    assert all(found.startswith("a1-") for found in ids)
    assert "stroke: var(--" in svg
    assert INK not in svg
