"""Where buffers are laid in a heap, by hand, and what must always hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgegraph.memory.heap import ALIGNMENT_BYTES, Request, TimeSlots, heap_bytes


def test_heap_fills_the_tightest_gap() -> None:
    # 256 and 64 bytes are free below what stays; 64 go into the smaller gap.
    requests = [
        Request(size_bytes=512, spans=((0, 9),), rank=0),
        Request(size_bytes=256, spans=((1, 4),), rank=1),
        Request(size_bytes=128, spans=((2, 8),), rank=2),
        Request(size_bytes=64, spans=((5, 7),), rank=3),
    ]
    assert heap_bytes(requests) == 512 + 256 + 128


def test_heap_of_nothing() -> None:
    assert heap_bytes([]) == 0
    assert heap_bytes([Request(size_bytes=0, spans=((0, 1),), rank=0)]) == 0


def test_buffers_that_take_turns_share_a_place() -> None:
    requests = [
        Request(size_bytes=100, spans=((0, 1), (6, 7)), rank=0),
        Request(size_bytes=100, spans=((2, 3),), rank=1),
        Request(size_bytes=100, spans=((4, 5),), rank=2),
    ]
    assert heap_bytes(requests) == 100


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 30), st.integers(0, 30)), max_size=20)
)
def test_heap_holds_what_is_needed_at_once(drawn: list[tuple[int, int, int]]) -> None:
    requests = [
        Request(size_bytes=size, spans=((start, start + length),), rank=rank)
        for rank, (size, start, length) in enumerate(drawn)
    ]
    at_once = max(
        (sum(s for s, a, d in drawn if a <= time <= a + d) for time in range(61)), default=0
    )
    waste = ALIGNMENT_BYTES * len(drawn)
    assert at_once <= heap_bytes(requests) <= sum(size for size, _, _ in drawn) + waste


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 39), st.integers(0, 39)), max_size=12),
    st.integers(0, 39),
    st.integers(0, 39),
)
def test_time_slots_know_what_is_taken(
    taken: list[tuple[int, int, int]], one: int, other: int
) -> None:
    slots = TimeSlots(40)
    for place, start, end in taken:
        slots.take(place, min(start, end), max(start, end))
    first, last = min(one, other), max(one, other)
    expected = {p for p, a, b in taken if min(a, b) <= last and max(a, b) >= first}
    assert slots.taken(first, last) == sum(1 << place for place in expected)
