"""One function decides what a thing is, by its content."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.doors import registry
from edgegraph.doors.registry import Given, find_door
from edgegraph.errors import FormatError, InputError
from tests import programs

TEXT = (
    "HloModule small\n\nENTRY %e (x: f32[8]) -> f32[8] {\n  ROOT %x = f32[8]{0} parameter(0)\n}\n"
)


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    for name, content, word in [
        ("a.edgegraph.png", TEXT.encode(), "HLO"),
        ("b", gzip.compress(TEXT.encode()), "HLO"),
        ("c.txt", programs.compiled(programs.scan, 5), "HLO"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        assert find_door(Given(path)).word == find_door(Given(str(path))).word == word


def test_text_and_bytes_are_taken_for_what_they_hold() -> None:
    assert find_door(Given(TEXT)).word == "HLO"
    assert find_door(Given(TEXT.encode())).word == "HLO"
    assert eg.open(TEXT).name == eg.analyze(TEXT).workload == "small"


def test_code_is_what_no_file_is_called() -> None:
    assert find_door(Given("models.cnn:small_cnn")).compiled
    assert eg.open("models.cnn:small_cnn").name == "small_cnn"


def test_a_choice_without_effect_is_refused() -> None:
    with pytest.raises(InputError, match=r"^batch has no effect on HLO, the text"):
        eg.open(TEXT, batch=4)
    assert eg.open(TEXT, batch=None).name == "small"


def test_doors_are_tried_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DOORS", [])
    registry.register_door("nothing", "builtins:callable", "builtins:id")
    registry.register_door("anything", "builtins:bool", "builtins:type", choices=("module",))
    assert find_door(Given(3)).word == "anything"
    assert registry.open(3) is Given
    assert registry.kinds() == "nothing, anything"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00", "this is a picture"),
        (b'{"a": 1}', "this is JSON"),
        (b"SQLite format 3\x00", "such as runs.db#1"),
        (b"\x80\x04\x95rest", "a pickle, which EdgeGraph never opens"),
        (
            b"Memory Space: default (color=0)\n",
            "XLA's report on memory, no program; name the module's",
        ),
        (b"BufferAssignment:\n", "XLA's report on memory"),
        (b"\nTotal bytes used: 13312 (13.0KiB)\n", "XLA's report on memory"),
        (b"; ModuleID = 'f'\n", "this is LLVM IR"),
        (b"hello\nworld\n", "no line starts with 'HloModule'"),
        (b"\x00\x01\x02\xff" * 50, "cut off, damaged or not HLO"),
    ],
)
def test_what_no_door_takes_is_named(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        eg.open(path)
    message = str(caught.value)
    assert what in message
    assert "\n" not in message
    assert len(message.removeprefix(str(path))) <= 202


@pytest.mark.parametrize("thing", [3, object(), "no-such-file", "x" * 10_000, Path("no-such-file")])
def test_what_is_nothing_is_said_in_one_short_line(thing: object) -> None:
    with pytest.raises(InputError) as caught:
        eg.open(thing)
    assert len(str(caught.value)) <= 200
    assert "\n" not in str(caught.value)


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds nothing that EdgeGraph reads"):
        eg.open(tmp_path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*missing: No such file"):
        eg.open(tmp_path / "missing")
