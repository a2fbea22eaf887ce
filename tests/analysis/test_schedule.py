"""Schedules played by hand: what hides a transfer, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgegraph import xla
from edgegraph.analysis.analyze import analyze
from edgegraph.analysis.schedule import simulate_schedule
from edgegraph.compiler.program import Program
from edgegraph.hlo.graph import flatten
from edgegraph.results.schedule import Schedule

COPIES = """
HloModule m, is_scheduled=true

ENTRY e {
  x = f32[1000] parameter(0)
  y = f32[1000] parameter(1)
  start = (f32[1000], f32[1000], u32[]) copy-start(x)
  a = f32[1000] negate(y)
  b = f32[1000] negate(a)
  done = f32[1000] copy-done(start)
  ROOT c = f32[1000] add(done, b)
}
"""

GATHER = """
HloModule m, is_scheduled=true, num_partitions=4

ENTRY e {
  x = f32[1000] parameter(0)
  start = (f32[1000], f32[4000]) all-gather-start(x), dimensions={0}, replica_groups={{0,1,2,3}},
      channel_id=1, use_global_device_ids=true
  a = f32[1000] negate(x)
  done = f32[4000] all-gather-done(start)
  ROOT r = (f32[4000], f32[1000]) tuple(done, a)
}
"""

LOOP = """
HloModule m, is_scheduled=true

body {
  p = (s32[], f32[1000]) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  v = f32[1000] get-tuple-element(p), index=1
  start = (f32[1000], f32[1000], u32[]) copy-start(v)
  one = s32[] constant(1)
  next = s32[] add(i, one)
  done = f32[1000] copy-done(start)
  ROOT t = (s32[], f32[1000]) tuple(next, done)
}

condition {
  p = (s32[], f32[1000]) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  n = s32[] constant(5)
  ROOT less = pred[] compare(i, n), direction=LT
}

ENTRY e {
  v = f32[1000] parameter(0)
  zero = s32[] constant(0)
  t = (s32[], f32[1000]) tuple(zero, v)
  w = (s32[], f32[1000]) while(t), condition=condition, body=body,
      backend_config={"known_trip_count":{"n":"5"}}
  ROOT r = f32[1000] get-tuple-element(w), index=1
}
"""


def simulated(
    text: str, seconds: dict[str, float], network_bytes_per_s: float | None = None
) -> Schedule:
    """Play a module with times by hand: of one execution, by the name's last part."""
    program = Program(
        name="m", batch=None, target="unknown", stage="optimized", serialized=xla.parse_text(text)
    )
    analysis = analyze(program)
    records = [
        replace(
            record,
            time_s=seconds[record.name] * (record.executions or 1),
            time_source="measured",
        )
        if record.name in seconds
        else replace(record, time_s=None, time_source=None)
        for record in analysis.op_records
    ]
    nodes = flatten(analysis.module)
    return simulate_schedule(nodes, records, network_bytes_per_s=network_bytes_per_s)


@pytest.mark.parametrize(
    ("copy_s", "verdict", "exposed_s", "makespan_s"),
    [
        (4.0, "hidden", 0.0, 6.0),
        (5.0, "hidden", 0.0, 6.0),
        (5.03125, "hidden", 0.03125, 6.03125),  # waits for less than a hundredth of it
        (5.25, "partly hidden", 0.25, 6.25),
        (7.0, "partly hidden", 2.0, 8.0),
    ],
)
def test_what_stands_between_start_and_done_hides_a_copy(
    copy_s: float, verdict: str, exposed_s: float, makespan_s: float
) -> None:
    schedule = simulated(COPIES, {"start": copy_s, "a": 2.0, "b": 3.0, "c": 1.0})
    (transfer,) = schedule.transfers
    assert (transfer.start, transfer.done, transfer.opcode) == ("start", "done", "copy")
    assert (transfer.between, transfer.compute_s, transfer.bytes) == (2, 5.0, 8000)
    assert (transfer.verdict, transfer.exposed_s) == (verdict, exposed_s)
    assert schedule.makespan_s == makespan_s
    assert schedule.compute_s == 6.0


