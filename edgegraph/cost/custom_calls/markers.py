"""Rules for custom calls that only say something to the compiler, and cost nothing."""

from __future__ import annotations

from edgegraph.cost.cost import ZERO, Cost
from edgegraph.cost.custom_calls.registry import CustomCall, built_in

_SHARDY = ("FuncResultSharding", "GlobalToLocalShape", "LocalToGlobalShape", "PropagationBarrier",
           "ShardingGroup")  # fmt: skip
"""How values lie on devices, before partitioning."""


@built_in(
    "Sharding",
    "SPMDFullToShardShape",
    "SPMDShardToFullShape",
    *[f"xla.sdy.{marker}" for marker in _SHARDY],
    "AllocateBuffer",
    "AssumeGatherIndicesInBound",
    "ConcatBitcast",  # slices that were prefetched side by side, taken as one value
    "CreateBuffer",
    "LayoutConstraint",
    "NopReturnToken",
    "Pin",
    "Unpin",
    "annotate_device_placement",
    "dce_sink",
    "shape_assertion",
)
def marker(call: CustomCall) -> Cost:
    """Nothing is computed or moved: the result is the operand, or memory not yet filled."""
    return ZERO
