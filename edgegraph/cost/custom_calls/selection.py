"""Rules for top-k, for permutations and for random bits: integer work and comparisons."""

from __future__ import annotations

import math

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls.form import operand, result
from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError, built_in

_THREEFRY_OPERATIONS = 119
"""Of one block: 20 rounds of an addition, a rotation (two shifts, an or) and an xor; 5 key
injections of 3 additions; 2 additions before and 2 xors for the third key."""


@built_in("TopK", "__gpu$TopK", "mhlo.topk")
def top_k(call: CustomCall) -> Cost:
    """The k largest of n: n log2(k) comparisons, rounded up as XLA rounds up a sort's n log2(n).

    That is what a partial sort with a heap takes (the C++ standard on ``std::partial_sort``,
    which XLA's CPU runtime calls).
    """
    values, found = operand(call, 0), result(call, 0)
    if not found.dimensions:
        raise UnknownFormError(f"{call.target} gives a scalar")
    k = found.dimensions[-1]
    return call.cost(flops=values.size * max(1, math.ceil(math.log2(max(k, 1)))))


@built_in("PartialReduce")
def approximate_top_k(call: CustomCall) -> Cost:
    """Approximate top-k of a TPU: one comparison per element (Chern et al., "TPU-KNN", 2022)."""
    return call.cost(flops=operand(call, 0).size)


@built_in("cu_lu_pivots_to_permutation", "hip_lu_pivots_to_permutation")
def pivots_to_permutation(call: CustomCall) -> Cost:
    """Swap indices, one swap per pivot: nothing is computed."""
    return call.cost()


@built_in("cu_threefry2x32_ffi", "hip_threefry2x32_ffi")
def threefry(call: CustomCall) -> Cost:
    """Threefry-2x32-20 (Salmon et al., "Parallel Random Numbers", 2011): 119 operations a block.

    A block gives two words, one in each of the two results. XLA counts integer operations, such
    as these, among the FLOPs.
    """
    return call.cost(flops=_THREEFRY_OPERATIONS * result(call, 0).size)
