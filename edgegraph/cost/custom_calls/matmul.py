"""Rules for matrix products: cuBLAS, oneDNN and block-scaled dots.

FLOPs are twice the MACs. What a library does to the product on the way out (bias, activation,
scaling) is not counted, as in XLA's own GPU analysis (``gpu_hlo_cost_analysis.cc``): the fused
epilogue is free beside the product.
"""

from __future__ import annotations

import math

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls.form import (
    bytes_without_workspace,
    configuration,
    integers,
    operand,
    result,
)
from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError, built_in


@built_in("__cublas$gemm", "__cublas$lt$matmul", "__cublas$lt$matmul$f8", "__cublas$lt$matmul$mx")
def cublas_matmul(call: CustomCall) -> Cost:
    """GEMM: output size times the extent of the contracted dimensions of the left operand."""
    dimensions = configuration(call, "gemm_backend_config", "dot_dimension_numbers")
    contracted = integers(dimensions.get("lhs_contracting_dimensions", []))
    lhs = operand(call, 0).dimensions
    if any(not 0 <= dimension < len(lhs) for dimension in contracted):
        raise UnknownFormError(f"{call.target} contracts dimensions {contracted} of {lhs}")
    return _product(call, math.prod(lhs[dimension] for dimension in contracted))


@built_in("__onednn$matmul")
def onednn_matmul(call: CustomCall) -> Cost:
    """MatMul of oneDNN: contracts the left operand's last dimension, or its last but one."""
    options = configuration(call, "onednn_matmul_config")
    lhs = operand(call, 0).dimensions
    place = 2 if options.get("transpose_a") and len(lhs) > 1 else 1
    if len(lhs) < place:
        raise UnknownFormError(f"{call.target}: its left operand is a scalar")
    return _product(call, lhs[-place])


@built_in("__op$block_scaled_dot")
def block_scaled_dot(call: CustomCall) -> Cost:
    """Dot of operands with scales per block: contracts the last dimension of both."""
    lhs, rhs = operand(call, 0).dimensions, operand(call, 1).dimensions
    if not lhs or not rhs or lhs[-1] != rhs[-1]:
        raise UnknownFormError(f"{call.target}: {lhs} and {rhs} have no common last dimension")
    return _product(call, lhs[-1])


def _product(call: CustomCall, contracted: int) -> Cost:
    macs = result(call, 0).size * contracted
    return call.cost(macs=macs, flops=2 * macs, bytes_written=bytes_without_workspace(call))
