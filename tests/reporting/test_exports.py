"""Every format takes every analysis, and a name says which."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

from edgegraph.base.files import safe_csv
from edgegraph.errors import InputError
from edgegraph.reporting.exports import (
    EXPORTS,
    dot,
    export,
    format_of,
    latex,
    markdown,
    write_frame,
)
from edgegraph.results.analysis import Analysis
from tests import analyses

MAKERS = [
    analyses.small_cnn, analyses.gradient, analyses.without_device, analyses.hostile,
    analyses.physics,
]  # fmt: skip


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


@pytest.mark.parametrize("make", MAKERS)
def test_graphml_is_read_by_networkx(make: Make, tmp_path: Path) -> None:
    analysis = make()
    graph = nx.read_graphml(export(analysis, tmp_path / "a.graphml"))
    assert graph.number_of_nodes() == len(analysis.op_records)
    assert graph.number_of_edges() == analysis.graph.number_of_edges()
    flops = nx.get_node_attributes(graph, "flops")
    top = [record for record in analysis.op_records if record.parent is None]
    assert sum(flops.get(record.name, 0) for record in top) == analysis.totals.flops


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("make", MAKERS)
def test_dot_is_read_by_graphviz(make: Make, tmp_path: Path) -> None:
    path = export(make(), tmp_path / "a.dot")
    drawn = subprocess.run(["dot", "-Tcanon", path], capture_output=True, text=True, check=True)
    assert drawn.stdout.startswith("digraph")
    assert not drawn.stderr


def test_model_explorer_edges_name_nodes_that_are_there(tmp_path: Path) -> None:
    analysis = analyses.small_cnn()
    made = json.loads(export(analysis, tmp_path / "a.model-explorer.json").read_text("utf-8"))
    (graph,) = made["graphs"]
    names = {node["id"] for node in graph["nodes"]}
    assert names == {record.name for record in analysis.op_records}
    for node in graph["nodes"]:
        assert all(edge["sourceNodeId"] in names for edge in node["incomingEdges"])
        assert all(isinstance(pair["value"], str) for pair in node["attrs"])
        assert not node["namespace"].endswith("/")
    data = json.loads(export(analysis, tmp_path / "a.node-data.json").read_text("utf-8"))
    assert set(data[graph["id"]]["results"]) <= names


def test_the_trace_has_complete_events(tmp_path: Path) -> None:
    made = json.loads(export(analyses.small_cnn(), tmp_path / "a.trace.json").read_text("utf-8"))
    complete = [event for event in made["traceEvents"] if event["ph"] == "X"]
    assert complete
    assert all({"name", "ts", "dur", "pid", "tid"} <= event.keys() for event in complete)
    named = {event["tid"] for event in made["traceEvents"] if event["ph"] == "M"}
    assert {event["tid"] for event in complete} <= named


def test_a_trace_is_in_microseconds(tmp_path: Path) -> None:
    analysis = analyses.small_cnn()
    assert analysis.schedule is not None
    made = json.loads(export(analysis, tmp_path / "a.trace.json").read_text("utf-8"))
    ends = [event["ts"] + event["dur"] for event in made["traceEvents"] if event["ph"] == "X"]
    assert max(ends) == pytest.approx(1e6 * analysis.schedule.makespan_s)


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


def test_a_spreadsheet_runs_nothing_where_that_is_asked_for(tmp_path: Path) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "a=b", "'=1", None]
    frame = pd.DataFrame({"name": pd.array(names, "string"), "flops": range(-1, 7)})
    write_frame(frame, tmp_path / "plain.csv")
    token = safe_csv.set(True)
    write_frame(frame, tmp_path / "safe.csv")
    safe_csv.reset(token)
    plain, safe = (pd.read_csv(tmp_path / f"{each}.csv") for each in ("plain", "safe"))
    assert list(plain.name[:-1]) == names[:-1]
    assert list(safe.name[:-1]) == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "a=b", "'=1"]
    assert list(safe.flops) == list(range(-1, 7))
    assert safe.name.isna().sum() == 1


def test_names_cannot_break_out_of_a_table() -> None:
    analysis = analyses.hostile()
    text = markdown(analysis)
    assert not analyses.unseen(text + latex(analysis) + dot(analysis))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "<img" not in text.replace("\\<", "")
    lines = latex(analysis).splitlines()
    cells = {line.replace("\\&", "").count("&") for line in lines if line.endswith(r" \\")}
    assert cells == {8}


def test_a_trace_of_a_lowered_program_needs_the_compiler_and_no_device(tmp_path: Path) -> None:
    analysis = replace(analyses.small_cnn(), stage="lowered", schedule=None)
    with pytest.raises(InputError) as caught:
        export(analysis, tmp_path / "a.trace.json", "chrome-trace")
    assert "at stage 'lowered' its ops are in no order" in str(caught.value)
    assert "device" not in str(caught.value)


def test_where_layers_are_functions_or_lines_stand_as_well(tmp_path: Path) -> None:
    found = analyses.physics()
    for by, name in (("function", "rollout.one/push"), ("line", "plain_programs.py:")):
        viewed = replace(found, shown_by=by)
        table = pd.read_csv(export(viewed, tmp_path / f"{by}.csv"))
        assert len(table) == len(found.records_by(by))
        assert table["layer"].str.contains(name).any()
        told = json.loads(export(viewed, tmp_path / f"{by}.json").read_text("utf-8"))
        assert (told["view"], len(told[f"{by}s"])) == (by, len(table))
        assert markdown(viewed).splitlines()[2].startswith(f"| {by} | params |")
        assert f"{by} & params" in latex(viewed)
    layers = json.loads(export(replace(found, shown_by="layer"), tmp_path / "a.json").read_bytes())
    assert layers["functions"] is layers["lines"] is None
