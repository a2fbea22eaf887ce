"""The ops of a program as a tree: what holds what, and what runs as one kernel.

The same tree is made of the nodes of a module and of the records of an analysis: both know
their name, their opcode and the name of what holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from edgegraph.hlo import opcodes


class Op(Protocol):
    """An instruction where it executes."""

    @property
    def name(self) -> str:
        """Unique within the program."""

    @property
    def opcode(self) -> str:
        """XLA's opcode."""

    @property
    def parent(self) -> str | None:
        """Name of the op that holds it; None at the top."""


class ExecutedOp(Op, Protocol):
    """An op of which is known how often it runs."""

    @property
    def executions(self) -> int | None:
        """In one call of the program; None where that depends on the data."""


_Op = TypeVar("_Op", bound=Op)
_Held = TypeVar("_Held", bound=Op, covariant=True)


@dataclass(frozen=True, slots=True)
class Kernel(Generic[_Held]):
    """What a device launches as one: a fusion, or an op outside of fusions that does some work.

    Loops, calls and conditionals launch what they hold; names of values are no work, nor is
    waiting for what another op has started.

    Attributes:
        head: The fusion or the op.
        leaves: The ops in it that hold no others, at any depth; of an op alone itself.
    """

    head: _Held
    leaves: Sequence[_Held]

    @property
    def name(self) -> str:
        """Name of the fusion or the op."""
        return self.head.name

    @property
    def ops(self) -> Sequence[_Held]:
        """The leaves that do something."""
        return [op for op in self.leaves if op.opcode not in opcodes.FREE]

    @property
    def is_fusion(self) -> bool:
        """Whether more than one operation was fused; XLA wraps single ones too."""
        return self.head.opcode == "fusion" and len(self.ops) > 1


def launches(kernels: Iterable[Kernel[ExecutedOp]]) -> int:
    """Count how often kernels are launched in one call; of unknown number they count once.

    The number of kernels says how large a program is, that of launches what running it takes: a
    kernel in a scan of 12 is launched 12 times.
    """
    counts = (kernel.head.executions for kernel in kernels)
    return sum(1 if count is None else count for count in counts)


class OpTree(Generic[_Op]):
    """The ops of a program by what holds them, from all ops, containers before their contents."""

    def __init__(self, ops: Sequence[_Op]) -> None:
        self.ops = ops

    @cached_property
    def holders(self) -> Set[str | None]:
        """Names of the ops that hold others."""
        return {op.parent for op in self.ops}

    @cached_property
    def contents(self) -> Mapping[str | None, Sequence[_Op]]:
        """The ops directly inside each that holds any; at None those that no other holds."""
        found: dict[str | None, list[_Op]] = {}
        for op in self.ops:
            found.setdefault(op.parent, []).append(op)
        return found

    @cached_property
    def top(self) -> Sequence[_Op]:
        """The ops that no other holds; they add up to the program."""
        return [op for op in self.ops if op.parent is None]

    def is_leaf(self, op: _Op) -> bool:
        """Return whether an op holds no others."""
        return op.name not in self.holders

    @cached_property
    def leaves(self) -> Sequence[_Op]:
        """The ops that hold no others; they add up to the program, too."""
        holders = self.holders
        return [op for op in self.ops if op.name not in holders]

    def leaves_in(self, op: _Op) -> Sequence[_Op]:
        """Return the leaves inside an op, at any depth; of a leaf itself."""
        if self.is_leaf(op):
            return [op]
        found: list[_Op] = []
        waiting = list(reversed(self.contents[op.name]))
        while waiting:
            inner = waiting.pop()
            waiting.extend(reversed(self.contents.get(inner.name, ())))
            if self.is_leaf(inner):
                found.append(inner)
        return found

    @cached_property
    def kernels(self) -> Sequence[Kernel[_Op]]:
        """All kernels, in the order of the ops."""
        return self._launched[0]

    @cached_property
    def outside(self) -> Sequence[_Op]:
        """The ops that stand in no fusion, fusions among them: what a profiler can see."""
        inside = self._launched[1]
        return [op for op in self.ops if op.parent not in inside]

    @cached_property
    def _launched(self) -> tuple[Sequence[Kernel[_Op]], Mapping[str | None, list[_Op]]]:
        """Return the kernels, and the leaves of the kernel around them by fusion and container."""
        holders = self.holders
        kernels: list[Kernel[_Op]] = []
        around: dict[str | None, list[_Op]] = {}
        for op in self.ops:
            leaves = around.get(op.parent)
            if leaves is None:
                if op.opcode in opcodes.NO_KERNEL:
                    continue
                leaves = []
                kernels.append(Kernel(op, leaves))
            if op.name in holders:
                around[op.name] = leaves
            else:
                leaves.append(op)
        return kernels, around
