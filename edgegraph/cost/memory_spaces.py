"""Bytes that stay on the chip, told by the memory spaces of layouts.

XLA's compiler for TPUs places values: a layout with a memory space other than 0 stands in memory
on the chip (VMEM; CMEM on a v4), and reading or writing it does not cross the pins. The rule: such
bytes are part of the traffic between kernels, but not of main memory's, and take no time under the
memory roof, since the bandwidth of that memory is not published. A value that is copied there from
main memory is read once from main memory.

Other compilers number their spaces otherwise (GPUs: memory for collectives, which is main memory),
so that only modules of the TPU's compiler are read in this way. Space 5 is the host's memory
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgegraph.hlo.module import Module, Shape

_ON_CHIP = frozenset({1, 2, 3, 4})
_TPU_CONFIG = '"scoped_memory_configs"'
"""Stands in the backend_config of what the TPU's compiler has laid out."""


class MemorySpaces:
    """Knows which part of what is moved stays on the chip."""

    def __init__(self, module: Module) -> None:
        """Look whether the module's memory spaces have that meaning.

        Args:
            module: Of any compiler.
        """
        self.placed = any(
            _TPU_CONFIG in instruction.backend_config
            for instruction in module.computations[module.entry].instructions
        )

    def on_chip(self, moved: int, shape: Shape) -> int:
        """Return the bytes that stay on the chip, of `moved` bytes of a value.

        Args:
            moved: Bytes read or written of it.
            shape: Of the value; of a tuple, its arrays share what is moved by their sizes.

        Example:
            >>> from edgegraph.hlo.module import Computation, Instruction
            >>> laid_out = Instruction(name="x", opcode="parameter", shape=Shape(dtype="f32"),
            ...                        backend_config='{"scoped_memory_configs":[]}')
            >>> entry = Computation(name="main", instructions=(laid_out,), root="x")
            >>> spaces = MemorySpaces(Module(name="m", entry="main", computations={"main": entry}))
            >>> spaces.on_chip(32, Shape(dtype="f32", dimensions=(8,), memory_space=1))
            32
        """
        if not self.placed or not moved:
            return 0
        leaves = shape.leaves()
        whole = sum(leaf.bytes for leaf in leaves)
        inside = sum(leaf.bytes for leaf in leaves if leaf.memory_space in _ON_CHIP)
        return moved * inside // whole if whole else 0

    def sum(self, moved: Sequence[int], shapes: Sequence[Shape]) -> int:
        """Add up the bytes that stay on the chip, of several values."""
        if not self.placed:
            return 0
        return sum(map(self.on_chip, moved, shapes))
