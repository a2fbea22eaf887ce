"""What the cost of a whole module must be, worked out from XLA's own totals alone.

`expected` asks XLA for the total of every computation by itself and puts those together by the
rules that EdgeGraph states: a loop runs its trips, a conditional costs its most expensive branch,
custom calls are XLA's -1 taken back, and what only names a value moves nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import pytest
from hypothesis import HealthCheck, settings

from edgegraph import xla
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.cost.xla_cost import XlaPricer
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.module import Instruction, Module, Shape
from edgegraph.hlo.schema import HloModuleProto
from tests.conformance.cases import COMPLEX, SUB_BYTE_BITS, Case, module

EXAMPLES = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""The same examples in every run."""

FIGURES = ("macs", "flops", "transcendentals", "bytes_read", "bytes_written")


@dataclass(frozen=True)
class Total:
    """FLOPs, transcendentals and bytes of something."""

    flops: float = 0
    transcendentals: float = 0
    bytes: float = 0

    def __add__(self, other: Total) -> Total:
        return Total(
            self.flops + other.flops,
            self.transcendentals + other.transcendentals,
            self.bytes + other.bytes,
        )

    def __mul__(self, times: float) -> Total:
        return Total(self.flops * times, self.transcendentals * times, self.bytes * times)

    def __sub__(self, other: Total) -> Total:
        return self + other * -1

    def most_expensive(self, other: Total) -> Total:
        return Total(
            max(self.flops, other.flops),
            max(self.transcendentals, other.transcendentals),
            max(self.bytes, other.bytes),
        )

    def is_near(self, other: Total) -> bool:
        """Compare up to the rounding of XLA's float32 sums."""
        mine = (self.flops, self.transcendentals, self.bytes)
        theirs = (other.flops, other.transcendentals, other.bytes)
        return mine == pytest.approx(theirs, rel=1e-5, abs=0.5)


@dataclass(frozen=True)
class Priced:
    """A module with the prices of its nodes."""

    module: Module
    nodes: tuple[Node, ...]
    costs: dict[str, OpCost]

    @property
    def total(self) -> Total:
        """What the ops cost together, custom calls aside."""
        containers = {node.parent for node in self.nodes}
        parts = [
            self.costs[node.name].cost
            for node in self.nodes
            if node.name not in containers and node.instruction.opcode != "custom-call"
        ]
        return Total(
            sum(part.flops or 0 for part in parts),
            sum(part.transcendentals or 0 for part in parts),
            sum((part.bytes_read or 0) + (part.bytes_written or 0) for part in parts),
        )

    def cost(self, name: str) -> Total:
        """What one op costs."""
        cost = self.costs[name].cost
        assert cost.flops is not None
        assert cost.transcendentals is not None
        assert cost.bytes_read is not None
        assert cost.bytes_written is not None
        assert min(cost.bytes_read, cost.bytes_written) >= 0
        return Total(cost.flops, cost.transcendentals, cost.bytes_read + cost.bytes_written)


def price(serialized: bytes) -> Priced:
    module = decode(serialized)
    nodes = flatten(module)
    return Priced(module, nodes, price_nodes(module, nodes))


def xla_total(serialized: bytes, computation: str | None = None) -> Total:
    """Ask XLA what a module costs; with another entry computation if one is named."""
    if computation is not None:
        proto = HloModuleProto.FromString(serialized)
        (chosen,) = (c for c in proto.computations if c.name == computation)
        proto.entry_computation_id = chosen.id
        proto.entry_computation_name = chosen.name
        proto.host_program_shape.CopyFrom(chosen.program_shape)
        serialized = bytes(proto.SerializeToString())
    found = xla.cost_analysis(serialized)
    return Total(
        found.get("flops", 0), found.get("transcendentals", 0), found.get("bytes accessed", 0)
    )


def alone(case: Case) -> Total:
    """Ask XLA what an instruction costs without what makes its operands, all packed."""
    before = xla_total(xla.parse_text(packed(module(*case.before)))) if case.before else Total()
    return xla_total(xla.parse_text(packed(module(case)))) - before


_UNPACKED = re.compile(rf"\b({'|'.join(SUB_BYTE_BITS)})\[([\d,<=]*)\](?!\{{)")


