"""Decoding what stands beside an instruction's opcode: aliases, groups, dimensions, source line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from edgegraph.errors import FormatError
from edgegraph.hlo import opcodes
from edgegraph.hlo.frames import is_library
from edgegraph.hlo.module import (
    Alias,
    Collective,
    ConvolutionDimensions,
    DotDimensions,
    Instruction,
    Shape,
    StackFrame,
    WindowDimension,
)
from edgegraph.hlo.schema import Proto


def decode_output_aliases(proto: Proto) -> tuple[Alias, ...]:
    """Decode which operands an instruction writes its result over."""
    return tuple(
        [
            Alias(
                output_index=tuple(alias.output_shape_index),
                operand=alias.operand_index,
                operand_index=tuple(alias.operand_shape_index),
            )
            for alias in proto.output_operand_aliasing
        ]
    )


def decode_donations(proto: Proto, entry: Sequence[Instruction], root: str) -> tuple[Alias, ...]:
    """Decode which parts of the entry computation's result are written over donated arguments."""
    donations = tuple(
        [
            Alias(
                output_index=tuple(entry.output_shape_index),
                operand=entry.parameter_number,
                operand_index=tuple(entry.parameter_shape_index),
            )
            for entry in proto.input_output_alias.entries
        ]
    )
    if donations:
        parameters = {i.parameter_number: i.shape for i in entry if i.parameter_number is not None}
        result = next(i.shape for i in entry if i.name == root)
        check_aliases(
            f"HLO module {proto.name!r}: donation",
            donations,
            result,
            [parameters[number] for number in range(len(parameters))],
        )
    return donations


def check_aliases(
    where: str, aliases: Iterable[Alias], result: Shape, operands: Sequence[Shape]
) -> None:
    """Refuse aliases of parts that are not there; a module's operands are its parameters."""
    for alias in aliases:
        if not 0 <= alias.operand < len(operands):
            raise FormatError(f"{where}: alias of operand {alias.operand}, which is not there")
        for shape, index in (
            (result, alias.output_index),
            (operands[alias.operand], alias.operand_index),
        ):
            part = shape
            for step in index:
                if not 0 <= step < len(part.elements):
                    raise FormatError(f"{where}: alias of part {list(index)} of a {shape}")
                part = part.elements[step]


def is_collective(opcode: str, proto: Proto) -> bool:
    """Return whether an instruction sends data to another device."""
    if opcode == "send":
        return not proto.is_host_transfer
    return opcode in opcodes.COLLECTIVES


def decode_collective(proto: Proto) -> Collective:
    """Decode the attributes of a collective op."""
    return Collective(
        group_size=_group_size(proto),
        # XLA writes "no channel" as a number that is not positive.
        channel_id=proto.channel_id if proto.channel_id > 0 else None,
        use_global_device_ids=proto.use_global_device_ids,
        source_target_pairs=tuple(
            [(pair.source, pair.target) for pair in proto.source_target_pairs]
        ),
    )


def _group_size(proto: Proto) -> int | None:
    """Return the size of the largest group; None where the groups are left out, which means all."""
    if proto.HasField("iota_replica_groups"):
        size: int = proto.iota_replica_groups.group_size
        return size
    if proto.HasField("mesh_replica_groups"):
        return _mesh_group_size(proto.mesh_replica_groups)
    groups = proto.replica_group_list.replica_groups or proto.replica_groups
    return max((len(group.replica_ids) for group in groups), default=0) or None


def _mesh_group_size(proto: Proto) -> int | None:
    """Multiply the sizes of the mesh axes that a group runs along.

    ``mesh['x'=8,'y'=2] {'x':(2)4,'y'}``: the part of size 4 of axis x, and all of axis y.
    """
    sizes: list[int] = [axis.size for axis in proto.mesh.axes]
    if any(not 0 <= reference.axis < len(sizes) for reference in proto.axes):
        return None
    along: list[int] = [
        reference.part.size if reference.HasField("part") else sizes[reference.axis]
        for reference in proto.axes
    ]
    return math.prod(along)


_LEVELS = {0: "default", 1: "high", 2: "highest"}
"""XLA's ``PrecisionConfig.Precision`` by number, the least exact first."""

_ALGORITHMS = {
    1: "dot_any_f8_any_f8_f32",
    2: "dot_any_f8_any_f8_f32_fast_accum",
    3: "dot_f16_f16_f16",
    4: "dot_f16_f16_f32",
    5: "dot_bf16_bf16_bf16",
    6: "dot_bf16_bf16_f32",
    7: "dot_bf16_bf16_f32_x3",
    8: "dot_bf16_bf16_f32_x6",
    9: "dot_tf32_tf32_f32",
    10: "dot_tf32_tf32_f32_x3",
    11: "dot_f32_f32_f32",
    12: "dot_f64_f64_f64",
    13: "dot_bf16_bf16_f32_x9",
}
"""XLA's ``PrecisionConfig.Algorithm`` by number."""


