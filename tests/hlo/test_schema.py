"""XLA's messages are read, and written again, without losing what is not named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.schema import HloModuleProto
from tests import programs
from tests.hlo.texts import (
    linear_algebra,
)


@pytest.mark.parametrize("make", [programs.scan, programs.mixed, linear_algebra])
def test_fields_that_are_not_read_survive_a_round_trip(make: Callable[..., Any]) -> None:
    serialized = programs.compiled(make)
    proto = HloModuleProto.FromString(serialized)
    again = bytes(proto.SerializeToString())
    assert len(again) == len(serialized)
    assert decode(again).computations == decode(serialized).computations
    assert dict(xla.cost_analysis(again)) == dict(xla.cost_analysis(serialized))
