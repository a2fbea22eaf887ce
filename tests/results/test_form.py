"""Every kind of result has a document of the published schema."""

from __future__ import annotations

import json

import msgspec

from edgegraph.compare.diff import diff
from edgegraph.results.base import Shown
from edgegraph.results.form import FORMAT, VERSION, form
from edgegraph.results.kinds import KINDS, kind_of
from tests import analyses
from tests.results.published import SCHEMA, check
from tests.studies import (
    device_comparisons,
    fits,
    fusion_studies,
    overlap_studies,
    regressions,
    scalings,
    servings,
    sweeps,
)
from tests.studies.improve import improvements


def by_hand() -> list[Shown]:
    """Return a result of every kind that is shown, but an analysis."""
    return [
        sweeps.saturating(),
        sweeps.sweep(sweeps.failed(4), max_latency_s=1e-3),
        fusion_studies.study(),
        fusion_studies.unmeasured(),
        improvements.improvement(),
        overlap_studies.made(),
        device_comparisons.three(),
        scalings.MADE,
        fits.MADE,
        regressions.regression(),
        servings.serving(max_output_token_s=1.0),
        diff(analyses.small_cnn(1), analyses.gradient()),
    ]


def test_every_kind_of_result_has_a_document_of_the_schema() -> None:
    results = by_hand()
    for result in results:
        told = json.loads(msgspec.json.encode(result.document))
        word = kind_of(result).word
        assert (told["format"], told["version"], told["kind"]) == (FORMAT, VERSION, word)
        kind: type = type(result)
        msgspec.convert(told, form(kind, word))
        check(told, {"$ref": f"#/$defs/{type(result).__name__}"})
        check(told, SCHEMA)
    shown = {kind.word for kind in KINDS.values() if kind.presenter is not None}
    assert {kind_of(result).word for result in results} | {"analysis"} == shown


def test_the_rows_of_studies_have_the_names_of_their_frames() -> None:
    for result, rows in (
        (sweeps.saturating(), "points"),
        (overlap_studies.made(), "brackets"),
        (device_comparisons.three(), "rows"),
        (scalings.MADE, "points"),
        (improvements.improvement(), "changes"),
    ):
        document = result.document
        assert document[rows]
        assert set(result.frame.columns) <= set(document[rows][0]), rows
