"""Names with sizes."""

from __future__ import annotations

from edgegraph.base.axes import fixed_name, sizes_in_words


def test_sizes_stand_in_names_and_in_words() -> None:
    assert fixed_name("net", {"height": 8, "width": 4}) == "net(height=8, width=4)"
    assert fixed_name("net", {}) == "net"
    assert sizes_in_words({"batch": 1, "length": 128}) == "batch 1, length 128"
