"""What single equations of a traced function cost: XLA's count, and the time at the roofs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
from jax.extend import core

from edgegraph.device.device import Device, arithmetic, roofline_times
from edgegraph.errors import USER_ERRORS
from edgegraph.rewrites.rule import Site, site_of

_PRODUCTS = frozenset({"dot_general", "conv_general_dilated", "ragged_dot_general"})

_LETTERS = {"float": "f", "bfloat": "bf", "int": "s", "uint": "u", "complex": "c"}


@dataclass(frozen=True, slots=True)
class Work:
    """What equations cost, one after the other; None is unknown."""

    flops: int | None = 0
    bytes: int | None = 0
    time_s: float | None = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            _sum(self.flops, other.flops),
            _sum(self.bytes, other.bytes),
            _sum(self.time_s, other.time_s),
        )

    def __mul__(self, times: int) -> Work:
        return Work(
            None if self.flops is None else self.flops * times,
            None if self.bytes is None else self.bytes * times,
            None if self.time_s is None else self.time_s * times,
        )


UNKNOWN = Work(None, None, None)


def work_of(equation: Any, device: Device | None = None) -> Work:
    """Return what an equation costs, loops of known length included.

    FLOPs and bytes are those that XLA counts of it alone. Its time is the larger of both at the
    device's roofs; of what compilers fuse into their neighbours, all that is elementwise or only
    moves values, that of its arithmetic. None where it is not known: a loop that runs until
    something holds.
    """
    name = equation.primitive.name
    bodies = called(equation)
    if name == "while":
        return UNKNOWN
    if bodies:
        each = [sum((work_of(e, device) for e in body.eqns), Work()) for body in bodies]
        most = max(each, key=lambda work: work.flops or 0)  # of a cond, the dearest branch
        return most * int(equation.params.get("length", 1) if name == "scan" else 1)
    return _alone(site_of(equation), device)


def called(equation: Any) -> Sequence[core.Jaxpr]:
    """Return the programs that an equation runs; those of its derivative are none."""
    params = equation.params
    if equation.primitive.name == "cond":
        return [_open(each) for each in params["branches"]]
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
    return [_open(params[each]) for each in names if each in params][:1]


def bytes_of(aval: Any) -> int:
    """Return the size of a value; keys of random numbers count as what they are made of."""
    return int(math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 0))


class _Key:
    """A site, equal to others that compute the same."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __hash__(self) -> int:
        return hash(self.site.signature)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.site.signature == self.site.signature


@lru_cache(maxsize=4096)
def _counted(key: _Key) -> tuple[int, int] | None:
    """Return XLA's count of FLOPs and bytes of one equation; None where it has none."""
    try:
        found = jax.jit(key.site.plain).lower(*key.site.operands).cost_analysis()
    except USER_ERRORS:  # collectives outside of their mesh, primitives of other platforms
        return None
    if found is None:
        return None
    return int(found.get("flops", 0)), int(found.get("bytes accessed", 0))


def _alone(site: Site, device: Device | None) -> Work:
    counted = _counted(_Key(site))
    if counted is None:
        return UNKNOWN
    flops, moved = counted
    if device is None or not site.results:
        return Work(flops, moved, None)
    computed = arithmetic(
        device,
        xla_dtype(site.results[0].dtype),
        precision="default" if site.name in _PRODUCTS else None,
    )
    times = roofline_times(
        flops=flops, bytes=moved, dtype=computed.dtype, passes=computed.passes,
        working_set_bytes=moved, device=device,
    )  # fmt: skip
    data_s = (times.memory_time_s or 0.0) if stands_alone(site.name) else 0.0
    return Work(flops, moved, max(times.compute_time_s or 0.0, data_s))


_FUSED = frozenset({
    "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "slice", "rev", "pad",
    "convert_element_type", "iota", "copy", "concatenate", "select_n", "name", "stop_gradient",
    "reduce_precision", "optimization_barrier", "add", "sub", "mul", "div", "neg", "max", "min",
    "exp", "log", "tanh", "logistic", "erf", "sin", "cos", "rsqrt", "sqrt", "square",
    "integer_pow", "pow", "abs", "sign", "gt", "lt", "ge", "le", "eq", "ne", "and", "or", "not",
    "clamp", "is_finite", "log1p", "expm1", "add_any", "mul_add", "erf_inv", "xor",
    "shift_right_logical", "shift_left", "bitcast_convert_type", "exp2", "cbrt", "floor", "ceil",
    "round", "rem", "copy_p", "convert",
})  # fmt: skip


def stands_alone(primitive: str) -> bool:
    """Return whether compilers run an equation as a kernel of its own, with its own traffic."""
    return primitive not in _FUSED


def xla_dtype(dtype: Any) -> str:
    """Name a dtype as XLA does: ``f32``, ``bf16``, ``pred``."""
    found = re.fullmatch(r"(bfloat|float|int|uint|complex)(\w+)", str(dtype))
    return "pred" if found is None else f"{_LETTERS[found[1]]}{found[2].replace('_', '')}"


def _sum(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


def _open(jaxpr: Any) -> core.Jaxpr:
    inner: core.Jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    return inner