def test_a_copy_with_nothing_between_is_exposed() -> None:
    schedule = simulated(COPIES, {"start": 4.0, "a": 0.0, "b": 0.0, "c": 1.0})
    assert [transfer.verdict for transfer in schedule.transfers] == ["exposed"]
    assert (schedule.exposed_s, schedule.makespan_s) == (4.0, 5.0)


def test_the_critical_path_is_the_longest_chain() -> None:
    # The copy and the two negations need nothing of each other: 7 beside 2 + 3, then 1.
    schedule = simulated(COPIES, {"start": 7.0, "a": 2.0, "b": 3.0, "c": 1.0})
    assert schedule.critical_path_s == 8.0
    assert schedule.critical_path == ("start", "c")
    assert schedule.parallelism == 6.0 / 8.0


def test_a_collective_takes_its_bytes_over_the_network() -> None:
    # A ring of four: each device sends three times its 4000 bytes.
    schedule = simulated(GATHER, {"a": 1.0}, network_bytes_per_s=3000.0)
    (transfer,) = schedule.transfers
    assert (transfer.opcode, transfer.lane, transfer.bytes) == ("all-gather", "network", 12000)
    assert (transfer.duration_s, transfer.exposed_s) == (4.0, 3.0)
    assert transfer.verdict == "partly hidden"


def test_a_collective_without_a_known_network_is_unknown() -> None:
    (transfer,) = simulated(GATHER, {"a": 1.0}).transfers
    assert (transfer.duration_s, transfer.exposed_s, transfer.verdict) == (None, None, None)


def test_a_loop_plays_its_body_as_often_as_it_runs() -> None:
    schedule = simulated(LOOP, {"start": 3.0, "next": 1.0, "less": 0.5})
    (transfer,) = schedule.transfers
    assert (transfer.executions, transfer.exposed_s, transfer.duration_s) == (5, 2.0, 3.0)
    # Five times the body (3 s, of which 2 s are waiting); the condition is asked six times.
    assert schedule.makespan_s == pytest.approx(5 * 3.0 + 6 * 0.5)
    assert schedule.exposed_s == 10.0


@given(st.lists(st.integers(0, 100), min_size=4, max_size=4))
def test_the_program_takes_its_compute_and_what_it_waits_for(times: list[int]) -> None:
    names = ("start", "a", "b", "c")
    schedule = simulated(COPIES, dict(zip(names, map(float, times), strict=True)))
    assert schedule.makespan_s == schedule.compute_s + schedule.exposed_s
    assert schedule.critical_path_s <= schedule.makespan_s


CYCLES = '{"window_config":{"estimated_cycles":"1500"},"flag_configs":[]}'

FETCHED = """HloModule m, is_scheduled=true
ENTRY main {{ x = f32[65536] parameter(0)
  start = (f32[65536]{{0:S(1)}}, f32[65536]{{0}}, u32[]) copy-start(x)
  {before} = f32[1024] {first}
  done = f32[65536]{{0:S(1)}} copy-done(start)
  ROOT n = f32[65536] negate(done), backend_config={config} }}"""


@pytest.mark.parametrize("hidden", [False, True])
def test_what_kernels_wait_for_is_not_covered(hidden: bool) -> None:
    """A matrix that a TPU fetches ahead costs its compiler no cycles, and all of the time.

    262,144 bytes take 0.32 us at 820 GB/s, in and, for the result, out: the kernel is half of it.
    One before it that takes 1 us, as the compiler says, hides the fetching.
    """
    first = "iota(), iota_dimension=0" + f", backend_config={CYCLES}" * hidden
    text = FETCHED.format(config=CYCLES, before="i", first=first)
    program = Program(
        name="m", batch=None, target="tpu:v5e", stage="optimized", device="tpu-v5e",
        serialized=xla.parse_text(text),
    )  # fmt: skip
    totals = analyze(program).totals
    assert totals.compiler_coverage == pytest.approx(1.0 if hidden else 0.5, abs=0.02)
