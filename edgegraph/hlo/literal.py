"""The value of a scalar integer constant, which loop counters start from and end at."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from edgegraph.hlo.module import Shape
from edgegraph.hlo.schema import LiteralProto

_NUMBERS = {"pred": "preds", "s32": "s32s", "s64": "s64s", "u32": "u32s", "u64": "u64s"}
"""Where a literal holds its values, by dtype."""

_BYTES = {"s8": "s8s", "u8": "u8s", "s16": "s16s", "u16": "u16s"}
"""The same for small dtypes, whose values are packed little-endian."""


def scalar_literal(literal: bytes, shape: Shape) -> int | None:
    """Read the value of a constant.

    Args:
        literal: A serialized LiteralProto.
        shape: Shape of the constant.

    Returns:
        The value of a scalar integer or boolean; None for every other constant.
    """
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
