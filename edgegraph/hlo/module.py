"""The HLO module as immutable data, with the names XLA gives things.

Nothing here imports jax: a module read from a file is as good as one just compiled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from msgspec import Struct

from edgegraph.hlo.schema import LiteralProto

BITS_BY_DTYPE: Mapping[str, int] = {
    "pred": 8,
    "s1": 1, "u1": 1, "s2": 2, "u2": 2, "s4": 4, "u4": 4,
    "s8": 8, "u8": 8, "s16": 16, "u16": 16, "s32": 32, "u32": 32, "s64": 64, "u64": 64,
    "f4e2m1fn": 4,
    "f8e3m4": 8, "f8e4m3": 8, "f8e4m3fn": 8, "f8e4m3b11fnuz": 8, "f8e4m3fnuz": 8,
    "f8e5m2": 8, "f8e5m2fnuz": 8, "f8e8m0fnu": 8,
    "f16": 16, "bf16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128,
    "token": 0, "opaque": 0,
}  # fmt: skip
"""Bits of one element by XLA's lower-case primitive type name; sub-byte types are packed."""


def dtype_family(dtype: str) -> str:
    """Return the letter of a dtype's family: ``f`` for floats (and tf32), ``s`` for integers."""
    return {"b": "f", "t": "f", "u": "s"}.get(dtype[:1], dtype[:1])


