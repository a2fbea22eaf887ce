"""The timeline in the Trace Event Format, as Perfetto and chrome://tracing read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgegraph.atomic import replacing
from edgegraph.errors import InputError
from edgegraph.results.analysis import Analysis
from edgegraph.results.schedule import Schedule

US_PER_S = 1e6


def write_trace(analysis: Analysis, path: Path) -> None:
    """Write the op trace; where none was taken, the schedule with the ops' best known times.

    Raises:
        InputError: The analysis has neither.
    """
    if analysis.op_trace is not None:
        analysis.op_trace.save_chrome_trace(path)
        return
    if analysis.schedule is None or not analysis.schedule.makespan_s:
        raise InputError(
            f"{analysis.workload!r} has no timeline: it was neither traced nor are the times of"
            " its ops known; measure it, or give it a device"
        )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(schedule_trace(analysis, analysis.schedule)), "utf-8")


def schedule_trace(analysis: Analysis, schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as trace events, one thread for each lane; times in microseconds."""
    about = {record.name: record for record in analysis.op_records}
    lanes = list(dict.fromkeys(op.lane for op in schedule.ops))
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 0, "tid": number, "name": "thread_name", "args": {"name": lane}}
        for number, lane in enumerate(lanes)
    ]
    for op in schedule.ops:
        record = about[op.name]
        known = {
            "opcode": record.opcode, "layer": record.layer, "phase": record.phase,
            "shape": record.shape, "source": record.source, "flops": record.flops,
            "time_source": record.time_source,
        }  # fmt: skip
        events.append(
            {
                "ph": "X",
                "pid": 0,
                "tid": lanes.index(op.lane),
                "name": op.name,
                "cat": record.opcode,
                "ts": op.begin_s * US_PER_S,
                "dur": op.duration_s * US_PER_S,
                "args": {key: value for key, value in known.items() if value is not None},
            }
        )
    return {"traceEvents": events, "displayTimeUnit": "ns"}
