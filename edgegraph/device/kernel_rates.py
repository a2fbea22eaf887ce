"""How fast single kernels run in fact, by what they do and how large they are.

A roof is what no kernel beats; most stay well below it, each kind by its own amount: a depthwise
convolution may reach a hundredth of what a matrix product does. A calibration measures a small
table of kernels, and what is not in it is expected to run as its neighbours do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgegraph.hlo.module import Instruction, dtype_family

NEIGHBOURS = 3
"""How many measured kernels an expectation rests on."""

_FEWEST, _OF_FEW = 5, 3.0
"""Of fewer kernels there are no four of five: their rates may be off by this factor, and so may
those of another machine's kernels."""

_NEAR = 0.1
"""Squared distance, in powers of two, below which all kernels count as the same."""

PRODUCTS = ("dot", "convolution", "grouped", "depthwise")
LOOPS = ("loop-dot", "loop-convolution")
"""Products in dtypes that no library multiplies: XLA's CPU backend writes plain loops."""

MOVES = ("elementwise", "reduction", "pooling", "copy")
FUNCTIONS = ("atan2", "cbrt", "power", "remainder", "tan")
"""Opcodes that compute one value at a time, in many times what it takes to move it."""

VECTORS = ("divide", "exponential", "exponential-minus-one", "log", "log-plus-one", "sqrt", "tanh")
"""Opcodes of which XLA's CPU backend computes many values at a time, each at a rate of its own."""

SINES = "sine"
"""Of sine and cosine: one value at a time."""

_LIKE = {
    "cosine": SINES, "erf": "tanh", "logistic": "exponential", "rsqrt": "sqrt", "sine": SINES,
}  # fmt: skip
"""What is computed in the way of another, and takes about as long."""

VALUES = ("arithmetic", "library-arithmetic", SINES, *VECTORS)
"""What a kernel computes of single values beside moving them: in a kernel of many operations, or of
data that lies in a cache, that is most of its time. Where a library runs a fusion it has arithmetic
of its own, which keeps the values between its operations."""

LIBRARY = ("fft", "lapack", "sort")
"""What a library does."""

