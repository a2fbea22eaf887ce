"""From the bytes of a HloModuleProto to a `Module`.

What XLA promises of a module, and what later code relies on, is checked: every id is known,
operands come before users and called computations before their callers. So neither the data
flow nor the call graph can have a cycle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from msgspec.structs import replace

from edgegraph.base.timing import bulk
from edgegraph.errors import FormatError
from edgegraph.hlo import opcodes
from edgegraph.hlo.attributes import (
    Sources,
    decode_collective,
    decode_convolution,
    decode_donations,
    decode_dot,
    decode_output_aliases,
    decode_precision,
    decode_stack_frames,
    decode_window,
    is_collective,
)
from edgegraph.hlo.module import (
    Computation,
    Instruction,
    Module,
    Shape,
    scalar_literal,
)
from edgegraph.hlo.schema import OpMetadata, PackedModuleProto, Proto, ShapeProto
from edgegraph.hlo.validation import Checker

DTYPES = {
    1: "pred",
    2: "s8", 3: "s16", 4: "s32", 5: "s64", 6: "u8", 7: "u16", 8: "u32", 9: "u64",
    10: "f16", 11: "f32", 12: "f64", 13: "tuple", 14: "opaque", 15: "c64", 16: "bf16",
    17: "token", 18: "c128",
    19: "f8e5m2", 20: "f8e4m3fn", 21: "s4", 22: "u4", 23: "f8e4m3b11fnuz",
    24: "f8e5m2fnuz", 25: "f8e4m3fnuz", 26: "s2", 27: "u2", 28: "f8e4m3", 29: "f8e3m4",
    30: "s1", 31: "u1", 32: "f4e2m1fn", 33: "f8e8m0fnu", 34: "buffer",
}  # fmt: skip
"""XLA's PrimitiveType numbers (``xla/xla_data.proto``)."""

_MAX_ELEMENTS = (1 << 63) - 1
"""What XLA can count; a dimension of zero does not excuse the others."""

_MAX_TUPLES = 90
"""Tuples inside tuples; protobuf reads a message 100 deep, and a module's shapes stand 4 deep."""

_WITH_PRECISION = opcodes.DOTS | {"custom-call"}


@bulk
def decode(serialized: bytes) -> Module:
    """Decode a serialized HloModuleProto, and keep it; refuse one that contradicts itself."""
    proto = _parsed(PackedModuleProto, serialized)
    if not proto.computations:
        raise FormatError("not a serialized HLO module: it holds no computation")
    frames = decode_stack_frames(proto.stack_frame_index)
    decoder = _Decoder(Sources(frames))
    for computation in proto.computations:
        decoder.add(computation)
    entry = decoder.names.get(proto.entry_computation_id)
    if entry is None:
        raise FormatError(
            f"HLO module {proto.name!r}: entry computation id {proto.entry_computation_id}"
            " is not among its computations"
        )
    main = decoder.computations[entry]
    return Module(
        name=proto.name,
        entry=entry,
        computations=decoder.computations,
        schedule=decoder.schedule(proto.schedule),
        stack_frames=frames,
        donated=decode_donations(proto, main.instructions, main.root),
        # Zero is protobuf's "not set": HLO text, for one, does not bring its devices along.
        replica_count=proto.device_assignment.replica_count or None,
        partition_count=proto.device_assignment.computation_count or None,
        serialized=serialized,
    )


def _parsed(message: type[Proto], data: bytes) -> Proto:
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise FormatError(
            "not a serialized HLO module: the bytes are cut off or no HloModuleProto"
        ) from error