def packed(text: str) -> str:
    """Have every layout say that elements of less than a byte share bytes."""

    def write(found: re.Match[str]) -> str:
        rank = len(found[2].split(",")) if found[2] else 0
        order = ",".join(map(str, reversed(range(rank))))
        return f"{found[0]}{{{order}:E({SUB_BYTE_BITS[found[1]]})}}"

    return _UNPACKED.sub(write, text)


def expected(priced: Priced, trips: int | None = None) -> Total:
    """Work out the total from XLA's.

    Args:
        priced: The module; of its prices only whether a loop's length is known is used.
        trips: How often every loop runs, by hand.
    """
    return _Rules(priced, trips).total(priced.module.entry)


class _Rules:
    def __init__(self, priced: Priced, trips: int | None) -> None:
        self._module = priced.module
        self._trips = trips
        self._prices = XlaPricer(priced.module)
        self._unknown = {
            node.instruction.name
            for node in priced.nodes
            if node.instruction.opcode == "while" and priced.costs[node.name].unpriced
        }

    def _xla(self, computation: str) -> Total:
        return xla_total(self._module.serialized, computation)

    def total(self, name: str) -> Total:
        computation = self._module.computations[name]
        shapes = {i.name: i.shape for i in computation.instructions}
        found = self._xla(name)
        for instruction in computation.instructions:
            operands = [shapes[operand] for operand in instruction.operands]
            found += self._correction(instruction, operands)
        return found

    def _correction(self, instruction: Instruction, operands: Sequence[Shape]) -> Total:
        opcode, called = instruction.opcode, instruction.called
        if opcode == "custom-call":
            return Total(flops=1, bytes=1)
        if opcode in ("call", "async-start"):
            return self.total(called[0]) - self._xla(called[0])
        if opcode == "conditional":
            ours = theirs = Total()
            for branch in called:
                ours = ours.most_expensive(self.total(branch))
                theirs = theirs.most_expensive(self._xla(branch))
            return ours - theirs
        if opcode == "while":
            body, condition = called
            times = 1 if instruction.name in self._unknown else self._trips
            assert times is not None, "say how often the loop runs"
            again = 1 if instruction.name in self._unknown else times + 1
            ours = self.total(body) * times + self.total(condition) * again
            return ours - self._xla(body) - self._xla(condition)
        if opcode == "fusion":  # what crosses its border is XLA's, and what is in it computes
            inside = self.total(called[0]) - self._xla(called[0])
            return Total(inside.flops, inside.transcendentals)
        twice = Total(bytes=-counted_twice(instruction, operands))
        runs_as_it_stands = opcode == "reduce-window" and self._module.schedule
        if opcode not in RECOUNTED or runs_as_it_stands:
            return twice
        price = self._prices.price(instruction.name)
        theirs = Total(price.flops, price.transcendentals)
        return twice + recounted(instruction, operands, theirs)


def stated_difference(priced: Priced, name: str, case: Case, xla: Total) -> Total:
    """Return what our figures for an instruction have more than XLA's, by the stated formulas."""
    (instruction,) = (node.instruction for node in priced.nodes if node.name == name)
    shapes = {node.name: node.instruction.shape for node in priced.nodes}
    operands = [shapes[operand] for operand in instruction.operands]
    if case.opcode == "scan":
        assert case.trips is not None
        return Total(xla.flops, xla.transcendentals) * (case.trips - 1)
    if case.opcode == "reduce" and operands[0].size == 0:
        return Total(max(0, -xla.flops), max(0, -xla.transcendentals))
    if case.opcode == "ragged-dot":
        assert case.macs is not None
        return Total(2 * case.macs - xla.flops)
    return Total(bytes=-counted_twice(instruction, operands)) + recounted(
        instruction, operands, xla
    )


REAL_OPERATIONS = {
    "add": 2, "subtract": 2, "negate": 2, "multiply": 6, "divide": 11,
    "dot": 4, "convolution": 4, "cholesky": 4, "triangular-solve": 4,
}  # fmt: skip
"""(a + ib)(c + id) is 4 products and 2 sums; a multiply-add of them 8 operations instead of 2."""


RECOUNTED = {"fft", "reduce-window", "sort", "topk", *REAL_OPERATIONS}