class Shape(Struct, frozen=True, kw_only=True, gc=False):
    """An array shape, or a tuple of shapes.

    Attributes:
        dtype: XLA's primitive type in lower case (``f32``, ``bf16``, ``s8``, ``tuple``).
        dimensions: Extent of every dimension; empty for scalars and tuples.
        layout: Minor-to-major order of the dimensions, or None where XLA gave none.
        memory_space: XLA's memory space number; 0 is the device's main memory.
        elements: The member shapes of a tuple; empty for arrays.
    """

    dtype: str
    dimensions: tuple[int, ...] = ()
    layout: tuple[int, ...] | None = None
    memory_space: int = 0
    elements: tuple[Shape, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements of an array; 0 for a tuple, a token or an opaque value."""
        if self.dtype in ("tuple", "token", "opaque"):
            return 0
        return math.prod(self.dimensions)

    @property
    def bytes(self) -> int:
        """Bytes of all leaves, sub-byte types packed, without padding or tuple pointers."""
        if self.dtype == "tuple":
            return sum(element.bytes for element in self.elements)
        return (self.size * BITS_BY_DTYPE[self.dtype] + 7) // 8

    def leaves(self) -> tuple[Shape, ...]:
        """Return the array shapes of a nested tuple, in order; an array is its own only leaf."""
        if self.dtype != "tuple":
            return (self,)
        return tuple(leaf for element in self.elements for leaf in element.leaves())

    def __str__(self) -> str:
        """Return XLA's own notation: ``f32[32,28,28,1]`` or ``(f32[8], s32[])``."""
        if self.dtype == "tuple":
            return "(" + ", ".join(str(element) for element in self.elements) + ")"
        return f"{self.dtype}[{','.join(map(str, self.dimensions))}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDimension:
    """One spatial dimension of a convolution or reduce-window."""

    size: int
    stride: int = 1
    padding_low: int = 0
    padding_high: int = 0
    window_dilation: int = 1
    base_dilation: int = 1
    reversal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DotDimensions:
    """Which dimensions a dot contracts and which it carries along as batch.

    Along ``rhs_group``, a ragged-dot has one right operand for each group of rows of the left.
    """

    lhs_contracting: tuple[int, ...]
    rhs_contracting: tuple[int, ...]
    lhs_batch: tuple[int, ...]
    rhs_batch: tuple[int, ...]
    rhs_group: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionDimensions:
    """Where batch, feature and space stand in a convolution's input, kernel and output."""

    input_batch: int
    input_feature: int
    input_spatial: tuple[int, ...]
    kernel_input_feature: int
    kernel_output_feature: int
    kernel_spatial: tuple[int, ...]
    output_batch: int
    output_feature: int
    output_spatial: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """Which devices take part in a collective op.

    Attributes:
        group_size: Devices (or replicas) in the largest group; None where all take part.
        channel_id: None where the groups are of replicas.
        use_global_device_ids: Whether the groups hold devices, numbered over all replicas and
            partitions.
        source_target_pairs: Who sends to whom, of a collective-permute.
    """

    group_size: int | None = None
    channel_id: int | None = None
    use_global_device_ids: bool = False
    source_target_pairs: tuple[tuple[int, int], ...] = ()


class Alias(Struct, frozen=True, kw_only=True, gc=False):
    """A part of a result that is written into the memory of an operand or parameter.

    The indices are places in a tuple, empty for the whole; `operand` is the position of an operand
    or the number of an entry parameter.
    """

    output_index: tuple[int, ...] = ()
    operand: int
    operand_index: tuple[int, ...] = ()


class Instruction(Struct, frozen=True, kw_only=True, gc=False):
    """One HLO instruction; attributes that its opcode does not have are None or empty.

    Attributes:
        name: Unique within the module, without the leading ``%``.
        opcode: XLA's opcode (``convolution``, ``fusion``, ``while``).
        operands: Names of the operand instructions, by position.
        called: Names of the computations it calls: a fusion's body, a loop's body and
            condition (in XLA's order: body, condition), branches, a reducer.
        control_predecessors: Names of instructions that must run before it.
        op_name: The op_name metadata as XLA keeps it (``jit(f)/Net/conv1/add``), or "".
        source: ``file:line`` of the user's innermost source position.
        stack_frame_id: Index into the module's stack frames (1-based), 0 where absent.
        fusion_kind: ``kLoop``, ``kInput``, ``kOutput``, ``kCustom``.
        dimensions: The ``dimensions`` attribute (broadcast, reduce, transpose, ...).
        literal: Value of a scalar integer or boolean constant.
        comparison: Direction of a compare (``LT``, ``GE``, ...).
        window: Of a convolution, of a custom-call that is one, or of a reduce-window.
        dot: Dimension numbers of an opcode among `opcodes.DOTS`.
        convolution: Dimension numbers of a convolution or a custom-call that is one.
        fft_lengths: Extents of the axes, the last ones, that a Fourier transform goes along.
        feature_group_count, batch_group_count: Of a convolution; 1 where there are no groups.
        precision: Of a dot, convolution or custom-call, how exact its products are to be:
            ``high``, ``highest`` or an algorithm (``dot_bf16_bf16_f32_x3``); None for the default.
        backend_config: The backend's own configuration text.
        one_kernel: Of a call, whether the CPU's compiler makes one function of all that it calls.
        output_aliases: Which parts of its result a fusion or custom-call writes over operands.
    """

    name: str
    opcode: str
    shape: Shape
    operands: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    control_predecessors: tuple[str, ...] = ()
    op_name: str = ""
    source: str | None = None
    stack_frame_id: int = 0
    parameter_number: int | None = None
    tuple_index: int | None = None
    fusion_kind: str | None = None
    custom_call_target: str | None = None
    dimensions: tuple[int, ...] = ()
    literal: int | None = None
    comparison: str | None = None
    collective: Collective | None = None
    window: tuple[WindowDimension, ...] = ()
    dot: DotDimensions | None = None
    convolution: ConvolutionDimensions | None = None
    fft_lengths: tuple[int, ...] = ()
    feature_group_count: int = 1
    batch_group_count: int = 1
    precision: str | None = None
    backend_config: str = ""
    one_kernel: bool = False
    output_aliases: tuple[Alias, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """A list of instructions, operands before users, and the one that is its result."""

    name: str
    instructions: tuple[Instruction, ...]
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFrame:
    """One frame of the Python stack that made an instruction."""

    file: str
    function: str
    line: int
    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A whole HLO module.

    Attributes:
        entry: Name of the entry computation.
        computations: By name, callees before callers as XLA writes them.
        schedule: Instruction names in execution order by computation name, for scheduled
            modules; empty otherwise.
        stack_frames: The stack frame table; frame ids are 1-based positions in it.
        donated: Which parts of the entry's result are written over donated parameters.
        replica_count: Replicas that the module was compiled for, or None where it does not say.
        partition_count: Partitions of each replica, likewise.
        serialized: The HloModuleProto this was decoded from, byte for byte.
    """

    name: str
    entry: str
    computations: Mapping[str, Computation]
    schedule: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stack_frames: tuple[StackFrame, ...] = ()
    donated: tuple[Alias, ...] = ()
    replica_count: int | None = None
    partition_count: int | None = None
    serialized: bytes = b""

    @property
    def instruction_count(self) -> int:
        """Number of instructions in all computations."""
        return sum(len(c.instructions) for c in self.computations.values())


_NUMBERS = {"pred": "preds", "s32": "s32s", "s64": "s64s", "u32": "u32s", "u64": "u64s"}
"""Where a literal holds its values, by dtype."""

_BYTES = {"s8": "s8s", "u8": "u8s", "s16": "s16s", "u16": "u16s"}
"""The same for small dtypes, whose values are packed little-endian."""


def scalar_literal(literal: bytes, shape: Shape) -> int | None:
    """Read a scalar integer or boolean from a LiteralProto; None for every other constant."""
    if shape.dimensions or (shape.dtype not in _NUMBERS and shape.dtype not in _BYTES):
        return None
    proto = LiteralProto()
    try:
        proto.ParseFromString(literal)
    except DecodeError:
        return None
    if shape.dtype in _BYTES:
        packed: bytes = getattr(proto, _BYTES[shape.dtype])
        signed = shape.dtype.startswith("s")
        return int.from_bytes(packed, "little", signed=signed) if packed else None
    values = getattr(proto, _NUMBERS[shape.dtype])
    return int(values[0]) if len(values) == 1 else None
