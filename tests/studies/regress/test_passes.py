"""What XLA's passes take, from profiles of compilations."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.errors import EdgeGraphError
from edgegraph.measure.trace.xplane import message_class
from edgegraph.studies.regress.passes import CODE, PASSES, passes_in, written_profile

PS = 10**12


def profile(lines: dict[str, list[tuple[str, int, int]]]) -> bytes:
    """Write a profile: by thread its events, with their begin and end in seconds."""
    names = sorted({name for events in lines.values() for name, _, _ in events})
    written: bytes = message_class("XSpace")(
        planes=[
            {
                "name": "/host:CPU",
                "lines": [
                    {
                        "name": thread,
                        "events": [
                            {
                                "metadata_id": names.index(name) + 1,
                                "offset_ps": begin * PS,
                                "duration_ps": (end - begin) * PS,
                            }
                            for name, begin, end in events
                        ],
                    }
                    for thread, events in lines.items()
                ],
                "event_metadata": [
                    {"key": number, "value": {"name": name}} for number, name in enumerate(names, 1)
                ],
            }
        ]
    ).SerializeToString()
    return written


def test_a_pass_takes_what_those_inside_it_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.xplane.pb"
    path.write_bytes(
        profile(
            {
                "python": [("backend_compile_and_load", 0, 20)],
                "compiler": [
                    ("CpuCompiler::RunBackend", 0, 20),
                    ("simplification (jit_f)", 1, 9),
                    ("algsimp", 2, 4),
                    ("algsimp", 5, 8),
                    ("fusion", 10, 12),
                ],
                "tf_xla-cpu-codegen/1": [("FusionCompiler::Compile", 3, 7), ("CSEPass", 4, 5)],
            }
        )
    )
    assert passes_in(path) == pytest.approx(
        {
            # 20 - 8 - 2; 8 - 2 - 3; 2 + 3; and on its own thread 4 - 1.
            f"{PASSES}\tCpuCompiler::RunBackend": 10.0,
            f"{PASSES}\tsimplification": 3.0,
            f"{PASSES}\talgsimp": 5.0,
            f"{PASSES}\tfusion": 2.0,
            f"{CODE}\tFusionCompiler::Compile": 3.0,
            f"{CODE}\tCSEPass": 1.0,
        }
    )


def test_where_xla_does_not_tell_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.xplane.pb"
    path.write_bytes(profile({"python": [("backend_compile", 0, 20)]}))
    assert passes_in(path) == {}
    assert written_profile(tmp_path) == path
    path.unlink()
    with pytest.raises(EdgeGraphError, match="wrote 0 profiles, where one was expected"):
        written_profile(tmp_path)