def recounted(instruction: Instruction, operands: Sequence[Shape], xla: Total) -> Total:
    """Return what an op takes more than XLA counts, by the table of `docs/costs.md`."""
    opcode = instruction.opcode
    if opcode == "fft":
        passes = sum(math.floor(math.log2(n)) for n in instruction.fft_lengths if n)
        numbers = operands[0] if operands[0].dtype[0] == "c" else instruction.shape
        return Total(8 * numbers.size * passes - xla.flops)
    if opcode == "sort":
        n = operands[0].dimensions[instruction.dimensions[0]]
        return Total(operands[0].size * math.ceil(math.log2(max(n, 1))) - xla.flops)
    if opcode == "topk":
        k = instruction.shape.elements[0].dimensions[-1]
        return Total(operands[0].size * max(1, math.ceil(math.log2(max(k, 1)))) - xla.flops)
    if opcode == "reduce-window":
        return _scanned(instruction, operands[0], xla) - Total(xla.flops, xla.transcendentals)
    if opcode in REAL_OPERATIONS and operands[0].dtype in COMPLEX:
        return Total(xla.flops) * (REAL_OPERATIONS[opcode] - 1)
    return Total()


def _scanned(instruction: Instruction, values: Shape, xla: Total) -> Total:
    """Return the FLOPs and transcendentals of sums over all before, each from the last."""
    windows = zip(instruction.window, values.dimensions, strict=True)
    wide = [(window, extent) for window, extent in windows if window.size > 1]
    whole = math.prod(window.size for window, _ in wide)
    mine = Total()
    for window, n in wide:
        pads = sorted((window.padding_low, window.padding_high))
        steps = (window.stride, window.window_dilation, window.base_dilation)
        if window.size != n or pads != [0, n - 1] or steps != (1, 1, 1):
            return Total(xla.flops, xla.transcendentals)
        each = 1 / (whole - 1) * (n - 1) / n
        mine += Total(xla.flops * each, xla.transcendentals * each)
    return mine if wide else Total(xla.flops, xla.transcendentals)


def counted_twice(instruction: Instruction, operands: Sequence[Shape]) -> float:
    """Return the bytes that XLA counts for what moves none.

    XLA counts operands and results of whatever it has no rule for. That is the second half of an
    asynchronous op, whose first half has moved the data; the alias of its operand in the result
    of a first half; a barrier; and the number of the device.
    """
    opcode, shape = instruction.opcode, instruction.shape
    if opcode in ("partition-id", "replica-id"):
        return 4
    if opcode == "opt-barrier" or opcode.endswith(("-done", "-update")):
        return sum(_flat(operand) for operand in operands) + shape.bytes
    match opcode:
        case "copy-start":
            return shape.bytes - shape.elements[0].bytes
        case "all-gather-start" | "collective-permute-start":
            return shape.bytes - shape.elements[1].bytes
        case "send":
            return shape.bytes
        case "recv":
            return shape.bytes - shape.elements[0].bytes
    return 0


def _flat(shape: Shape) -> float:
    """A tuple that is read is a table of pointers."""
    return pointer_bytes() * len(shape.elements) if shape.dtype == "tuple" else shape.bytes


@cache
def pointer_bytes() -> float:
    """Ask XLA how large it takes a pointer to be: 8 bytes with jax 0.10, 4 with 0.12."""
    text = "HloModule m ENTRY e { x = f32[] parameter(0) ROOT y = (f32[]) tuple(x) }"
    return xla_total(xla.parse_text(text)).bytes


def check(serialized: bytes, trips: int | None = None) -> Priced:
    """Assert that our prices add up to what XLA's totals say, and that none is negative."""
    priced = price(serialized)
    ours, theirs = priced.total, expected(priced, trips)
    assert ours.is_near(theirs), f"ours {ours}, XLA's {theirs}"
    for node in priced.nodes:
        for figure in FIGURES:
            value = getattr(priced.costs[node.name].cost, figure)
            assert value is None or value >= 0, (node.name, figure, value)
    return priced


def lower(function: Callable[..., Any], *arguments: Any) -> Any:
    """Lower a function, its unused arguments kept."""
    return jax.jit(function, keep_unused=True).lower(*arguments)