def decode_precision(proto: Proto) -> str | None:
    """Return the algorithm of an instruction, or ``high`` or ``highest``; None for the default.

    Of operands that differ the less exact counts.
    """
    config = proto.precision_config
    algorithm = _ALGORITHMS.get(config.algorithm)
    if algorithm is not None:
        return algorithm
    level = min(config.operand_precision, default=0)
    return _LEVELS.get(level) if level > 0 else None


_WINDOW = ("size", "stride", "padding_low", "padding_high", "window_dilation", "base_dilation")
_CONVOLUTION = tuple(field.name for field in fields(ConvolutionDimensions))


def decode_window(proto: Proto) -> tuple[WindowDimension, ...]:
    """Decode a Window."""
    return tuple(
        WindowDimension(
            **{name: getattr(dimension, name) for name in _WINDOW},
            reversal=dimension.window_reversal,
        )
        for dimension in proto.dimensions
    )


def decode_dot(proto: Proto) -> DotDimensions:
    """Decode the dimension numbers of an opcode among `opcodes.DOTS`."""
    ragged = proto.ragged_dot_dimension_numbers
    is_ragged = proto.opcode == "ragged-dot"
    numbers = ragged.dot_dimension_numbers if is_ragged else proto.dot_dimension_numbers
    return DotDimensions(
        lhs_contracting=tuple(numbers.lhs_contracting_dimensions),
        rhs_contracting=tuple(numbers.rhs_contracting_dimensions),
        lhs_batch=tuple(numbers.lhs_batch_dimensions),
        rhs_batch=tuple(numbers.rhs_batch_dimensions),
        rhs_group=tuple(ragged.rhs_group_dimensions),
    )


def decode_convolution(proto: Proto) -> ConvolutionDimensions:
    """Read the dimension numbers: ``input_batch_dimension``, ``input_spatial_dimensions``, ..."""
    numbers: dict[str, Any] = {
        name: tuple(getattr(proto, f"{name}_dimensions"))
        if name.endswith("spatial")
        else getattr(proto, f"{name}_dimension")
        for name in _CONVOLUTION
    }
    return ConvolutionDimensions(**numbers)


def decode_stack_frames(proto: Proto) -> tuple[StackFrame, ...]:
    """Decode the stack frames: frame ``n`` is at position ``n - 1``, its parent an id or 0."""
    files, functions = list(proto.file_names), list(proto.function_names)
    locations = [(p.file_name_id, p.function_name_id, p.line) for p in proto.file_locations]
    count = len(proto.stack_frames)
    frames = []
    for number, frame in enumerate(proto.stack_frames, start=1):
        parent, location = frame.parent_frame_id, frame.file_location_id
        if not 0 <= parent <= count or not 1 <= location <= len(locations):
            raise FormatError(f"HLO stack frame {number}: its location or its parent is unknown")
        file, function, line = locations[location - 1]
        if not 1 <= file <= len(files) or not 1 <= function <= len(functions):
            raise FormatError(f"HLO stack frame {number}: its file or its function is unknown")
        frames.append(
            StackFrame(
                file=files[file - 1], function=functions[function - 1], line=line, parent=parent
            )
        )
    return tuple(frames)


class Sources:
    """Finds the user's source line of an instruction by its metadata."""

    def __init__(self, frames: Sequence[StackFrame]) -> None:
        self._by_frame = _user_positions(frames)

    def of(self, metadata: Proto) -> str | None:
        """Return ``file:line`` from an OpMetadata, or None where it says nothing."""
        frame: int = metadata.stack_frame_id
        if 0 < frame < len(self._by_frame):
            return self._by_frame[frame]
        file: str = metadata.source_file
        return f"{file}:{metadata.source_line}" if file else None


def _user_positions(frames: Sequence[StackFrame]) -> list[str]:
    """Return ``file:line`` of the user's innermost frame, by frame id; id 0 is unused."""
    library = {frame.file: is_library(frame.file) for frame in frames}
    found: list[str | None] = [None] * (len(frames) + 1)
    result = [""]
    for number, innermost in enumerate(frames, start=1):
        walked: list[int] = []
        current = number
        position: str | None = None
        # A file may link frames in a circle: no walk is longer than there are frames, and no
        # frame is walked twice, for what it led to is remembered.
        while current and len(walked) <= len(frames):
            frame = frames[current - 1]
            position = found[current]
            if position is None and not library[frame.file]:
                position = f"{frame.file}:{frame.line}"
            if position is not None or frame.parent == current:
                break
            walked.append(current)
            current = frame.parent
        for passed in walked:
            found[passed] = position
        result.append(position or f"{innermost.file}:{innermost.line}")
    return result
