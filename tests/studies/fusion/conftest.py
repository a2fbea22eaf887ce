"""SmallCNN's ladder at two batch sizes, which takes a while to make."""

from __future__ import annotations

import pytest

import edgegraph as eg
from edgegraph.studies.fusion.result import FusionStudy
from models.cnn import small_cnn
from tests import analyses


@pytest.fixture(scope="module", params=[1, 32])
def cnn(request: pytest.FixtureRequest) -> FusionStudy:
    return eg.fusion_study(small_cnn(), batch=request.param, measure=False, device=analyses.DEVICE)
