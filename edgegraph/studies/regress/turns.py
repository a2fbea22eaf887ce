"""Two versions timed by turns: a process for each, and one more of the first as the control.

A program of another version runs in a process of its own, so the turns go round the processes: in
every round each takes some samples, in random order, while the others wait. All of that is done
several times, in fresh processes; the spread between those gives the interval, and what the first
version seems to differ from itself is noise. Then each process traces some calls, for the times of
ops and layers within the running program.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgegraph.base.timing import Progress
from edgegraph.device import host
from edgegraph.device.host import OtherProcesses
from edgegraph.errors import EdgeGraphError
from edgegraph.measure import statistics
from edgegraph.measure.compare import conclude, process_times
from edgegraph.measure.trace.timeline import STEP
from edgegraph.results.timing import ProcessTimes, TimingComparison
from edgegraph.results.verdicts import (
    FASTER,
    NO_DIFFERENCE,
    NOISY,
    SLOWER,
    verdict_of_intervals,
)
from edgegraph.studies.regress.passes import written_profile
from edgegraph.studies.regress.workers import Agent, Side

FIRST, CONTROL, SECOND = "first", "control", "second"
SOURCE, ARTIFACT = "source", "artifact"
REWARM_S = 0.003
"""A turn begins with calls that count for nothing, as others emptied the caches meanwhile."""

SAMPLES_A_TURN = 5
LONGEST_TURN_S = 0.1
"""A turn has as many samples as fit, two at least and `SAMPLES_A_TURN` at most."""

FEWEST_ROUNDS, MOST_ROUNDS = 7, 60
TRACED_CALLS = 8
DROPPED_CALLS = 2
WIDEST_INTERVAL = 0.05

Layer = str
"""A layer and its phase, with a tab between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Where the time of one process went, in seconds of one call.

    Attributes:
        ops: By the ops' names.
        layers: By layer and phase, what was timed as theirs.
        split: Likewise, what is theirs by the roofline of kernels that hold ops of others, too.
        shared: Likewise, what those kernels take.
    """

    ops: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[Layer, float] = field(default_factory=dict)
    split: Mapping[Layer, float] = field(default_factory=dict)
    shared: Mapping[Layer, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What one generation of processes saw.

    Attributes:
        source, artifact: The times; None where there is no such program.
        compile_s: Seconds to compile the source: of the first version, again, and of the second.
        passes: By process, what XLA's passes took of that.
        spent: By process, where it was traced.
        others_share: Share of the cores' time that neither of them took.
    """

    source: ProcessTimes | None
    artifact: ProcessTimes | None
    compile_s: Mapping[str, float]
    passes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)
    others_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What both sides load, by name; a request for each side."""

    requests: Mapping[str, Callable[[Side], dict[str, Any]]]


ReadTrace = Callable[[str, Path], Spent]
"""From the process (`FIRST`, ...) and its profile to where its time went."""


def run_generation(
    sides: tuple[Side, Side],
    programs: Programs,
    folder: Path,
    *,
    seed: int,
    budget_s: float,
    read_trace: ReadTrace | None,
    progress: Progress,
) -> Generation:
    """Time both versions by turns in three fresh processes, and trace them."""
    label = f"{sides[0].label} against {sides[1].label}"
    roles = {FIRST: sides[0], CONTROL: sides[0], SECOND: sides[1]}
    with ExitStack() as leaving:
        progress(f"{label}: compiling", None)
        agents = {role: leaving.enter_context(Agent(side, folder)) for role, side in roles.items()}
        loaded = {role: _loaded(agents[role], programs) for role in _shuffled(roles, seed)}
        progress(f"{label}: taking turns", None)
        with OtherProcesses() as others:
            samples = _rounds(agents, list(programs.requests), seed, budget_s)
        spent = {}
        if read_trace is not None:
            progress(f"{label}: tracing", None)
            spent = {role: _traced(agents[role], role, read_trace) for role in roles}
    times = {
        name: process_times(
            first_s=samples[FIRST, name],
            control_s=samples[CONTROL, name],
            second_s=samples[SECOND, name],
            others_share=None,
        )
        for name in programs.requests
    }
    return Generation(
        source=times.get(SOURCE),
        artifact=times.get(ARTIFACT),
        compile_s={role: each[0] for role, each in loaded.items()},
        passes={role: each[1] for role, each in loaded.items()},
        spent=spent,
        others_share=others.share,
    )


def _shuffled(roles: Iterable[str], seed: int) -> list[str]:
    """Return processes in random order: what one reads from disk the next finds in memory."""
    order = list(roles)
    random.Random(seed).shuffle(order)
    return order


def _loaded(agent: Agent, programs: Programs) -> tuple[float, dict[str, float]]:
    """Have all programs compiled; return what the first of them took, as a whole and by pass."""
    first, *others = programs.requests.items()
    answer, passes = agent.load_profiled(first[0], first[1](agent.side))
    for name, request in others:
        agent.load(name, request(agent.side))
    return float(answer["compile_s"]), passes


def _rounds(
    agents: Mapping[str, Agent], names: Sequence[str], seed: int, budget_s: float
) -> dict[tuple[str, str], list[float]]:
    """Take samples of every program of every process, round by round.

    Of a turn the quickest call counts: what else runs can only make one slower.
    """
    turns = [(role, name) for name in names for role in agents]
    typical = {}
    for role, name in turns:
        typical[role, name] = agents[role].ask({"do": "warm_up", "name": name})["typical_s"]
    count = max(2, min(SAMPLES_A_TURN, int(LONGEST_TURN_S / max(max(typical.values()), 1e-9))))
    round_s = sum(REWARM_S + (count + 1) * each for each in typical.values())
    rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(budget_s / max(round_s, 1e-6))))
    samples: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
    shuffle = random.Random(seed).shuffle
    request = {"do": "sample", "samples": count, "rewarm_s": REWARM_S}
    for _ in range(rounds):
        shuffle(turns)
        for role, name in turns:
            taken = agents[role].ask({**request, "name": name})["samples_s"]
            samples[role, name].append(min(taken))
    return samples


def _traced(agent: Agent, role: str, read_trace: ReadTrace) -> Spent:
    request = {"do": "trace", "name": SOURCE, "calls": DROPPED_CALLS + TRACED_CALLS}
    with agent.profile() as place:
        try:
            agent.ask({**request, "folder": str(place), "step": STEP})
            return read_trace(role, written_profile(place))
        except EdgeGraphError:  # the times of the whole are there without it
            return Spent()


def concluded(names: tuple[str, str], processes: Sequence[ProcessTimes]) -> TimingComparison:
    """Return the verdict on what the processes saw.

    A difference is claimed where the whole interval lies more than 1 % from 1 and beyond the
    control's, however wide it is: how busy the machine is shows in both. "No difference" takes an
    interval that is narrow.
    """
    found = conclude(names, processes, cores=len(host.usable_cores()))
    verdict = verdict_of_intervals(1.0, found.control_interval, found.interval)
    if verdict in (FASTER, SLOWER):
        return replace(found, verdict=verdict, reasons=())
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The time of a part of the program, before and after."""

    before_s: float
    after_s: float
    ratio: float | None
    interval: tuple[float, float] | None
    control_interval: tuple[float, float] | None
    verdict: str | None


