"""A schedule in words, and its transfers as a table."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from edgegraph.reporting.schedule import schedule_sentences, transfer_table
from edgegraph.results.schedule import EXPOSED, HIDDEN, Schedule, ScheduledOp, Transfer


def transfer(number: int, exposed_s: float, **more: object) -> Transfer:
    known: dict[str, object] = {
        "start": f"all-reduce-start.{number}", "done": f"all-reduce-done.{number}",
        "opcode": "all-reduce", "lane": "network", "layer": "net/dense", "executions": 1,
        "bytes": 4096, "duration_s": 2e-3, "compute_s": 1e-3, "between": 3,
        "exposed_s": exposed_s, "verdict": EXPOSED if exposed_s else HIDDEN,
    }  # fmt: skip
    return Transfer(**{**known, **more})  # type: ignore[arg-type]


def schedule(*transfers: Transfer) -> Schedule:
    return Schedule(
        ops=(ScheduledOp(name="dot", lane="compute", begin_s=0.0, duration_s=6e-3),),
        transfers=transfers, makespan_s=8e-3, compute_s=6e-3, critical_path_s=4e-3, untimed=2,
        time_source="measured",
    )  # fmt: skip


def rows(of: Schedule, *, wide: bool = False) -> list[str]:
    text = io.StringIO()
    Console(width=120, file=text).print(transfer_table(of, wide=wide))
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_what_is_waited_for_and_the_critical_path_are_said() -> None:
    said = schedule_sentences(schedule(transfer(1, 5e-4), transfer(2, 0.0)))
    assert said == [
        "Asynchronous operations take 4 ms in all; the compute waits 500 µs for them.",
        "Critical path 4 ms of 6 ms (measured op times): parallel units could make it at most 1.5"
        " times faster.",
        "2 ops of unknown time count as nothing.",
    ]
    serial = replace(schedule(), critical_path_s=6e-3, untimed=0)
    assert schedule_sentences(serial) == [
        "The schedule has no asynchronous operations.",
        "Critical path 6 ms of 6 ms (measured op times): parallel units gain nothing.",
    ]


def test_the_longest_waits_come_first_counted_as_often_as_they_run() -> None:
    told = rows(schedule(transfer(1, 2e-4), transfer(2, 1e-4, executions=3), transfer(3, 0.0)))
    starts = [line.split()[1] for line in told if line.startswith("all-reduce")]
    assert starts == [f"all-reduce-start.{number}" for number in (2, 1, 3)]
    assert "all-reduce all-reduce-start.3 hidden 4.1 kB 2 ms 1 ms 0 s" in told
    wide = rows(schedule(transfer(2, 1e-4, executions=3)), wide=True)
    assert any("exposed net/dense 3 4.1 kB" in line for line in wide)


def test_twenty_transfers_are_shown() -> None:
    told = rows(schedule(*(transfer(number, 1e-4) for number in range(23))))
    assert sum(line.startswith("all-reduce") for line in told) == 20
    assert "3 more" in told
