from __future__ import annotations

import pytest

import edgegraph as eg
from edgegraph.doors.exported import is_exported, is_stablehlo
from edgegraph.doors.registry import Given
from edgegraph.errors import FormatError


@pytest.mark.parametrize(
    ("data", "stablehlo", "exported"),
    [
        (b"module @m {\n func.func @main() {\n return\n }\n}\n", True, False),
        (b"#loc = loc(unknown)\nmodule {\n stablehlo.custom_call\n}", True, False),
        (b"module top(input a);\nendmodule\n", False, False),
        (b"ML\xefR\rStableHLO_v1.0.0\x00", True, False),
        (b"\x30\x00\x00\x00" + bytes(60) + b"ML\xefR\rStableHLO_v1.0.0\x00", False, True),
        (b"\xff\xff\xff\xff" + bytes(60) + b"ML\xefR", False, False),
    ],
)
def test_content_tells(data: bytes, stablehlo: bool, exported: bool) -> None:
    assert is_stablehlo(Given(data)) is stablehlo
    assert is_exported(Given(data)) is exported


def test_an_error_names_what_was_given() -> None:
    with pytest.raises(FormatError, match=r"^the 18 bytes: this is MLIR, but no valid StableHLO"):
        eg.open(b"ML\xefR\rStableHLO_v\x00\x00")
