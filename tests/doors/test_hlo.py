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


@pytest.mark.parametrize("before", ["", "\ufeff", "\x1b[1mdumped:\x1b[0m\n"])
def test_names_may_hold_what_no_text_does(before: str) -> None:
    text = (
        'HloModule m\nENTRY e { ROOT x = f32[8] parameter(0), metadata={op_name="a\x01\u202e/b"} }'
    )
    module = eg.open(before + text).module
    (instruction,) = module.computations[module.entry].instructions
    assert instruction.op_name == "a\x01\u202e/b"