TIMED_APART = LOOPS + FUNCTIONS + VALUES + LIBRARY
"""Kinds of which neither a product's rate nor that of data tells the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRate:
    """One measured kernel.

    Attributes:
        kind: One of `PRODUCTS`, `LOOPS`, `MOVES`, `FUNCTIONS`, `VALUES` or `LIBRARY`.
        dtype: XLA dtype name.
        rows, columns, depth: Of a product as a matrix product (of a convolution: output positions,
            output channels, and what is summed over for one output value). Of a kernel that moves
            data, `rows` is the bytes that it moves, of a function and of arithmetic the values, of
            others the FLOPs of one execution; the others are 1.
        rate_per_s: FLOP/s of a product, of arithmetic and of a library's work (a sort's are
            comparisons), bytes/s of a kernel that moves data, values/s of a function.
    """

    kind: str
    dtype: str
    rows: int
    columns: int = 1
    depth: int = 1
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class Expected:
    """A rate to expect, by which factor it may be lower, and by which higher.

    Nothing but the roof bounds the rate of a kind that was measured on another machine.
    """

    rate_per_s: float
    factor: float
    higher: float


class KernelRates:
    """Expects rates from a table of measured kernels.

    With peak rates by dtype, a kind that was not measured in a dtype is expected to be as much
    faster or slower there as the peak is. Kinds that are `guessed` were measured elsewhere.
    """

    def __init__(
        self,
        table: Sequence[KernelRate],
        peaks: Mapping[str, float] | None = None,
        guessed: Collection[str] = (),
    ) -> None:
        self._peaks, self._guessed = peaks or {}, frozenset(guessed)
        self._table: dict[tuple[str, str], list[tuple[tuple[float, ...], float]]] = {}
        for rate in table:
            sizes = _log_sizes(rate.rows, rate.columns, rate.depth)
            group = self._table.setdefault((rate.kind, rate.dtype), [])
            group.append((sizes, math.log(rate.rate_per_s)))
        self._factors = {key: _uncertainty_factor(group) for key, group in self._table.items()}
        self._known: dict[tuple[str, str, int, int, int], Expected | None] = {}

    def expect(
        self, kind: str, dtype: str, rows: int, columns: int = 1, depth: int = 1
    ) -> Expected | None:
        """Return the rate to expect of a kernel; None where nothing like it was measured."""
        key = (kind, dtype, rows, columns, depth)
        if key not in self._known:
            self._known[key] = self._expect(*key)
        return self._known[key]

    def _expect(
        self, kind: str, dtype: str, rows: int, columns: int, depth: int
    ) -> Expected | None:
        group, scale = self._table.get((kind, dtype)), 1.0
        measured = dtype
        if group is None:
            measured = next((name for known, name in self._table if known == kind), "")
            group = self._table.get((kind, measured))
            if kind in PRODUCTS and dtype in self._peaks and measured in self._peaks:
                scale = self._peaks[dtype] / self._peaks[measured]
        if not group:
            return None
        log_rate = _neighbourly(_log_sizes(rows, columns, depth), group)
        factor = self._factors[kind, measured]
        lower, higher = (max(factor, _OF_FEW), math.inf) if kind in self._guessed else (factor,) * 2
        return Expected(math.exp(log_rate) * scale, lower, higher)


def function_kind(opcode: str, dtype: str) -> str | None:
    """Name the kind of an opcode that computes one value at a time; None for all others."""
    return opcode if opcode in FUNCTIONS and dtype_family(dtype) == "f" else None


def value_kind(opcode: str) -> str:
    """Name the kind of a transcendental function or a division of floats, by its opcode."""
    kind = _LIKE.get(opcode, opcode)
    return kind if kind in VALUES else "exponential"


def loop_kind(instruction: Instruction, kernel: Instruction) -> str | None:
    """Name the kind of a product that XLA's CPU backend runs as plain loops; None where not.

    Its libraries multiply floats, complex numbers, and matrices of s32; int8 with sums in s32 they
    take in fusions of their own. Other products stand alone, or from jax 0.12 on in a fusion of
    loops. A matrix times a vector is written in vector instructions, whatever its dtype.

    Args:
        instruction: The dot or convolution.
        kernel: The fusion that it stands in, or itself.
    """
    if kernel.fusion_kind not in (None, "kLoop"):
        return None
    dtype = instruction.shape.dtype
    if dtype_family(dtype) in ("f", "c"):
        return None
    if instruction.opcode == "convolution":
        return "loop-convolution"
    looped = instruction.opcode == "dot" and dtype != "s32"
    return "loop-dot" if looped else None


def convolution_kind(groups: int, inputs: int) -> str:
    """Name the kind of a convolution by its groups and the input channels of each."""
    if groups == 1:
        return "convolution"
    return "depthwise" if inputs == 1 else "grouped"


def _log_sizes(*sizes: int) -> tuple[float, ...]:
    return tuple(math.log2(max(1, size)) for size in sizes)


def _neighbourly(
    sizes: tuple[float, ...], group: Sequence[tuple[tuple[float, ...], float]]
) -> float:
    """Average the nearest, weighted by the inverse of their squared distance."""
    near = sorted(
        (sum((a - b) ** 2 for a, b in zip(sizes, other, strict=True)), log_rate)
        for other, log_rate in group
    )[:NEIGHBOURS]
    weights = [1 / (distance + _NEAR) for distance, _ in near]
    total = sum(weight * log_rate for weight, (_, log_rate) in zip(weights, near, strict=True))
    return total / sum(weights)


def _uncertainty_factor(group: Sequence[tuple[tuple[float, ...], float]]) -> float:
    """Return the factor within which four of five kernels lie when the others tell their rate."""
    if len(group) < _FEWEST:
        return _OF_FEW
    errors = sorted(
        abs(_neighbourly(sizes, [*group[:number], *group[number + 1 :]]) - log_rate)
        for number, (sizes, log_rate) in enumerate(group)
    )
    return math.exp(errors[math.ceil(0.8 * len(errors)) - 1])
