"""Colours that stand together in a figure stay apart for people who see fewer of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

from edgegraph.reporting import palette, plots
from edgegraph.studies.overlap import present as plot

# G. M. Machado, M. M. Oliveira, L. A. F. Fernandes: A Physiologically-based Model for Simulation
# of Color Vision Deficiency, IEEE TVCG 15 (2009), the authors' tables for severity 1.0.
SEEN_AS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# sRGB to CIE XYZ, and the white point D65: IEC 61966-2-1.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.0890])


def blended(colour: str, alpha: float) -> str:
    red, green, blue = (
        alpha * part + (1 - alpha) * paper
        for part, paper in zip(to_rgb(colour), to_rgb(palette.PAPER), strict=True)
    )
    return to_hex((red, green, blue))


APART = 10.0
"""CIE76. 2.3 is just noticeable side by side (Mahy, Van Eycken and Oosterlinck 1994); the marks of
a figure are small and lie apart, so that four times as much is asked for."""

TOGETHER = {
    "bounds": (*palette.BOUND_COLOURS.values(), palette.NEUTRAL, palette.INK, palette.PAPER),
    "overlap": (*plot.COLOURS.values(), palette.INK, palette.PAPER),
    "sweep": (*palette.CURVE_COLOURS, palette.PAPER),
    # As they look on paper, for they are drawn translucent.
    "memory": (
        blended(palette.WORKING, plots.WORKING_ALPHA),
        blended(palette.NEUTRAL, plots.HELD_ALPHA),
        palette.INK,
        palette.PAPER,
    ),
}
"""Colours by the figures in which they stand together."""


def lab(colour: str, seen_as: str) -> NDArray[np.float64]:
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SEEN_AS[seen_as] @ linear, 0, 1) / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, seen_as: str) -> float:
    return float(np.linalg.norm(lab(one, seen_as) - lab(other, seen_as)))


@pytest.mark.parametrize("seen_as", SEEN_AS)
@pytest.mark.parametrize("colours", TOGETHER.values(), ids=TOGETHER)
def test_colours_of_one_figure_stay_apart(colours: tuple[str, ...], seen_as: str) -> None:
    nearest = min((distance(*pair, seen_as), pair) for pair in combinations(colours, 2))
    assert nearest[0] >= APART, nearest


def test_the_simulation_is_that_of_the_paper() -> None:
    # What has no colour looks the same to all: L* of #808080 is 53.6 by CIE's definition. Red and
    # green of sRGB are 170.6 apart.
    for seen_as in SEEN_AS:
        assert distance("#808080", "#ffffff", seen_as) == pytest.approx(46.4, abs=0.5)
    assert distance("#ff0000", "#00ff00", "normal") == pytest.approx(170.6, abs=0.5)


def test_bounds_have_a_second_mark() -> None:
    for marks in (palette.BOUND_MARKERS, palette.BOUND_LINES):
        assert len(set(marks.values())) == len(palette.BOUND_COLOURS) == len(marks)
    assert len(set(palette.CURVE_MARKERS)) == len(palette.CURVE_COLOURS)
    assert len(set(plot.MARKERS.values())) == len(plot.COLOURS)


def test_curves_beyond_the_colours_have_other_markers() -> None:
    assert (palette.curve_style(0), palette.curve_style(6)) == (("#0072b2", "o"), ("#0072b2", "s"))
    assert (palette.bound_colour("memory"), palette.bound_colour(None)) == ("#e69f00", "#8c959f")
