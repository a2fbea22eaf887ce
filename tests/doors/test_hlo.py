from __future__ import annotations

import pytest

import edgegraph as eg
from edgegraph.errors import FormatError
from tests import programs


def test_a_module_opens_from_its_bytes() -> None:
    serialized = programs.compiled(programs.scan, 5)
    assert eg.open(serialized).serialized == serialized


def test_an_error_names_what_was_given() -> None:
    with pytest.raises(FormatError, match=r"^the text 'HloModule m': not HLO text: line 2"):
        eg.open("HloModule m\nENTRY e { ROOT x = f32[8] }")
