"""Which line of the user's code made an instruction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.schema import Proto
from tests import programs
from tests.hlo.texts import (
    by_name,
    damaged,
)


def frames(proto: Proto, links: list[tuple[str, int]]) -> None:
    """Replace the stack frames by `links` of file and parent."""
    index = proto.stack_frame_index
    index.Clear()
    index.function_names.append("f")
    for number, (file, parent) in enumerate(links, 1):
        index.file_names.append(file)
        index.file_locations.add(file_name_id=number, function_name_id=1, line=10 * number)
        index.stack_frames.add(file_location_id=number, parent_frame_id=parent)
    for computation in proto.computations:
        for instruction in computation.instructions:
            instruction.metadata.stack_frame_id = 1


def test_source_is_the_users_line_not_the_librarys() -> None:
    path = Path(programs.__file__)
    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if 'name="conv2"' in text)
    module = programs.module(programs.small_cnn, 2)
    convolutions = [
        i for i in by_name(module).values() if i.opcode == "convolution" and "/conv2/" in i.op_name
    ]
    assert {i.source for i in convolutions} == {f"{path}:{line}"}
    innermost = module.stack_frames[convolutions[0].stack_frame_id - 1]
    assert "flax" in innermost.file


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([("/home/me/model.py", 0)], "/home/me/model.py:10"),
        ([("/env/lib/python3.13/site-packages/x/y.py", 2), ("train.py", 0)], "train.py:20"),
        ([("/src/flax/linen/module.py", 2), ("/src/jax/_src/api.py", 3), ("m.py", 0)], "m.py:30"),
        ([("/site-packages/x.py", 2), ("/site-packages/y.py", 0)], "/site-packages/x.py:10"),
        ([("/site-packages/x.py", 1)], "/site-packages/x.py:10"),
        ([("/site-packages/x.py", 2), ("/site-packages/y.py", 1)], "/site-packages/x.py:10"),
    ],
    ids=["own", "installed", "checkout", "only library", "own parent", "circle"],
)  # fmt: skip
def test_source_walks_up_the_stack(links: list[tuple[str, int]], expected: str) -> None:
    module = decode(damaged(lambda proto: frames(proto, links)))
    assert {i.source for i in by_name(module).values()} == {expected}


def test_source_falls_back_on_the_metadata_and_may_be_unknown() -> None:
    def change(proto: Proto) -> None:
        proto.stack_frame_index.Clear()
        first, second, *_ = proto.computations[0].instructions
        first.metadata.Clear()
        second.metadata.Clear()
        second.metadata.source_file, second.metadata.source_line = "old.py", 7

    instructions = decode(damaged(change)).computations
    first, second, *_ = next(iter(instructions.values())).instructions
    assert (first.source, second.source) == (None, "old.py:7")


BROKEN: dict[str, tuple[Callable[[Proto], object], str]] = {
    "frame parent": (
        lambda p: p.stack_frame_index.stack_frames.add(file_location_id=1, parent_frame_id=999),
        "its location or its parent",
    ),
    "frame place": (
        lambda p: p.stack_frame_index.stack_frames.add(file_location_id=999),
        "its location or its parent",
    ),
    "frame file": (lambda p: p.stack_frame_index.ClearField("file_names"), "its file"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_frame_that_points_nowhere_is_refused(
    change: Callable[[Proto], object], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        decode(damaged(change))
