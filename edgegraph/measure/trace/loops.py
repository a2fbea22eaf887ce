"""How often loops ran, counted in a trace."""

from __future__ import annotations

from collections.abc import Sequence

from edgegraph.cost.executions import count_executions
from edgegraph.cost.trips import trip_counts
from edgegraph.graph import Node
from edgegraph.hlo.module import Module
from edgegraph.measure.trace.runs import TracedRun
from edgegraph.results.op_trace import LoopTrace


def count_loops(
    module: Module, nodes: Sequence[Node], runs: Sequence[TracedRun]
) -> tuple[LoopTrace, ...]:
    """Count the iterations of every loop that ran.

    The ops of a body all run as often as the body. Where none of them shows in the trace, the
    condition tells, which runs once more each time the loop is begun.

    Args:
        module: The module.
        nodes: Its nodes.
        runs: Traced calls; what differs between them is unknown.
    """
    trips = trip_counts(module)
    expected = count_executions(nodes, trips)
    contents: dict[tuple[str | None, str], list[str]] = {}
    for node in nodes:
        contents.setdefault((node.parent, node.computation), []).append(node.name)
    loops: list[LoopTrace] = []
    for node in nodes:
        if node.opcode != "while":
            continue
        body, condition = node.instruction.called
        entered = _count(runs, [node.name])
        inside, around = contents.get((node.name, body), []), contents.get((node.name, condition))
        iterations, checked = _count(runs, inside), _count(runs, around or [])
        if iterations is None and checked is not None and entered is not None:
            iterations = checked - entered
        if checked is None and iterations is not None and entered is not None:
            checked = iterations + entered
        if iterations is None:
            continue
        loops.append(
            LoopTrace(
                name=node.name,
                body=body,
                condition=condition,
                entered=entered,
                iterations=iterations,
                checked=checked,
                trips=trips.get(node.instruction.name),
                expected=expected[inside[0]].count if inside else None,
            )
        )
    return tuple(loops)


def _count(runs: Sequence[TracedRun], ops: Sequence[str]) -> int | None:
    """Return how often ops of one computation ran in a call; None if they or the calls disagree."""
    seen = {run.ops[name].executions for run in runs for name in ops if name in run.ops}
    silent = any(not any(name in run.ops for name in ops) for run in runs)
    return seen.pop() if len(seen) == 1 and not silent else None
