"""Numbers as people read them: the prefixes are those of the SI."""

from __future__ import annotations

import pytest

from edgegraph.base.units import memory_size, parse_memory, percent, ratio, seconds, si
from edgegraph.errors import InputError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"), (7, "7 B"), (999.4, "999 B"), (999.6, "1 kB"), (1e3, "1 kB"),
        (1_234_567, "1.23 MB"), (2.5e9, "2.5 GB"), (3e12, "3 TB"), (4e15, "4 PB"), (-2e6, "-2 MB"),
        (12_345e15, "12,345 PB"), (None, "?"),
    ],
)  # fmt: skip
def test_counts(value: float | None, text: str) -> None:
    assert si(value, "B") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"), (90, "90 s"), (1, "1 s"), (0.9996, "1 s"), (0.5, "500 ms"), (2.5e-3, "2.5 ms"),
        (33.3e-6, "33.3 µs"), (4e-9, "4 ns"), (0.5e-9, "0.5 ns"), (None, "?"),
    ],
)  # fmt: skip
def test_times(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"), (1, "100 %"), (0.256, "26 %"), (0.0094, "0.9 %"), (0.0096, "1 %"),
        (0.0006, "0.1 %"), (0.0004, "<0.1 %"), (None, "?"),
    ],
)  # fmt: skip
def test_shares(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.005, "1"), (12.34, "12.3"), (1234.5, "1,234"), (0.00002, "2.0e-05"), (None, "?")],
)
def test_plain_numbers(value: float | None, text: str) -> None:
    assert ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8 * 2**30, "8 GB"), (264 * 1024, "264 kB"), (512 * 2**20, "512 MB"),
        (80 * 10**9, "80 GB"), (None, "?"),
    ],
)  # fmt: skip
def test_memories_have_the_sizes_that_vendors_write(value: int | None, text: str) -> None:
    assert memory_size(value) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GB", 16 * 10**9), ("16 GiB", 2**34), ("0.5 MB", 500_000), ("12B", 12), ("12", 12),
        (4096, 4096), ("64kB", 64_000), ("1TiB", 2**40),
    ],
)  # fmt: skip
def test_memories_are_read(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "16gigs", "-3GB", "0", "0.2B", "1e9", "16 G", True])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a size; expected, for example, 16GB"):
        parse_memory(text)
