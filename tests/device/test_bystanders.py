"""The share of the cores that others took, from figures made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from edgegraph.device.host import OtherProcesses

T = TypeVar("T")


def readings(*values: T) -> Callable[[], T]:
    return iter(values).__next__


@pytest.mark.parametrize(
    ("busy_s", "own_s", "wall_s", "share"),
    [
        # Two cores for 10 s: busy for 12 core-seconds, 10 of them ours, so 2 of 20 were others'.
        ((100.0, 112.0), (5.0, 15.0), (0.0, 10.0), 0.1),
        ((0.0, 20.0), (0.0, 0.0), (0.0, 10.0), 1.0),
        ((0.0, 9.9), (0.0, 10.0), (0.0, 10.0), 0.0),  # ticks are coarser than our own clock
        ((None, None), (0.0, 1.0), (0.0, 10.0), None),
        ((0.0, 0.1), (0.0, 0.0), (0.0, 0.1), None),  # too short to say
    ],
)
def test_share_of_others(
    busy_s: tuple[float | None, ...],
    own_s: tuple[float, ...],
    wall_s: tuple[float, ...],
    share: float | None,
) -> None:
    with OtherProcesses(
        cores=2, busy_s=readings(*busy_s), own_s=readings(*own_s), wall_s=readings(*wall_s)
    ) as others:
        assert others.share is None
    assert others.share == (None if share is None else pytest.approx(share))


def test_of_this_machine() -> None:
    with OtherProcesses() as others:
        pass
    assert others.share is None or 0.0 <= others.share <= 1.0
