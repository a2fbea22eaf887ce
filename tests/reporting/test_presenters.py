"""Every presenter shows every kind of analysis."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import jax
import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.hlo.op_name import MOST_SCOPES
from edgegraph.reporting.exports import export
from edgegraph.reporting.figure import save_figure
from edgegraph.reporting.page import report
from edgegraph.reporting.scene import pack
from edgegraph.reporting.table_kit import AsNamed
from edgegraph.reporting.tables import findings_panel, layer_table, shown_layers
from edgegraph.results.analysis import Analysis
from edgegraph.results.kinds import KINDS
from tests import analyses


def table(analysis: Analysis, folder: Path) -> str:
    console = Console(width=80, record=True, file=(folder / "out").open("w", encoding="utf-8"))
    console.print(AsNamed(layer_table(analysis)), AsNamed(findings_panel(analysis)))
    console.file.close()
    return console.export_text()


def page(analysis: Analysis, folder: Path) -> str:
    return report([analysis], folder / "page.html").read_text("utf-8")


def plot(name: str) -> Callable[[Analysis, Path], str]:
    def draw(analysis: Analysis, folder: Path) -> str:
        try:
            return save_figure(analysis.plot(name), folder / "plot.svg").read_text("utf-8")
        except InputError as error:
            return refused(name, analysis, str(error))

    return draw


def refused(name: str, analysis: Analysis, message: str) -> str:
    """Check that a figure is refused for what the analysis lacks, and that it says what to do."""
    if name == "memory":
        assert "analyse it at stage 'optimized'" in message
        assert analysis.live_memory is None
    elif name == "graph":
        assert "name the scopes with jax.named_scope" in message
        assert not analysis.op_records
    else:
        assert "calibrate" in message
        assert all(row.time_s is None for row in analysis.layer_records)
    return message


PRESENTERS = {"table": table, "page": page} | {
    name: plot(name) for name in KINDS["analysis"].figures
}


@pytest.mark.parametrize("presenter", PRESENTERS.values(), ids=PRESENTERS)
def test_every_presenter_shows_every_analysis(
    presenter: Callable[[Analysis, Path], str], analysis: Analysis, tmp_path: Path
) -> None:
    shown = presenter(analysis, tmp_path)
    assert shown == presenter(analysis, tmp_path)
    # The page's script has words of its own, and its data is compressed; a browser tests both.
    shown = re.sub(r"<script.*?</script>", "", shown, flags=re.DOTALL)
    assert "nan" not in shown.lower().replace("nanosecond", "")
    assert "None" not in shown
    assert not analyses.unseen(shown)


def test_the_terminal_keeps_within_80_columns(analysis: Analysis, tmp_path: Path) -> None:
    assert max(map(len, table(analysis, tmp_path).splitlines())) <= 80


def test_scopes_nest_as_deep_as_layers_may(tmp_path: Path) -> None:
    """More than Python calls functions within functions."""

    def run(x: jax.Array) -> jax.Array:
        with ExitStack() as scopes:
            for number in range(MOST_SCOPES + 1):
                scopes.enter_context(jax.named_scope(f"s{number}"))
                if number % 100 == 0:
                    x = x @ x
        return x

    args = (jax.ShapeDtypeStruct((4, 4), "float32"),)
    deep = eg.analyze(run, args=args, name="deep", stage="lowered", device=analyses.DEVICE)
    assert max(row.depth for row in deep.layer_records) == MOST_SCOPES - 1
    assert deep.totals.macs == 6 * 4**3
    assert table(deep, tmp_path)
    assert shown_layers(deep, sort="flops")
    assert pack(deep)
    export(deep, tmp_path / "deep", "graphml")
    assert eg.load(deep.save(tmp_path / "deep.edgegraph")) == deep
    assert eg.diff(deep, deep).empty
