"""The profiler's file, against jax's own reader and against damage."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.measure.trace.timeline import read_timeline
from edgegraph.measure.trace.xplane import message_class, read_planes
from tests.measure.trace.profiles import handed, host, op, piece
from tests.refusals import one_line


def test_it_reads_what_jax_reads() -> None:
    call = jax.jit(lambda x: jnp.sort(x @ x))
    x = jnp.ones((32, 32))
    call(x).block_until_ready()
    serialized = xla.profile(lambda: call(x).block_until_ready(), with_modules=False)
    theirs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jaxlib's own bindings on 3.13
        for plane in jax.profiler.ProfileData.from_serialized_xspace(serialized).planes:
            for line in plane.lines:
                for event in line.events:
                    stats = dict(event.stats)
                    theirs.append(
                        (plane.name, line.name, event.name, event.start_ns, event.duration_ns,
                         stats.get("hlo_op"), stats.get("run_id"))
                    )  # fmt: skip
    begin = min(event[3] for event in theirs)
    ours = [
        (plane.name, line.name, event.name, event.start_ps / 1000,
         (event.end_ps - event.start_ps) / 1000, event.stats.get("hlo_op"),
         event.stats.get("run_id"))
        for plane in read_planes(serialized)
        for line in plane.lines
        for event in line.events
    ]  # fmt: skip
    our_begin = min(event[3] for event in ours)

    def placed(events: list[Any], begin: float) -> list[Any]:
        rows = [(*e[:3], round(e[3] - begin), round(e[4]), *e[5:]) for e in events]
        return sorted(rows, key=str)

    assert any(event[5] for event in ours)
    assert placed(ours, our_begin) == placed(theirs, begin)


@pytest.mark.parametrize("content", [b"", b"no profile at all", b"\x0a\xff", bytes(100)])
def test_what_is_no_profile_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError, match="profile"):
        read_planes(content)


def test_negative_time_is_refused() -> None:
    space = message_class("XSpace")()
    space.planes.add(name="p").lines.add(name="l").events.add(metadata_id=1, duration_ps=-5)
    with pytest.raises(FormatError, match="lasts -5 ps"):
        read_planes(space.SerializeToString())


SOUND = host(
    main=[op("a", 0, 20, _p=7, _pt=0), handed(5, flow=1)], worker=[*piece(30, 105, flow=1)]
)


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=20))
def test_damage_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(SOUND)
    for position, value in changes:
        damaged[position] = value
    try:
        planes = read_planes(bytes(damaged))
    except FormatError as error:
        one_line(error)
    else:
        read_timeline(planes).of("m")


def test_a_line_begins_in_nanoseconds_and_its_events_in_picoseconds() -> None:
    """As the fields are called in xplane.proto: timestamp_ns, offset_ps, duration_ps."""
    event = {"offset_ps": 5, "duration_ps": 70}
    profile = message_class("XSpace")(
        planes=[{"name": "/host:CPU", "lines": [{"timestamp_ns": 2, "events": [event]}]}]
    )
    ((line,),) = (plane.lines for plane in read_planes(profile.SerializeToString()))
    assert [(found.start_ps, found.end_ps) for found in line.events] == [(2_005, 2_075)]
