"""Where decoding turns compute-bound, by arithmetic with a model of a round size."""

from __future__ import annotations

import pytest

from edgegraph.studies.serve.turn import Turn, find_turn

FLOPS_PER_S, BYTES_PER_S = 200e12, 800e9
PARAMETERS = 7e9
"""In bfloat16: 14 GB are read for every step, and 14 GFLOP done for every sequence."""


def turn(cache_bytes: float, *batches: int) -> Turn | None:
    times = [
        (b, b * 2 * PARAMETERS / FLOPS_PER_S, (2 * PARAMETERS + b * cache_bytes) / BYTES_PER_S)
        for b in batches
    ]
    return find_turn(128, times)


def test_both_times_are_equal_where_arithmetic_says() -> None:
    # 14 GFLOP take 70 us, so that 56 MB could be read meanwhile; 14 GB are 250 times that.
    beyond = turn(0.0, 1, 8, 64)
    assert beyond is not None
    assert beyond.batch == pytest.approx(250)
    assert beyond.computed
    within = turn(28e6, 1, 8, 1024)  # a sequence's own bytes leave half of the 56 MB
    assert within is not None
    assert within.batch == pytest.approx(500)
    assert not within.computed
    assert within.words == "memory-bound up to batch 500, compute-bound from there on"
    assert beyond.words.endswith("beyond the batches swept")


def test_a_large_cache_is_waited_for_at_any_batch() -> None:
    never = turn(57e6, 1, 8, 64)
    assert never is not None
    assert (never.batch, never.bound) == (None, "memory")
    assert never.words.startswith("memory-bound at any batch")


def test_it_may_compute_from_the_beginning() -> None:
    always = turn(0.0, 256, 512)
    assert always is not None
    assert (always.batch, always.bound) == (None, "compute")


def test_what_is_no_line_says_nothing() -> None:
    times = [(1, 1.0, 9.0), (2, 1.0, 1.0), (4, 7.0, 30.0), (8, 2.0, 4.0)]
    found = find_turn(128, times)
    assert found is not None
    assert (found.batch, found.bound) == (None, None)
    assert "cannot be said" in found.words


def test_fewer_than_two_batches_say_nothing() -> None:
    assert turn(0.0, 8) is None
    assert find_turn(128, [(1, 1.0, None), (2, 1.0, 1.0)]) is None
