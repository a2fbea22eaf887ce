from __future__ import annotations

from edgegraph.reporting.labels import short_names
from tests.reporting.conftest import MAKERS


def test_names_are_as_short_as_they_can_be() -> None:
    names = short_names(MAKERS["phases"]().layer_records)
    assert names["SmallCNN/conv1", "forward"] == "conv1"
    assert names["SmallCNN/conv1", "backward"] == "conv1 backward"


def test_names_are_unique() -> None:
    for make in MAKERS.values():
        names = list(short_names(make().layer_records).values())
        assert len(names) == len(set(names))
