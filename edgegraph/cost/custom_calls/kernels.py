"""Rules for kernels that say their cost, callbacks, markers, selection and random bits."""

from __future__ import annotations

import json
import re
from typing import Any

from edgegraph.cost.cost import ZERO, Cost
from edgegraph.cost.custom_calls.registry import (
    CustomCall,
    UnknownFormError,
    built_in,
    integer,
    operand,
    result,
)
from edgegraph.cost.operations import comparisons
from edgegraph.hlo.module import Module

# The kernel's code stands in the same JSON, megabytes of it, so only the estimate is parsed.
_COST_ESTIMATE = re.compile(r'"cost_estimate"\s*:\s*(\{[^{}]*\})')


@built_in(
    "tpu_custom_call",
    "__gpu$xla.gpu.triton",
    "triton_kernel_call",
    "triton_kernel_call_ffi",
    "mosaic_gpu",
    "mosaic_gpu_v2",
)
def pallas(call: CustomCall) -> Cost | None:
    """A Pallas or Triton kernel: the ``cost_estimate`` that its author gave to `pallas_call`.

    None where the call brings none along; JAX writes it for TPUs only. Of the bytes that it
    names, those of the results are written and the rest are read. MACs it does not name.
    """
    found = _COST_ESTIMATE.search(call.instruction.backend_config)
    if found is None:
        return None
    try:
        estimate: dict[str, Any] = json.loads(found.group(1))
    except (ValueError, RecursionError) as error:
        raise UnknownFormError(f"cost estimate {found.group(1)!r}") from error
    moved = integer(estimate.get("bytes_accessed", 0))
    written = min(moved, call.result.bytes)
    return call.cost(
        macs=None,
        flops=integer(estimate.get("flops", 0)),
        transcendentals=integer(estimate.get("transcendentals", 0)),
        bytes_read=moved - written,
        bytes_written=written,
        wire_bytes=integer(estimate.get("remote_bytes_transferred", 0)),
    )


_CALLBACKS = [f"{prefix}_python_{device}_callback" for device in ("cpu", "gpu")
              for prefix in ("xla", "xla_ffi", "xla_ffi_partitioned")]  # fmt: skip


def is_callback(target: str | None) -> bool:
    """Return whether a custom call's target is a Python function that runs on the host."""
    return target in _CALLBACKS


def calls_python(module: Module) -> bool:
    """Return whether any op of a module is such a function."""
    return any(
        is_callback(instruction.custom_call_target)
        for computation in module.computations.values()
        for instruction in computation.instructions
    )


@built_in(*_CALLBACKS)
def host_callback(call: CustomCall) -> Cost:
    """A Python function that runs on the host: it costs the device what is handed over.

    What it takes nobody can tell, so that no time is expected of it.
    """
    return call.cost()


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


@built_in("X64Combine", "X64SplitHigh", "X64SplitLow")
def halves(call: CustomCall) -> Cost:
    """A TPU's numbers of 64 bits, complex ones too, as two arrays of 32: nothing is computed.

    Each half is read and written once: XLA gives both sides buffers of their own, as its memory
    statistics of such programs say. On the chip both are other names of the same bits.
    """
    joins = call.target == "X64Combine"
    whole, parts = (call.result, call.operands) if joins else (operand(call, 0), (call.result,))
    moved = sum(half.bytes for half in parts if not (half.memory_space and whole.memory_space))
    return call.cost(bytes_read=moved, bytes_written=moved)


@built_in("TopK", "__gpu$TopK", "mhlo.topk")
def top_k(call: CustomCall) -> Cost:
    """The k largest of n: n log2(k) comparisons, rounded up as XLA rounds up a sort's n log2(n).

    That is what a partial sort with a heap takes (the C++ standard on ``std::partial_sort``,
    which XLA's CPU runtime calls).
    """
    if not result(call, 0).dimensions:
        raise UnknownFormError(f"{call.target} returns a scalar")
    return call.cost(flops=comparisons(operand(call, 0).size, call.result))


@built_in("PartialReduce")
def approximate_top_k(call: CustomCall) -> Cost:
    """Approximate top-k of a TPU: one comparison per element (Chern et al., "TPU-KNN", 2022)."""
    return call.cost(flops=operand(call, 0).size)


@built_in("cu_lu_pivots_to_permutation", "hip_lu_pivots_to_permutation")
def pivots_to_permutation(call: CustomCall) -> Cost:
    """Swap indices, one swap per pivot: nothing is computed."""
    return call.cost()


_THREEFRY_OPERATIONS = 119
"""Of one block: 20 rounds of an addition, a rotation (two shifts, an or) and an xor; 5 key
injections of 3 additions; 2 additions before and 2 xors for the third key."""


@built_in("cu_threefry2x32_ffi", "hip_threefry2x32_ffi")
def threefry(call: CustomCall) -> Cost:
    """Threefry-2x32-20 (Salmon et al., "Parallel Random Numbers", 2011): 119 operations a block.

    A block gives two words, one in each of the two results. XLA counts integer operations, such
    as these, among the FLOPs.
    """
    return call.cost(flops=_THREEFRY_OPERATIONS * result(call, 0).size)
