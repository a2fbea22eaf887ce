"""Programs of kernels so small that no roof explains their time: starting them takes it.

What a kernel takes is what the trace saw of it, or else what is expected of it. XLA's CPU compiler
makes one function of some calls, such as a small loop: what stands in one is started once, whatever
it does, and is no kernel here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from edgegraph.base.timing import bulk
from edgegraph.device.device import bound
from edgegraph.hlo.graph import Node
from edgegraph.hlo.op_tree import Kernel, OpTree
from edgegraph.results.records import OpRecord
from edgegraph.results.timing import Latency

SMALL_S = 1e-6
"""A kernel shorter than that takes no longer than starting one does on most devices."""

EXPLAINED = 0.5
"""Share of a kernel's time from which its roof explains it, rather than its start."""

FEWEST_LAUNCHES = 100
"""So many small kernels take ten microseconds and more; fewer hardly show beside the call."""

DOMINANT = 0.5
"""Share of the time from which small kernels are what a program consists of."""


@bulk
def mark_overhead(
    nodes: Sequence[Node], records: Sequence[OpRecord], *, traced: bool
) -> tuple[OpRecord, ...]:
    """Put the bound `overhead` on small kernels and the ops in them, if they take most of the time.

    `traced` says whether the times on the records are those of a trace. Where they are not, and
    nothing is expected of the device either, no record changes.
    """
    tree, as_one = OpTree(records), one_kernel(nodes)
    small = [k for k in tree.kernels if k.name not in as_one and _is_small(k.head, traced)]
    whole_s = sum(_time_s(op, traced) or 0.0 for op in tree.top)
    small_s = sum(_time_s(kernel.head, traced) or 0.0 for kernel in small)
    launched = sum(kernel.head.executions or 1 for kernel in small)
    if launched < FEWEST_LAUNCHES or small_s <= DOMINANT * whole_s:
        return tuple(records)
    marked = {name for kernel in small for name in _names(kernel)}
    return tuple(
        replace(record, bound="overhead") if record.name in marked else record for record in records
    )


def bound_of_whole(
    latency: Latency | None, ops: Sequence[OpRecord], totals: Mapping[str, Any]
) -> str | None:
    """Return what binds the whole: launching it or its kernels, else its largest roofline time."""
    called = latency is not None and latency.is_launch
    if called or any(op.bound == "overhead" for op in ops):
        return "overhead"
    return bound(*(totals[f"{roof}_time_s"] for roof in ("compute", "memory", "network")))


def one_kernel(nodes: Sequence[Node]) -> Mapping[str, str]:
    """Return, by name of every op in a call that is one kernel, the call."""
    calls = {node.name for node in nodes if node.instruction.one_kernel}
    outer: dict[str, str] = {}
    for node in nodes:
        parent = node.parent
        if parent is not None and (parent in outer or parent in calls):
            outer[node.name] = outer.get(parent, parent)
    return outer


def _is_small(head: OpRecord, traced: bool) -> bool:
    time_s, roof_s = _time_s(head, traced), head.roof_time_s
    if not time_s or roof_s is None:
        return False
    return time_s < SMALL_S * (head.executions or 1) and roof_s < EXPLAINED * time_s


def _time_s(op: OpRecord, traced: bool) -> float | None:
    """Return the time of all executions; None where it is a roof's."""
    if not traced:
        return op.expected_time_s
    return None if op.time_source == "estimated" else op.time_s


def _names(kernel: Kernel[OpRecord]) -> Sequence[str]:
    return [kernel.name, *(op.name for op in kernel.leaves)]
