"""Graphs and timelines read back by the tools that they are for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import networkx as nx
import pytest

from edgegraph.reporting.exports import export
from tests import analyses
from tests.reporting.exports.test_exports import MAKERS, Make


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
