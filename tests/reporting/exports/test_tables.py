"""Tables read back by pandas, and as safe text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from edgegraph.reporting.exports import export
from edgegraph.reporting.exports.tables import latex, markdown
from tests import analyses


def test_csv_and_parquet_are_read_by_pandas(tmp_path: Path) -> None:
    analysis = analyses.small_cnn()
    layers = pd.read_csv(export(analysis, tmp_path / "a.csv"))
    assert list(layers["layer"]) == list(analysis.layers["layer"])
    assert layers.loc[layers["depth"] == 0, "macs"].sum() == analysis.totals.macs
    ops = pd.read_csv(export(analysis, tmp_path / "a.ops.csv"))
    assert list(ops["name"]) == list(analysis.ops["name"])
    pytest.importorskip("pyarrow")
    parquet = pd.read_parquet(export(analysis, tmp_path / "a.parquet"))
    assert list(parquet["flops"].dropna()) == list(analysis.ops["flops"].dropna())


def test_names_cannot_break_out_of_a_table() -> None:
    text = markdown(analyses.hostile())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "<img" not in text.replace("\\<", "")
    lines = latex(analyses.hostile()).splitlines()
    cells = {line.replace("\\&", "").count("&") for line in lines if line.endswith(r" \\")}
    assert cells == {8}