class _Decoder:
    """Decodes computations one after the other, and remembers values that come again."""

    def __init__(self, sources: Sources) -> None:
        self.computations: dict[str, Computation] = {}
        self.names: dict[int, str] = {}
        self._instruction_names: dict[str, dict[int, str]] = {}
        self._taken: set[str] = set()
        self._checker = Checker()
        self._sources = sources
        self._shapes: dict[bytes, Shape] = {}
        self._equal_shapes: dict[Shape, Shape] = {}
        self._metadata: dict[bytes, tuple[str, str | None, int]] = {}
        self._texts: dict[str, str] = {}

    def add(self, proto: Proto) -> None:
        """Decode one computation; those it calls must have been added before."""
        name = proto.name
        if not name or name in self.computations or proto.id in self.names:
            raise FormatError(
                f"HLO computation {name!r} (id {proto.id}): its name or id is missing or taken"
            )
        names: dict[int, str] = {}
        instructions = []
        for instruction_proto in proto.instructions:
            instruction = self._instruction(instruction_proto, names)
            number = instruction_proto.id
            if number in names or instruction.name in self._taken:
                raise FormatError(
                    f"HLO instruction {instruction.name!r} (id {number}) in computation"
                    f" {name!r}: its name or id is taken"
                )
            self._taken.add(instruction.name)
            names[number] = instruction.name
            instructions.append(instruction)
        root = names.get(proto.root_id)
        if root is None:
            raise FormatError(
                f"HLO computation {name!r}: root id {proto.root_id} is not among its instructions"
            )
        computation = Computation(name=name, instructions=tuple(instructions), root=root)
        self._checker.check(computation)
        self.computations[name] = computation
        self.names[proto.id] = name
        self._instruction_names[name] = names

    def schedule(self, proto: Proto) -> Mapping[str, tuple[str, ...]]:
        """Name the scheduled instructions of every scheduled computation."""
        schedule: dict[str, tuple[str, ...]] = {}
        for entry in proto.entries:
            computation = self.names.get(entry.key)
            if computation is None:
                raise FormatError(f"HLO schedule: there is no computation with id {entry.key}")
            known = self._instruction_names[computation]
            ids = entry.value.instruction_ids
            if len(ids) != len(known) or set(ids) != known.keys():
                raise FormatError(
                    f"HLO schedule of computation {computation!r}: it must hold each of the"
                    f" {len(known)} instructions once"
                )
            schedule[computation] = tuple([known[number] for number in ids])
            self._check_order(computation, schedule[computation])
        return schedule

    def _check_order(self, computation: str, order: Iterable[str]) -> None:
        operands = {i.name: i.operands for i in self.computations[computation].instructions}
        done: set[str] = set()
        for name in order:
            if not done.issuperset(operands[name]):
                raise FormatError(
                    f"HLO schedule of {computation!r}: {name!r} runs before its operands"
                )
            done.add(name)

    def _instruction(self, proto: Proto, names: Mapping[int, str]) -> Instruction:
        name, opcode = proto.name, self._text(proto.opcode)
        if not name or not opcode:
            raise FormatError(f"HLO instruction {name!r} (id {proto.id}): no name or no opcode")
        op_name, source, frame = self._said(proto.metadata)
        config = proto.backend_config
        operands = proto.operand_ids
        called = proto.called_computation_ids
        before = proto.control_predecessor_ids
        dimensions = proto.dimensions
        shape = self._shape(proto.shape, name)
        instruction = Instruction(
            name=name,
            opcode=opcode,
            shape=shape,
            operands=_look_up(operands, names, name, "operand") if operands else (),
            called=_look_up(called, self.names, name, "called computation") if called else (),
            control_predecessors=(
                _look_up(before, names, name, "control predecessor") if before else ()
            ),
            op_name=op_name,
            source=source,
            stack_frame_id=frame,
            parameter_number=proto.parameter_number if opcode == "parameter" else None,
            literal=scalar_literal(proto.literal, shape) if opcode == "constant" else None,
            dimensions=tuple(dimensions) if dimensions else (),
            # Backends may put raw bytes here; what is no text cannot be read anyway.
            backend_config=self._text(config.decode("utf-8", "replace")) if config else "",
            one_kernel=opcode == "call" and _is_small(proto),
        )
        if opcode in opcodes.DETAILED:
            instruction = replace(instruction, **self._more(proto, opcode))
        return instruction

    def _more(self, proto: Proto, opcode: str) -> dict[str, Any]:
        """Return the fields that only some opcodes have."""
        more = self._own(proto, opcode)
        convolution = opcode == "convolution" or (
            opcode == "custom-call" and proto.HasField("convolution_dimension_numbers")
        )
        if is_collective(opcode, proto):
            more["collective"] = decode_collective(proto)
        if convolution or opcode in opcodes.WINDOWED:
            more["window"] = decode_window(proto.window)
        if convolution:
            more["convolution"] = decode_convolution(proto.convolution_dimension_numbers)
            # Zero is protobuf's "not set"; XLA means one group by it.
            more["feature_group_count"] = proto.feature_group_count or 1
            more["batch_group_count"] = proto.batch_group_count or 1
        if convolution or opcode in _WITH_PRECISION:
            more["precision"] = decode_precision(proto)
        if opcode in opcodes.MAY_ALIAS:
            more["output_aliases"] = decode_output_aliases(proto)
        return more

    def _own(self, proto: Proto, opcode: str) -> dict[str, Any]:
        """Return the field that belongs to one opcode alone."""
        match opcode:
            case "get-tuple-element":
                return {"tuple_index": proto.tuple_index}
            case "fusion":
                return {"fusion_kind": self._text(proto.fusion_kind) or None}
            case "custom-call":
                return {"custom_call_target": self._text(proto.custom_call_target)}
            case "fft":
                return {"fft_lengths": tuple(proto.fft_length)}
            case "compare":
                return {"comparison": self._text(proto.comparison_direction)}
        return {"dot": decode_dot(proto)} if opcode in opcodes.DOTS else {}

    def _text(self, text: str) -> str:
        """Return a text; one that comes again, as most do, becomes one object."""
        return self._texts.setdefault(text, text)

    def _said(self, metadata: bytes) -> tuple[str, str | None, int]:
        """Return the op_name, the source position and the stack frame in an OpMetadata."""
        said = self._metadata.get(metadata)
        if said is None:
            proto = _parsed(OpMetadata, metadata)
            said = self._text(proto.op_name), self._sources.of(proto), proto.stack_frame_id
            self._metadata[metadata] = said
        return said

    def _shape(self, serialized: bytes, name: str) -> Shape:
        """Decode a shape; equal shapes become one object."""
        shape = self._shapes.get(serialized)
        if shape is None:
            shape = self._new_shape(_parsed(ShapeProto, serialized), name)
            self._shapes[serialized] = shape
        return shape

    def _new_shape(self, proto: Proto, name: str, depth: int = 0) -> Shape:
        if depth > _MAX_TUPLES:
            raise FormatError(
                f"HLO instruction {name!r}: its tuples nest deeper than {_MAX_TUPLES}"
            )
        dtype = DTYPES.get(proto.element_type)
        if dtype is None:
            raise FormatError(
                f"HLO instruction {name!r}: unknown element type number {proto.element_type}"
            )
        inner = [self._new_shape(element, name, depth + 1) for element in proto.tuple_shapes]
        elements = tuple(inner)
        if dtype == "buffer" and len(elements) == 1:
            # A buffer is the memory of the array it names.
            return elements[0]
        dimensions = tuple(proto.dimensions)
        if dtype == "buffer" or (elements and dtype != "tuple") or min(dimensions, default=0) < 0:
            raise FormatError(
                f"HLO instruction {name!r}: shape {dtype}{list(dimensions)} is not one with"
                " fixed, non-negative dimensions"
            )
        if math.prod([dimension or 1 for dimension in dimensions]) > _MAX_ELEMENTS:
            raise FormatError(
                f"HLO instruction {name!r}: a shape of {len(dimensions)} dimensions has more than"
                " 2^63 elements"
            )
        layout = proto.layout if proto.HasField("layout") else None
        shape = Shape(
            dtype=dtype,
            dimensions=dimensions,
            layout=None if layout is None else tuple(layout.minor_to_major),
            memory_space=0 if layout is None else layout.memory_space,
            elements=elements,
        )
        return self._equal_shapes.setdefault(shape, shape)


def _look_up(
    ids: Iterable[int], names: Mapping[int, str], instruction: str, what: str
) -> tuple[str, ...]:
    """Name what the ids stand for; only what came before is known, so nothing is cyclic."""
    try:
        return tuple([names[number] for number in ids])
    except KeyError as error:
        raise FormatError(
            f"HLO instruction {instruction!r}: {what} id {error} is unknown or comes after it"
        ) from None


def _is_small(call: Proto) -> bool:
    """Return whether XLA's CPU compiler has marked a call as one that it inlines into a kernel."""
    return any(
        each.key == "xla_cpu_small_call" and each.value == "true"
        for each in call.frontend_attributes.map
    )
