"""The table, the page and the figure of a serving study."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.serve.present import draw, serving_table
from edgegraph.studies.serve.result import Serving
from tests.studies.servings import point, serving


def shown(made: Serving) -> str:
    out = StringIO()
    Console(width=120, file=out).print(serving_table(made))
    return out.getvalue()


def test_measured_times_stand_as_they_are() -> None:
    text = shown(serving())
    assert "times are measured" in text
    row = next(line.split() for line in text.splitlines() if line.split()[:2] == ["2048", "4"])
    # 8192 tokens of 100 us, 14 ms a token, 4 of them at a time, 1 KiB a token in the cache
    assert row[2:9] == ["819", "ms", "14", "ms", "286", "8.39", "MB"]
    assert "~" not in text


def test_estimated_times_are_called_so() -> None:
    estimated = point(1, 128, time_source="estimated", verdict=None)
    failed = point(4, 128, time_source=None, error="decode: too large", output_token_s=None)
    text = shown(serving(estimated, failed))
    assert "~ times are estimated: those at the roof" in text
    assert "~11 ms" in text
    assert "batch 4, length 128: decode: too large" in text


def test_the_figure_has_a_curve_for_every_context(tmp_path: Path) -> None:
    made = serving()
    above, below = draw(made)
    legend = above.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "length 128", "length 2,048", "first token",
    ]  # fmt: skip
    # One turn lies among the batches, and is marked in both.
    assert sum(line.get_linestyle() == ":" for line in (*above.lines, *below.lines)) == 2
    page = eg.report([made], tmp_path / "page.html")
    assert "tokens/s" in page.read_text("utf-8")
    nothing = serving(point(1, 128, output_token_s=None, error="failed"))
    with pytest.raises(InputError, match="has times; look at the errors"):
        draw(nothing)
