"""How a regression study is shown: table, figure, page."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edgegraph.errors import InputError
from edgegraph.studies.regress.present import draw, regression_table
from tests.studies.regressions import regression


def test_the_table_has_versions_layers_settings_and_conclusions() -> None:
    console = Console(width=150, file=StringIO())
    with console.capture() as shown:
        console.print(regression_table(regression()))
    text = shown.get()
    for word in ("0.10.1", "slower", "failed", "jax==0.99 was not installed", "Net/Dense_0"):
        assert word in text
    assert "defaults of XLA's flags: xla_cpu_new false → true" in text
    assert "the change is XLA's" in text


def test_the_figure_has_a_row_for_every_version_that_was_timed() -> None:
    axes = draw(regression())
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["0.10.1", "0.10.2"]
    untimed = tuple(replace(row, timing=None) for row in regression().versions)
    with pytest.raises(InputError, match="no two versions of 'net' were timed"):
        draw(replace(regression(), versions=untimed))


def test_the_page_is_written_with_and_without_times(tmp_path: Path) -> None:
    study = regression()
    assert "XLA&#39;s" in study.to_html(tmp_path / "a.html").read_text("utf-8")
    untimed = tuple(replace(row, timing=None) for row in study.versions)
    other = replace(study, versions=untimed, timing=None)
    assert "another program" in other.to_html(tmp_path / "b.html").read_text("utf-8")
