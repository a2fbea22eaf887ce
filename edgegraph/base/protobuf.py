"""Protobuf messages from a table that names only the fields that are read.

The messages live in a descriptor pool of their own, so that they cannot clash with another
package's copy of the same ``.proto``. Fields that the table does not name are kept by the
protobuf runtime and survive a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

Proto: TypeAlias = Any
"""A message. Its fields are attributes that exist at run time only, so it cannot be typed."""

_SCALARS = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


def message_classes(
    package: str, messages: Mapping[str, Mapping[str, tuple[int, str]]]
) -> Callable[[str], type[Proto]]:
    """Make message classes; return the function that gives one by its name.

    Args:
        package: Name of the protobuf package, unique in the process.
        messages: Message -> field -> (number, type). A ``*`` marks a repeated field; a type that
            is no scalar is one of these messages. Enums are int32: an unknown value must not be
            lost. A protobuf map is a repeated message of ``key`` and ``value``.
    """
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
