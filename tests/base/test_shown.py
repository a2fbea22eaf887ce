"""Names come from anywhere; what cannot be seen in them is written out."""

from __future__ import annotations

import unicodedata

import pytest

from edgegraph.base.shown import shown


@pytest.mark.parametrize("name", ["", "CNN/Conv_0", "größe 層 ∂f/∂x 🙂", r"a\b"])
def test_what_can_be_seen_is_left_alone(name: str) -> None:
    assert shown(name) == name


def test_what_cannot_be_seen_is_written_out() -> None:
    assert shown("a\x1b[0m\n\t\x7f\x9b") == r"a\x1b[0m\n\t\x7f\x9b"
    assert shown("\u202e\u2066\u200b\ud800") == r"\u202e\u2066\u200b\ud800"
    assert shown("\U000e0041") == r"\U000e0041"


def test_no_control_format_or_surrogate_of_unicode_is_left() -> None:
    """The categories of unicodedata's own table, over where they are."""
    for number in (*range(0x12000), *range(0xE0000, 0xE0100)):
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert shown(chr(number)).isascii(), hex(number)
