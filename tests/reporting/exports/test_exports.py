"""Every format takes every analysis, and a name says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgegraph.errors import InputError
from edgegraph.reporting.exports import EXPORTS, export, format_of
from edgegraph.results.analysis import Analysis
from tests import analyses

MAKERS = [analyses.small_cnn, analyses.gradient, analyses.without_device, analyses.hostile]


Make = Callable[[], Analysis]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("format", EXPORTS)
def test_every_format_takes_every_analysis(make: Make, format: str, tmp_path: Path) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    analysis = make()
    path = tmp_path / f"a{EXPORTS[format].suffix}"
    timed = analysis.schedule is not None and analysis.schedule.makespan_s > 0
    if format == "chrome-trace" and not timed:
        with pytest.raises(InputError, match="has no timeline"):
            export(analysis, path)
        return
    assert export(analysis, path) == path
    assert path.stat().st_size > 0
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.json", "json"), ("a.schema.json", "schema"), ("a.trace.json", "chrome-trace"),
     ("a.model-explorer.json", "model-explorer"), ("x.y.csv", "csv")],
)  # fmt: skip
def test_the_longest_ending_counts(name: str, format: str) -> None:
    assert format_of(Path(name)) == format


@pytest.mark.parametrize(
    "format",
    ["csv", "ops-csv", "json", "markdown", "latex", "graphml", "dot", "model-explorer",
     "chrome-trace"],
)  # fmt: skip
def test_methods_write_what_the_command_writes(format: str, tmp_path: Path) -> None:
    analysis = analyses.small_cnn()
    write = getattr(analysis, f"to_{format.replace('-', '_')}")
    path = write(tmp_path / "by_method")
    assert path.read_bytes() == export(analysis, tmp_path / "by_name", format).read_bytes()
