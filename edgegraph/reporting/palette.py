"""The colours that the terminal, the plots and the page share.

They are Okabe and Ito's, which people with the common colour blindnesses tell apart, but for the
network's: their purple is grey to those who see no green. A colour never stands alone: the bound
is written beside it, and points have a shape of their own.
"""

from __future__ import annotations

from typing import Literal

PAPER = "#ffffff"
"""What figures are drawn on; it also parts marks that lie on each other."""

INK = "#1d2329"
"""Text, axes and roofs on paper."""

MUTED = "#6d7781"
"""Secondary text and axes."""

NEUTRAL = "#8c959f"
"""What has no bound."""

WORKING = "#009e73"
"""Memory that comes and goes while a program runs."""

BOUND_COLOURS = {
    "compute": "#0072b2", "memory": "#e69f00", "network": "#93416d", "overhead": "#d55e00",
}  # fmt: skip
"""By bound, in the order of a legend."""

BOUND_MARKERS = {"compute": "o", "memory": "s", "network": "D", "overhead": "^"}
"""Matplotlib's marker by bound, for those who see no colour."""

BOUND_LINES: dict[str, Literal["-", "--", ":", "-."]] = {
    "compute": "-",
    "memory": "--",
    "network": ":",
    "overhead": "-.",
}
"""Matplotlib's line style by bound, for outlines."""

CURVE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", INK)
"""Okabe and Ito's, in the order of the curves; every curve has a marker of its own too."""

CURVE_MARKERS = ("o", "s", "^", "D", "v", "P")


PAGE_VARIABLES = {
    PAPER: "var(--paper)", INK: "var(--ink)", MUTED: "var(--muted)", NEUTRAL: "var(--neutral)",
    WORKING: "var(--working)",
} | {colour: f"var(--{bound})" for bound, colour in BOUND_COLOURS.items()}  # fmt: skip
"""The page's CSS variable by colour, so that a figure follows the page's light or dark."""


def bound_colour(bound: str | None) -> str:
    """Return the colour of a bound; neutral for an op or layer that has none."""
    return NEUTRAL if bound is None else BOUND_COLOURS[bound]


def curve_style(number: int) -> tuple[str, str]:
    """Return colour and marker of a curve; beyond six the colours come with other markers."""
    count = len(CURVE_COLOURS)
    return CURVE_COLOURS[number % count], CURVE_MARKERS[(number + number // count) % count]
