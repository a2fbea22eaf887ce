"""Which line of the user's own code made an instruction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgegraph.errors import FormatError
from edgegraph.hlo.module import StackFrame
from edgegraph.hlo.schema import Proto

_OWN_CODE = str(Path(__file__).resolve().parents[1])

_LIBRARY = re.compile(
    r"""[/\\](?:site|dist)-packages[/\\]
      | [/\\]lib[/\\]python3[^/\\]*[/\\]
      | [/\\](?:jax|optax)[/\\]_src[/\\]
      | [/\\]flax[/\\](?:linen|nnx|core)[/\\]
      | ^<frozen
    """,
    re.VERBOSE,
)
"""Installed packages, the standard library, and the libraries' own checkouts."""


def decode_stack_frames(proto: Proto) -> tuple[StackFrame, ...]:
    """Decode the stack frames: frame ``n`` is at position ``n - 1``, its parent an id or 0."""
    files, functions = list(proto.file_names), list(proto.function_names)
    locations = [(p.file_name_id, p.function_name_id, p.line) for p in proto.file_locations]
    count = len(proto.stack_frames)
    frames = []
    for number, frame in enumerate(proto.stack_frames, start=1):
        parent, location = frame.parent_frame_id, frame.file_location_id
        if not 0 <= parent <= count or not 1 <= location <= len(locations):
            raise FormatError(f"HLO stack frame {number}: its location or its parent is unknown")
        file, function, line = locations[location - 1]
        if not 1 <= file <= len(files) or not 1 <= function <= len(functions):
            raise FormatError(f"HLO stack frame {number}: its file or its function is unknown")
        frames.append(
            StackFrame(
                file=files[file - 1], function=functions[function - 1], line=line, parent=parent
            )
        )
    return tuple(frames)


class Sources:
    """Finds the user's source line of an instruction by its metadata."""

    def __init__(self, frames: Sequence[StackFrame]) -> None:
        self._by_frame = _user_positions(frames)

    def of(self, metadata: Proto) -> str | None:
        """Return ``file:line`` from an OpMetadata, or None where it says nothing."""
        frame: int = metadata.stack_frame_id
        if 0 < frame < len(self._by_frame):
            return self._by_frame[frame]
        file: str = metadata.source_file
        return f"{file}:{metadata.source_line}" if file else None


def _user_positions(frames: Sequence[StackFrame]) -> list[str]:
    """Return ``file:line`` of the user's innermost frame, by frame id; id 0 is unused."""
    library = {frame.file: _is_library(frame.file) for frame in frames}
    found: list[str | None] = [None] * (len(frames) + 1)
    result = [""]
    for number, innermost in enumerate(frames, start=1):
        walked: list[int] = []
        current = number
        position: str | None = None
        # A file may link frames in a circle: no walk is longer than there are frames, and no
        # frame is walked twice, for what it led to is remembered.
        while current and len(walked) <= len(frames):
            frame = frames[current - 1]
            position = found[current]
            if position is None and not library[frame.file]:
                position = f"{frame.file}:{frame.line}"
            if position is not None or frame.parent == current:
                break
            walked.append(current)
            current = frame.parent
        for passed in walked:
            found[passed] = position
        result.append(position or f"{innermost.file}:{innermost.line}")
    return result


def _is_library(file: str) -> bool:
    return file.startswith(_OWN_CODE) or _LIBRARY.search(file) is not None
