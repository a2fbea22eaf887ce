from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.reporting.figure import new_figure
from edgegraph.results.base import Study, numbers
from tests.analyses import small_cnn
from tests.studies import device_comparisons, overlap_studies


def test_a_result_is_saved_and_shown_by_its_kind(tmp_path: Path) -> None:
    analysis = small_cnn()
    assert eg.load(analysis.save(tmp_path / "a.edgegraph")).totals == analysis.totals
    assert "<html" in analysis.to_html(tmp_path / "a.html").read_text("utf-8")
    assert repr(analysis).startswith("<Analysis ")


def test_a_figure_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="'sweep' shows another kind of result than this analysis"):
        small_cnn().draw("sweep")


@pytest.mark.parametrize("study", [overlap_studies.made, device_comparisons.three])
def test_axes_have_one_name_and_the_old_one_warns(study: Callable[[], Study]) -> None:
    given = new_figure(3, 2).add_subplot()
    assert study().plot(ax=given) is given
    with pytest.warns(DeprecationWarning, match=r"called plot\(ax=...\) now"):
        assert study().plot(axes=given) is given


@pytest.mark.parametrize("ending", ["csv", "dot", "json"])
def test_a_file_of_another_tool_by_its_method(ending: str, tmp_path: Path) -> None:
    written = getattr(small_cnn(), f"to_{ending}")(tmp_path / f"a.{ending}")
    assert written.stat().st_size > 0


def test_only_known_numbers_are_noted() -> None:
    figures = {"a": 1, "b": 2.5, "c": None, "d": "memory", "e": True}
    assert numbers(figures.items()) == {"a": 1.0, "b": 2.5}