def judge_part(
    first_s: Sequence[float],
    control_s: Sequence[float],
    second_s: Sequence[float],
    *,
    parts: int,
    whole_s: float,
) -> Judged:
    """Return the verdict on a part, of which every generation saw the times.

    With many parts some seem to differ by chance, so the confidence is that of all of them
    together. A part that grew by less than 1 % of the whole is no reason for anything.
    """
    before_s, after_s = (statistics.median(each) if each else 0.0 for each in (first_s, second_s))
    known = [
        (math.log(second / first), math.log(control / first))
        for first, control, second in zip(first_s, control_s, second_s, strict=True)
        if min(first, control, second) > 0.0
    ]
    if len(known) < 3 or len(known) < len(first_s):
        return Judged(
            before_s=before_s, after_s=after_s, ratio=None, interval=None, control_interval=None,
            verdict=_appeared(first_s, second_s, whole_s),
        )  # fmt: skip
    confidence = 1.0 - 0.05 / max(1, parts)
    logs, control_logs = ([pair[number] for pair in known] for number in (0, 1))
    interval, control = (_interval(each, confidence) for each in (logs, control_logs))
    verdict = verdict_of_intervals(1.0, control, interval)
    if verdict == NO_DIFFERENCE and math.sqrt(interval[1] / interval[0]) - 1 > WIDEST_INTERVAL:
        verdict = NOISY
    if verdict in (FASTER, SLOWER) and abs(after_s - before_s) < 0.01 * whole_s:
        verdict = NO_DIFFERENCE
    return Judged(
        before_s=before_s,
        after_s=after_s,
        ratio=math.exp(math.fsum(logs) / len(logs)),
        interval=interval,
        control_interval=control,
        verdict=verdict,
    )


def _interval(logs: Sequence[float], confidence: float) -> tuple[float, float]:
    low, high = statistics.mean_interval(logs, confidence)
    return math.exp(low), math.exp(high)


def _appeared(first_s: Sequence[float], second_s: Sequence[float], whole_s: float) -> str | None:
    """Judge what only one of the versions has, and has in every process."""
    least = 0.01 * whole_s
    if not any(first_s) and second_s and min(second_s) > least:
        return SLOWER
    if not any(second_s) and first_s and min(first_s) > least:
        return FASTER
    return None
