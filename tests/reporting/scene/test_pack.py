"""What the page is given of an analysis."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from edgegraph.reporting.scene import pack
from edgegraph.results.analysis import Analysis
from tests import analyses
from tests.reporting.conftest import MAKERS


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_every_op_is_in_the_scene(analysis: Analysis) -> None:
    packed = pack(analysis)
    if not analysis.op_records:
        assert packed is None
        return
    assert packed is not None
    scene, texts = unpacked(packed.scene), unpacked(packed.texts)
    count = len(analysis.op_records)
    boxed = {op for op in scene["boxes"]["op"] if op >= 0}
    read = {op - back for op, backs in enumerate(scene["ops"]["operands"]) for back in backs}
    for op in {*range(count)} - boxed:  # inputs that nothing reads
        assert analysis.op_records[op].opcode == "parameter"
        assert op not in read
    assert scene["ops"]["name"] == [record.name for record in analysis.op_records]
    for name in ("flops", "bytes_read", "executions"):
        assert scene["ops"][name] == [getattr(record, name) for record in analysis.op_records]
    for columns in (scene["ops"], texts):
        for column in columns.values():
            numbers = column["of"] if isinstance(column, dict) else column
            assert len(numbers) == count
    assert len(scene["rows"]) == len(analysis.layer_records)


def test_the_same_analysis_gives_the_same_text() -> None:
    assert pack(analyses.small_cnn(1)) == pack(analyses.small_cnn(1))


@pytest.mark.parametrize("maker", ["forward", "phases"])
def test_a_layers_box_holds_its_ops(maker: str) -> None:
    """Forward layers, which nothing lies between, are drawn whole."""
    packed = pack(MAKERS[maker]())
    assert packed is not None
    scene = unpacked(packed.scene)
    found = {row for rows in scene["boxes"]["rows"].values() for row in rows}
    layers = {scene["rows"][row]["layer"] for row in found}
    assert {"SmallCNN/conv1", "SmallCNN/conv2"} <= layers or {"conv1", "conv2"} <= layers
