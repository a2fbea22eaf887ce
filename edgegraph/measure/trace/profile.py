"""What a profile holds: the programs that ran, their HLO and their calls, and on what device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import jax

from edgegraph import xla
from edgegraph.measure.trace.runs import Slice, merged
from edgegraph.measure.trace.timeline import Ran, Run, Timeline, are_one, read_timeline
from edgegraph.measure.trace.xplane import Plane, Stat, read_space

PS_PER_S = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledModule:
    """One program that ran in a profile.

    Attributes:
        name: Of its HLO module.
        program: Its id in the profile; None where that does not say.
        time_s: Time in which at least one of its ops ran, added up over devices.
        calls: How often it ran, on all devices together; None where the profile does not say.
        plane: Where it ran: ``/device:GPU:0``, ``/host:CPU``.
        statistics: What the profile says of the device.
        hlo: The HloProto; None where it is not in the profile.
        timeline: Its calls.
        hosts: The machines that the profile was taken on, as far as it tells.
    """

    name: str
    program: int | None
    time_s: float
    calls: int | None
    plane: str
    statistics: Mapping[str, Stat]
    hlo: bytes | None
    timeline: Timeline
    hosts: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The kind of device that it ran on: ``cpu``, ``gpu`` or ``tpu``."""
        kinds = (kind for kind in ("gpu", "tpu") if f":{kind.upper()}:" in self.plane)
        return next(kinds, "cpu" if self.plane.startswith("/host") else "unknown")


@contextmanager
def profiling() -> Iterator[list[bytes]]:
    """Profile what is called in a block until it has ended; then the list holds the XSpace."""
    with xla.profiling(with_modules=True) as found:
        yield found
        for array in jax.live_arrays():
            array.block_until_ready()


def read_profile(serialized: bytes) -> list[ProfiledModule]:
    """Return the programs that ran in a profile, that with most time first."""
    planes, hosts = read_space(serialized)
    timeline = read_timeline(planes)
    hlo = {ran: each for plane in planes for ran, each in plane.programs.items()}
    by_name = {plane.name: plane for plane in planes}
    worked: dict[Ran, dict[str, list[Slice]]] = {}
    for op, thread, start, end in timeline.slices:
        worked.setdefault(op.ran, {}).setdefault(op.plane, []).append((thread, start, end))
    runs: dict[Ran, set[Run | None]] = {}
    for span in timeline.spans:
        if span.op is not None:
            runs.setdefault(span.ran, set()).add(span.run)
    modules = [
        _module(ran, timeline.of(*ran), pieces, runs[ran], by_name, hlo, hosts)
        for ran, pieces in worked.items()
        if ran[0]
    ]
    return sorted(modules, key=lambda module: -module.time_s)


def _module(
    ran: Ran,
    timeline: Timeline,
    pieces: Mapping[str, list[Slice]],
    runs: set[Run | None],
    planes: Mapping[str, Plane],
    hlo: Mapping[Ran, bytes],
    hosts: tuple[str, ...],
) -> ProfiledModule:
    plane = min(pieces)
    ops = {(span.op or "").encode() for span in timeline.spans}
    # A device's events may not say which of several programs of one name they are of.
    held = [
        each for other, each in hlo.items() if are_one(other, ran) and all(op in each for op in ops)
    ]
    return ProfiledModule(
        name=ran[0],
        program=ran[1],
        time_s=sum(merged(each) for each in pieces.values()) / PS_PER_S,
        calls=None if None in runs else len(runs),
        plane=plane,
        statistics=planes[plane].stats,
        hlo=held[0] if held else None,
        timeline=timeline,
        hosts=hosts,
    )
