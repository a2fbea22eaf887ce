"""MACs of a traced function, counted from its jaxpr: independent of EdgeGraph and of XLA."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax

import edgegraph as eg


@dataclass(frozen=True, kw_only=True)
class Product:
    """One convolution or matrix product.

    Attributes:
        scope: The name stack it was traced under.
        macs: Multiply-accumulates, padding counted.
        valid_tap_macs: The same without those that read padding.
        operands: dtypes of the two operands.
        result: dtype of the result.
    """

    scope: str
    macs: int
    valid_tap_macs: int
    operands: tuple[str, ...]
    result: str


def products(workload: eg.Workload, *, batch: int = 1) -> list[Product]:
    """Trace a workload abstractly and list its convolutions and matrix products, in order."""
    call = workload.call(batch)
    return list(_walk(jax.make_jaxpr(call.function)(*call.abstract).jaxpr, "", 1))


def _walk(jaxpr: Any, outer: str, times: int) -> Iterator[Product]:
    for equation in jaxpr.eqns:
        scope = "/".join(filter(None, (outer, str(equation.source_info.name_stack))))
        name = equation.primitive.name
        macs = _MACS[name](equation) if name in _MACS else None
        if macs is not None:
            yield Product(
                scope=scope,
                macs=times * macs[0],
                valid_tap_macs=times * macs[1],
                operands=tuple(variable.aval.dtype.name for variable in equation.invars),
                result=equation.outvars[0].aval.dtype.name,
            )
        trips = equation.params["length"] if name == "scan" else 1
        assert name not in ("while", "cond"), f"{name}: how often it runs is not known here"
        for inner in _inner(equation):
            yield from _walk(inner, scope, times * trips)


def _inner(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(item, "jaxpr"):
                yield item.jaxpr
            elif hasattr(item, "eqns"):
                yield item


def _dot_macs(equation: Any) -> tuple[int, int]:
    (contracting, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    macs = math.prod(equation.outvars[0].aval.shape) * math.prod(shape[i] for i in contracting)
    return macs, macs


def _convolution_macs(equation: Any) -> tuple[int, int]:
    params = equation.params
    numbers = params["dimension_numbers"]
    inputs, kernel = (variable.aval.shape for variable in equation.invars)
    output = equation.outvars[0].aval.shape
    taps = math.prod(kernel[i] for i in numbers.rhs_spec[2:])
    channels = kernel[numbers.rhs_spec[1]]
    valid_pairs = math.prod(
        _valid_pairs(*dimension)
        for dimension in zip(
            (inputs[i] for i in numbers.lhs_spec[2:]),
            (kernel[i] for i in numbers.rhs_spec[2:]),
            (output[i] for i in numbers.out_spec[2:]),
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            strict=True,
        )
    )
    pixels = math.prod(output[i] for i in numbers.out_spec[2:])
    per_pair = channels * math.prod(output) // pixels
    return math.prod(output) * taps * channels, valid_pairs * per_pair


def _valid_pairs(
    inputs: int,
    kernel: int,
    outputs: int,
    stride: int,
    padding: tuple[int, int],
    input_dilation: int,
    kernel_dilation: int,
) -> int:
    """Count the (output, tap) pairs of one dimension that read an element of the input."""
    span = (inputs - 1) * input_dilation
    positions = (
        output * stride + tap * kernel_dilation - padding[0]
        for output, tap in itertools.product(range(outputs), range(kernel))
    )
    return sum(0 <= at <= span and at % input_dilation == 0 for at in positions)


_MACS = {"dot_general": _dot_macs, "conv_general_dilated": _convolution_macs}
