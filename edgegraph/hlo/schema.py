"""Protobuf messages from a table that names only the fields that are read; XLA's own first.

The messages live in a descriptor pool of their own, so that they cannot clash with another
package's copy of the same ``.proto``. Fields that a table does not name are kept by the protobuf
runtime and survive a round trip.

Field numbers: openxla/xla, ``xla/service/hlo.proto`` and ``xla/xla_data.proto``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

Proto: TypeAlias = Any
"""A message. Its fields are attributes that exist at run time only, so it cannot be typed."""

Messages: TypeAlias = Mapping[str, dict[str, tuple[int, str]]]
"""Message -> field -> (number, type). A ``*`` marks a repeated field; a type that is no scalar is
one of these messages. Enums are int32: an unknown value must not be lost. A protobuf map is a
repeated message of ``key`` and ``value``."""

_SCALARS = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


def message_classes(package: str, messages: Messages) -> Callable[[str], type[Proto]]:
    """Make the messages of a package, unique in the process; return what gives one by its name."""
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message_name, fields in messages.items():
        message = file.message_type.add(name=message_name)
        for field_name, (number, written) in fields.items():
            kind = written.removesuffix("*")
            field = message.field.add(name=field_name, number=number)
            field.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if written.endswith("*")
                else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{package}.{kind}"
    pool = DescriptorPool()
    pool.Add(file)

    def message_class(name: str) -> type[Proto]:
        return GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))

    return message_class


_MESSAGES: Messages = {
    # The embedded module is read as bytes: same encoding, and it comes out byte for byte.
    "HloProto": {"hlo_module": (1, "bytes"), "buffer_assignment": (3, "BufferAssignmentProto")},
    "BufferAssignmentProto": {"allocations": (3, "BufferAllocationProto*")},
    "BufferAllocationProto": {
        "size": (2, "int64"),
        "is_thread_local": (3, "bool"),
        "is_entry_computation_parameter": (5, "bool"),
        "maybe_live_out": (7, "bool"),
        "is_constant": (12, "bool"),
    },
    "HloModuleProto": {
        "name": (1, "string"),
        "entry_computation_name": (2, "string"),
        "computations": (3, "HloComputationProto*"),
        "host_program_shape": (4, "ProgramShapeProto"),
        "id": (5, "int64"),
        "entry_computation_id": (6, "int64"),
        "schedule": (7, "HloScheduleProto"),
        "input_output_alias": (8, "HloInputOutputAliasProto"),
        "device_assignment": (15, "DeviceAssignmentProto"),
        "stack_frame_index": (17, "StackFrameIndexProto"),
    },
    "DeviceAssignmentProto": {
        "replica_count": (1, "int32"),
        "computation_count": (2, "int32"),
        "computation_devices": (3, "ComputationDevicesProto*"),
    },
    "ComputationDevicesProto": {"replica_device_ids": (1, "int64*")},
    "ProgramShapeProto": {
        "parameters": (1, "ShapeProto*"),
        "result": (2, "ShapeProto"),
        "parameter_names": (3, "string*"),
    },
    "HloScheduleProto": {"entries": (1, "ScheduleEntry*")},
    "HloInputOutputAliasProto": {"entries": (1, "InputOutputAlias*")},
    "InputOutputAlias": {
        "output_shape_index": (1, "int64*"),
        "parameter_number": (2, "int64"),
        "parameter_shape_index": (3, "int64*"),
    },
    "ScheduleEntry": {"key": (1, "int64"), "value": (2, "InstructionSequence")},
    "InstructionSequence": {"instruction_ids": (1, "int64*")},
    "StackFrameIndexProto": {
        "file_names": (1, "string*"),
        "function_names": (2, "string*"),
        "file_locations": (3, "FileLocation*"),
        "stack_frames": (4, "StackFrame*"),
    },
    "FileLocation": {
        "file_name_id": (1, "int32"),
        "function_name_id": (2, "int32"),
        "line": (3, "int32"),
        "column": (4, "int32"),
    },
    "StackFrame": {"file_location_id": (1, "int32"), "parent_frame_id": (2, "int32")},
    "HloComputationProto": {
        "name": (1, "string"),
        "instructions": (2, "HloInstructionProto*"),
        "program_shape": (4, "ProgramShapeProto"),
        "id": (5, "int64"),
        "root_id": (6, "int64"),
        "is_fusion_computation": (7, "bool"),
    },
    "HloInstructionProto": {
        "name": (1, "string"),
        "opcode": (2, "string"),
        "shape": (3, "ShapeProto"),
        "metadata": (7, "OpMetadata"),
        # Constants can be large and few are looked into: read as bytes, decoded where needed.
        "literal": (8, "bytes"),
        "parameter_number": (9, "int64"),
        "fusion_kind": (11, "string"),
        "tuple_index": (13, "int64"),
        "dimensions": (14, "int64*"),
        "window": (15, "Window"),
        "convolution_dimension_numbers": (16, "ConvolutionDimensionNumbers"),
        "channel_id": (26, "int64"),
        "custom_call_target": (28, "string"),
        "dot_dimension_numbers": (30, "DotDimensionNumbers"),
        "fft_length": (32, "int64*"),
        "id": (35, "int64"),
        "operand_ids": (36, "int64*"),
        "control_predecessor_ids": (37, "int64*"),
        "called_computation_ids": (38, "int64*"),
        "backend_config": (43, "bytes"),
        "is_host_transfer": (47, "bool"),
        # XLA writes replica groups in one of four ways; this one is the oldest.
        "replica_groups": (49, "ReplicaGroup*"),
        "feature_group_count": (50, "int64"),
        "precision_config": (51, "PrecisionConfig"),
        "source_target_pairs": (52, "SourceTarget*"),
        "batch_group_count": (58, "int64"),
        "comparison_direction": (63, "string"),
        "frontend_attributes": (68, "FrontendAttributes"),
        "use_global_device_ids": (71, "bool"),
        "output_operand_aliasing": (74, "OutputOperandAliasing*"),
        # What XLA remembers of earlier names of a value; read only to be left out of comparisons.
        "statistics_viz": (82, "bytes*"),
        "replica_group_list": (87, "ReplicaGroupList"),
        "original_value": (88, "bytes*"),
        "ragged_dot_dimension_numbers": (90, "RaggedDotDimensionNumbers"),
        "iota_replica_groups": (92, "IotaReplicaGroups"),
        "mesh_replica_groups": (93, "MeshReplicaGroups"),
    },
    "FrontendAttributes": {"map": (1, "FrontendAttribute*")},
    "FrontendAttribute": {"key": (1, "string"), "value": (2, "string")},
    "PrecisionConfig": {"operand_precision": (1, "int32*"), "algorithm": (2, "int32")},
    "OutputOperandAliasing": {
        "output_shape_index": (1, "int64*"),
        "operand_index": (2, "int64"),
        "operand_shape_index": (3, "int64*"),
    },
    "LiteralProto": {
        "preds": (2, "bool*"),
        "u8s": (3, "bytes"),
        "s32s": (4, "int32*"),
        "s64s": (5, "int64*"),
        "u32s": (6, "uint32*"),
        "u64s": (7, "uint64*"),
        "s8s": (15, "bytes"),
        "u16s": (16, "bytes"),
        "s16s": (17, "bytes"),
    },
    "ReplicaGroup": {"replica_ids": (1, "int64*")},
    "ReplicaGroupList": {"replica_groups": (1, "ReplicaGroup*")},
    "IotaReplicaGroups": {"group_count": (1, "int64"), "group_size": (2, "int64")},
    "MeshReplicaGroups": {"mesh": (1, "Mesh"), "axes": (2, "MeshAxisReference*")},
    "Mesh": {"axes": (1, "MeshAxis*")},
    "MeshAxis": {"name": (1, "string"), "size": (2, "int64")},
    "MeshAxisReference": {"axis": (1, "int64"), "part": (2, "MeshAxisPart")},
    "MeshAxisPart": {"size_before": (1, "int64"), "size": (2, "int64")},
    "SourceTarget": {"source": (1, "int64"), "target": (2, "int64")},
    "OpMetadata": {
        "op_type": (1, "string"),
        "op_name": (2, "string"),
        "source_file": (3, "string"),
        "source_line": (4, "int32"),
        "stack_frame_id": (15, "int32"),
    },
    "ShapeProto": {
        "element_type": (2, "int32"),
        "dimensions": (3, "int64*"),
        "tuple_shapes": (4, "ShapeProto*"),
        "layout": (5, "LayoutProto"),
    },
    "LayoutProto": {
        "minor_to_major": (1, "int64*"),
        "tiles": (6, "bytes*"),
        "element_size_in_bits": (7, "int64"),
        "memory_space": (8, "int64"),
    },
    "Window": {"dimensions": (1, "WindowDimension*")},
    "WindowDimension": {
        "size": (1, "int64"),
        "stride": (2, "int64"),
        "padding_low": (3, "int64"),
        "padding_high": (4, "int64"),
        "window_dilation": (5, "int64"),
        "base_dilation": (6, "int64"),
        "window_reversal": (7, "bool"),
    },
    "ConvolutionDimensionNumbers": {
        "kernel_input_feature_dimension": (3, "int64"),
        "kernel_output_feature_dimension": (4, "int64"),
        "kernel_spatial_dimensions": (6, "int64*"),
        "input_batch_dimension": (7, "int64"),
        "input_feature_dimension": (8, "int64"),
        "output_batch_dimension": (9, "int64"),
        "output_feature_dimension": (10, "int64"),
        "input_spatial_dimensions": (11, "int64*"),
        "output_spatial_dimensions": (12, "int64*"),
    },
    "RaggedDotDimensionNumbers": {
        "dot_dimension_numbers": (1, "DotDimensionNumbers"),
        "rhs_group_dimensions": (3, "int64*"),
    },
    "DotDimensionNumbers": {
        "lhs_contracting_dimensions": (1, "int64*"),
        "rhs_contracting_dimensions": (2, "int64*"),
        "lhs_batch_dimensions": (3, "int64*"),
        "rhs_batch_dimensions": (4, "int64*"),
    },
}

_message_class = message_classes("edgegraph.xla", _MESSAGES)

HloProto = _message_class("HloProto")
"""What ``--xla_dump_hlo_as_proto`` writes: a module (its bytes) and its buffer assignment."""

HloModuleProto = _message_class("HloModuleProto")
"""A whole module."""

HloInstructionProto = _message_class("HloInstructionProto")
"""One instruction of a computation."""

ShapeProto = _message_class("ShapeProto")
"""A shape, or a tuple of shapes."""

OpMetadata = _message_class("OpMetadata")
"""Where in the source an instruction comes from."""

# What many instructions have in common comes as bytes: equal ones need be decoded only once.
_PACKED = _MESSAGES["HloInstructionProto"] | {"shape": (3, "bytes"), "metadata": (7, "bytes")}

PackedModuleProto = message_classes(
    "edgegraph.packed", {**_MESSAGES, "HloInstructionProto": _PACKED}
)("HloModuleProto")
"""The same as `HloModuleProto`, with the shapes and the metadata of its instructions as bytes."""

_LISTED = _MESSAGES["HloComputationProto"] | {"instructions": (2, "bytes*")}

ListedModuleProto = message_classes(
    "edgegraph.listed", {**_MESSAGES, "HloComputationProto": _LISTED}
)("HloModuleProto")
"""The same as `HloModuleProto`, with instructions as bytes: a tenth of the memory."""


def each_instruction(module: Proto) -> Iterator[Proto]:
    """Return the instructions of a `ListedModuleProto` one after the other, never all at once."""
    for computation in module.computations:
        yield from map(HloInstructionProto.FromString, computation.instructions)


_NAMED: Messages = {
    "HloComputationProto": {"instructions": (2, "HloInstructionProto*")},
    "HloInstructionProto": {"name": (1, "string")},
}

NamedModuleProto = message_classes("edgegraph.named", {**_MESSAGES, **_NAMED})("HloModuleProto")
"""The same as `HloModuleProto`, where of instructions nothing but their names is wanted."""

LiteralProto = _message_class("LiteralProto")
"""The value of a constant."""
