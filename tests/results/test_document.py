"""One document for ``--json`` and the export, and its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgegraph.cli import main
from edgegraph.reporting.exports import export
from edgegraph.results.analysis import Analysis
from edgegraph.results.document import MOST_BUFFERS, document, schema
from edgegraph.results.form import form
from tests import analyses
from tests.results.published import SCHEMA, check


def measured() -> Analysis:
    return analyses.measured(analyses.small_cnn())


MAKERS = [
    analyses.small_cnn, analyses.gradient, analyses.without_device, analyses.hostile,
    analyses.unpriced, analyses.under_conditions, measured,
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_printed_and_exported_is_one_document_of_the_schema(
    make: Callable[[], Analysis], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    analysis = make()
    exported = json.loads(export(analysis, tmp_path / "a.json").read_text("utf-8"))
    saved = str(analysis.save(tmp_path / "a.edgegraph"))
    assert main(["show", saved, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for told in (printed, exported):
        check(told, SCHEMA)
        msgspec.convert(told, form(Analysis, "analysis"))
    assert len(exported.pop("ops")) == len(analysis.op_records)
    assert printed.pop("ops") is None
    assert printed == exported


def test_the_schema_is_the_published_one() -> None:
    """Made by `edgegraph export SAVED -o docs/document.schema.json --format schema`."""
    assert schema() == SCHEMA


def test_every_name_is_described_and_nothing_else_may_stand_in_it() -> None:
    kinds = SCHEMA["$defs"]
    assert {"Analysis", "SweepPoint", "OpRecord", "LayerRecord", "Totals", "Device"} <= set(kinds)
    for name, kind in kinds.items():
        assert kind["additionalProperties"] is False
        assert kind["required"] == list(kind["properties"])
        silent = [each for each, of in kind["properties"].items() if not of.get("description")]
        assert not silent, name


def test_rows_have_the_names_and_values_of_the_frames() -> None:
    analysis = measured()
    told = document(analysis, ops=True)
    for rows, frame in (
        (told["ops"], analysis.ops),
        (told["layers"], analysis.layers),
        (told["what_if"], analysis.what_if),
        (told["compiled_together"], analysis.compiled_together),
    ):
        assert len(rows) == len(frame)
        assert rows
        assert set(rows[0]) == set(frame.columns)
    assert told["totals"] == dict(analysis.totals)
    conv = next(row for row in told["layers"] if row["layer"] == "SmallCNN/conv2")
    assert conv["intensity_flops_per_byte"] == pytest.approx(
        conv["flops"] / (conv["bytes_read"] + conv["bytes_written"])
    )


def test_what_is_long_stands_in_the_saved_file_only() -> None:
    analysis = analyses.measured(analyses.gradient())
    told = document(analysis)
    assert "samples_s" not in told["latency"]
    assert "samples_s" not in told["layer_latencies"][0]["latency"]
    assert "kernel_rates" not in told["device"]
    live = analysis.live_memory
    assert live is not None
    assert len(told["live_memory"]["peak_buffers"]) == MOST_BUFFERS < len(live.peak_buffers)
    assert told["live_memory"]["held_bytes"] == live.held_bytes
    assert told["live_memory"]["peak_by_kind"] == dict(live.peak_by_kind)
    assert "serialized_module" not in told
