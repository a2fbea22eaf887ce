"""Hold the op times of a GPU's profile against what `jax.profiler.ProfileData` reads in it.

$ python -m scripts.bench.profile_times host.xplane.pb

ProfileData gives single events; here they are put into calls anew, each of which begins with the
op that the first begins with, and the time of an op is the union of its events.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import median

from jax.profiler import ProfileData

import edgegraph as eg

Event = tuple[float, float, str]
"""Start and end in ns, and the op."""


def device_events(path: str, module: str) -> list[list[Event]]:
    """Return the events of a module's ops for every device, by start."""
    found = []
    for plane in ProfileData.from_file(path).planes:
        events = [
            (event.start_ns, event.end_ns, str(stats["hlo_op"]))
            for line in plane.lines
            for event in line.events
            if (stats := dict(event.stats)).get("hlo_module") == module and "hlo_op" in stats
        ]
        if plane.name.startswith("/device:GPU") and events:
            found.append(sorted(events))
    return found


def times_ns(events: list[Event], warm_up: int) -> dict[str, list[float]]:
    """Return the time of every op in every call but the first ones."""
    calls: list[dict[str, list[Event]]] = []
    for event in events:
        if event[2] == events[0][2] and (not calls or len(calls[-1]) > 1):
            calls.append(defaultdict(list))
        calls[-1][event[2]].append(event)
    times: dict[str, list[float]] = defaultdict(list)
    for call in calls[warm_up:]:
        for op, own in call.items():
            until, total = own[0][0], 0.0
            for start, end, _ in own:
                total += max(0.0, end - max(start, until))
                until = max(until, end)
            times[op].append(total)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile")
    parser.add_argument("--module", help="the one to take; that with most time by default")
    given = parser.parse_args()
    analysis = eg.analyze(given.profile, module=given.module)
    trace = analysis.op_trace
    assert trace is not None
    devices = device_events(given.profile, analysis.workload)
    theirs: dict[str, list[float]] = defaultdict(list)
    for events in devices:
        for op, times in times_ns(events, trace.warm_up // len(devices)).items():
            theirs[op] += times
    ours = {timing.name: timing.self_median_s * 1e9 for timing in trace.timings}
    print(f"{analysis.workload}: {trace.calls} calls on {len(devices)} devices")
    for op in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(op, float("nan")), median(theirs.get(op) or [float("nan")])
        print(f"{op:40} {mine:12.1f} ns  {other:12.1f} ns  {mine / other - 1:+.2e}")


if __name__ == "__main__":
    main()
