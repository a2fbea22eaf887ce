"""Messages as protobuf's own documentation writes them out, byte by byte, and XLA's.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.schema import HloModuleProto, message_classes
from tests import programs
from tests.hlo.texts import linear_algebra

MESSAGES = message_classes(
    "edgegraph.test",
    {
        "Test1": {"a": (1, "int32")},
        "Test2": {"b": (2, "string")},
        "Test3": {"c": (3, "Test1")},
        "Signed": {"a": (1, "int32"), "b": (2, "int64"), "c": (3, "bool"), "d": (4, "uint64")},
        "Test5": {"f": (6, "int32*"), "t": (7, "Test1*")},
    },
)


@pytest.mark.parametrize(
    ("name", "fields", "encoded"),
    [
        ("Test1", {"a": 150}, "08 96 01"),
        ("Test2", {"b": "testing"}, "12 07 74 65 73 74 69 6e 67"),
        ("Test3", {"c": {"a": 150}}, "1a 03 08 96 01"),
        ("Signed", {"a": -2}, "08 fe ff ff ff ff ff ff ff ff 01"),
        ("Signed", {"b": -2}, "10 fe ff ff ff ff ff ff ff ff 01"),
        ("Signed", {"c": True, "d": 150}, "18 01 20 96 01"),
        ("Test5", {"f": [3, 270, 86942]}, "32 06 03 8e 02 9e a7 05"),
        ("Test5", {"t": [{"a": 1}, {"a": 2}]}, "3a 02 08 01 3a 02 08 02"),
    ],
)
def test_the_examples_of_the_documentation(
    name: str, fields: dict[str, object], encoded: str
) -> None:
    message = MESSAGES(name)(**fields)
    assert message.SerializeToString() == bytes.fromhex(encoded)
    assert MESSAGES(name).FromString(bytes.fromhex(encoded)) == message


def test_fields_that_the_table_does_not_name_survive() -> None:
    both = bytes.fromhex("08 96 01 12 07 74 65 73 74 69 6e 67")
    assert MESSAGES("Test1").FromString(both).SerializeToString() == both


def test_the_same_names_in_two_packages_do_not_clash() -> None:
    other = message_classes("edgegraph.other", {"Test1": {"a": (1, "string")}})
    assert other("Test1")(a="x").a == "x"
    assert MESSAGES("Test1")(a=1).a == 1


@pytest.mark.parametrize("make", [programs.scan, programs.mixed, linear_algebra])
def test_fields_that_are_not_read_survive_a_round_trip(make: Callable[..., Any]) -> None:
    serialized = programs.compiled(make)
    proto = HloModuleProto.FromString(serialized)
    again = bytes(proto.SerializeToString())
    assert len(again) == len(serialized)
    assert decode(again).computations == decode(serialized).computations
    assert dict(xla.cost_analysis(again)) == dict(xla.cost_analysis(serialized))
