"""Profiles made by hand: an XSpace of a few events. Times are nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgegraph import xla
from edgegraph.compiler.program import Program
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.schema import HloProto, Proto
from edgegraph.measure.trace.runs import TracedRun, find_runs
from edgegraph.measure.trace.timeline import read_timeline
from edgegraph.measure.trace.xplane import PS_PER_NS, message_class, read_planes

PS = 1000

POOL = 15
"""Kind of the flows of the thread pool."""


@dataclass(frozen=True)
class Made:
    """One event."""

    name: str
    start: float
    length: float
    stats: dict[str, str | int] = field(default_factory=dict)
    display_name: str = ""


def op(name: str, start: float, length: float, run: int | None = 1, **stats: str | int) -> Made:
    """Return an op as the CPU and GPU show it, of module ``m``."""
    known: dict[str, str | int] = {"hlo_op": name, "hlo_module": "m"}
    known |= {} if run is None else {"run_id": run}
    return Made(name, start, length, known | stats)


def executor(start: float, length: float) -> Made:
    return Made("ThunkExecutor::Execute", start, length)


def handed(at: float, flow: int) -> Made:
    return Made("ThreadpoolListener::Record", at, 0, {"_p": flow, "_pt": POOL})


def piece(start: float, end: float, flow: int) -> tuple[Made, Made]:
    """Return a worker's work: its start and its end."""
    return (
        Made("ThreadpoolListener::StartRegion", start, 0, {"_c": flow, "_ct": POOL}),
        Made("ThreadpoolListener::StopRegion", end, 0),
    )


def end(name: str, at: float, flow: int) -> Made:
    return Made(f"end: {name}", at, 1, {"_c": flow, "_ct": 0})


def space(
    planes: dict[str, dict[str, list[Made]]],
    begin_ns: int = 1_000_000,
    *,
    stats: dict[str, dict[str, str | int]] | None = None,
    programs: dict[str, bytes] | None = None,
    hosts: tuple[str, ...] = (),
) -> bytes:
    """Serialize planes of lines of events; stats that are text are written as references.

    `stats` are of planes by their names; `programs` HloModuleProtos by ``name(id)``.
    """
    result = message_class("XSpace")(hostnames=hosts)
    _add_programs(result, programs or {})
    for plane_name, lines in planes.items():
        plane = result.planes.add(name=plane_name)
        names: dict[str, int] = {}

        def number(name: str, names: dict[str, int] = names) -> int:
            return names.setdefault(name, len(names) + 1)

        kinds: dict[tuple[str, str], int] = {}
        for line_name, events in lines.items():
            line = plane.lines.add(name=line_name, timestamp_ns=begin_ns)
            for made in events:
                kind = kinds.setdefault((made.name, made.display_name), len(kinds) + 1)
                event = line.events.add(
                    metadata_id=kind,
                    offset_ps=round(made.start * PS_PER_NS),
                    duration_ps=round(made.length * PS_PER_NS),
                )
                for key, value in made.stats.items():
                    stat = event.stats.add(metadata_id=number(key))
                    if isinstance(value, str):
                        stat.ref_value = number(value)
                    else:
                        stat.int64_value = value
        for key, value in (stats or {}).get(plane_name, {}).items():
            told = {"str_value" if isinstance(value, str) else "uint64_value": value}
            plane.stats.add(metadata_id=number(key), **told)
        for (name, display_name), kind in kinds.items():
            entry = plane.event_metadata.add(key=kind)
            entry.value.id, entry.value.name = kind, name
            entry.value.display_name = display_name
        for name, identifier in names.items():
            entry = plane.stat_metadata.add(key=identifier)
            entry.value.id, entry.value.name = identifier, name
    serialized: bytes = result.SerializeToString()
    return serialized


def _add_programs(result: Proto, programs: dict[str, bytes]) -> None:
    plane = result.planes.add(id=3, name="/host:metadata")
    plane.stat_metadata.add(key=1, value={"id": 1, "name": "Hlo Proto"})
    for identifier, (name, module) in enumerate(programs.items(), 1):
        entry = plane.event_metadata.add(key=identifier)
        entry.value.name = name
        hlo = HloProto(hlo_module=module).SerializeToString()
        entry.value.stats.add(metadata_id=1, bytes_value=hlo)


def host(**threads: list[Made]) -> bytes:
    """Return a profile of a CPU."""
    return space({"/host:CPU": threads})


def program(text: str) -> Program:
    """Return a program from HLO text."""
    return Program(
        name="made",
        batch=None,
        target="unknown",
        stage="optimized",
        serialized=xla.parse_text(text),
    )


STRAIGHT = program("""HloModule m, is_scheduled=true
ENTRY main {
  x = f32[8] parameter(0)
  a = f32[8] negate(x)
  b = f32[8] sine(a)
  ROOT c = f32[8] tanh(b)
}""")
"""Ops a, b and c, one after the other."""

LOOP = program("""HloModule m, is_scheduled=true
body {
  s = (f32[8], pred[]) parameter(0)
  v = f32[8] get-tuple-element(s), index=0
  p = pred[] get-tuple-element(s), index=1
  work = f32[8] sine(v)
  ROOT t = (f32[8], pred[]) tuple(work, p)
}
until {
  state = (f32[8], pred[]) parameter(0)
  p2 = pred[] get-tuple-element(state), index=1
  ROOT check = pred[] not(p2)
}
ENTRY main {
  x = (f32[8], pred[]) parameter(0)
  ROOT loop = (f32[8], pred[]) while(x), condition=until, body=body
}""")
"""A loop whose end depends on the data."""


def runs(profile: bytes, program: Program = STRAIGHT) -> list[TracedRun]:
    timeline = read_timeline(read_planes(profile)).of("m")
    return find_runs(timeline, flatten(program.module))


def only(profile: bytes, program: Program = STRAIGHT) -> TracedRun:
    (run,) = runs(profile, program)
    return run
