"""The ways to run a layer: bytes and time by hand."""

from __future__ import annotations

from itertools import pairwise

from edgegraph.device.catalogue import find_device
from edgegraph.studies.fit.options import options_of
from tests.studies.fit.test_segments import _found


def test_a_block_by_hand() -> None:
    """x is 64 x 8, the hidden layer 64 x 32; its tanh is saved for the second product."""
    loss = _found(4)
    plain, *others = options_of(loss, loss.layers[2], find_device("tpu:v5e"))
    assert plain.kept is None
    assert (plain.working_bytes, plain.time_s) == (0, 0.0)
    assert plain.kept_bytes >= 64 * 8 * 4 + 64 * 32 * 4
    least = others[0]
    assert least.kept == frozenset()
    assert least.kept_bytes == 64 * 8 * 4  # what comes in
    assert least.working_bytes == plain.kept_bytes - least.kept_bytes
    assert least.time_s > 0
    assert all(a.time_s > b.time_s for a, b in pairwise(others))
    assert all(each.kept_bytes < plain.kept_bytes for each in others)
