"""Times of kernels, split over the ops inside them and added up over what holds them."""

from __future__ import annotations

from collections.abc import Mapping

from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.records import OpRecord

Times = tuple[float, ...]
"""Times of all executions in one call, in seconds, by several estimates."""


def distribute(whole: Mapping[str, Times], tree: OpTree[OpRecord]) -> Mapping[str, Times]:
    """Split kernels' times over the ops in them as their roofline times, and add up.

    Args:
        whole: Times of all executions, by kernel; as many for each. What is no kernel is left out.
        tree: All ops.

    Returns:
        Times by op, those of containers with them; ops of which nothing is known are left out.
    """
    times: dict[str, Times] = {}
    parents = {op.name: op.parent for op in tree.ops}

    def add(name: str | None, last: str | None, amount: Times) -> None:
        """Add to the containers from `name` outwards, to below `last`."""
        while name is not None and name != last:
            held = times.get(name)
            times[name] = amount if held is None else tuple(map(float.__add__, held, amount))
            name = parents[name]

    for kernel in tree.kernels:
        known, parent = whole.get(kernel.name), kernel.head.parent
        if known is None:
            continue
        nothing = (0.0,) * len(known)
        weights = [max(op.compute_time_s or 0.0, op.memory_time_s or 0.0) for op in kernel.leaves]
        total = sum(weights)
        if not total:
            weights[-1] = total = 1.0
        for op, weight in zip(kernel.leaves, weights, strict=True):
            part = nothing
            if weight:
                share = weight / total
                part = tuple([share * time for time in known])
            times[op.name] = part
            if op.parent not in (kernel.name, parent):
                add(op.parent, kernel.name, part)
        times[kernel.name] = known
        add(parent, None, known)
    return times
