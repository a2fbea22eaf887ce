"""Damages HLO modules: bytes at random, and the fields of the protobuf with understanding.

Everything follows from the generator that is handed in, so an input can be made again from its
number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message

from edgegraph.hlo.schema import HloModuleProto

NUMBERS = (0, 1, -1, 2, 3, 7, 64, 128, 255, 1 << 16, (1 << 31) - 1, -(1 << 31), 1 << 32, 1 << 40,
           (1 << 62), (1 << 63) - 1, -(1 << 63))  # fmt: skip
"""Values at which programs go wrong."""

OPCODES = (
    "fusion", "while", "call", "conditional", "async-start", "async-done", "custom-call", "dot",
    "convolution", "reduce", "sort", "scatter", "gather", "tuple", "get-tuple-element",
    "copy-start", "copy-done", "all-reduce", "all-gather-start", "all-gather-done",
    "collective-permute-start",
    "dynamic-update-slice", "parameter", "constant", "bitcast", "send", "recv", "recv-done",
    "set-dimension-size", "compare", "opt-barrier", "nonsense",
)  # fmt: skip

CONFIGS = (
    b'{"known_trip_count":{"n":"%s"}}',
    b'{"known_trip_count":{"n":"-%s"}}',
    b'{"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["%s"]}}}',
    b'{"custom_call_config":{"cost_estimate":{"flops":"%s","bytes_accessed":"-5"}}}',
    b'{"cost_estimate":{"flops":1e%s,"bytes_accessed":null}}',
    b'{"cudnn_fmha_backend_config":{"intermediate_tensor_shape":{"dimensions":["%s","2","3","4"]}}}',
    b"{lower = true, uplo = %s : ui8, mode = 83 : ui8}",
    b"[" * 3000 + b"%s",
    b"\xff\xfe%s",
)

DIGITS = (b"0", b"5", b"3000000000", b"9223372036854775807", b"1" * 30, b"1" * 5000)
"""Numbers as a configuration writes them."""

NAMES = (
    "", "x", "entry", "m" * 3000, "a/b/c" * 100, "jit(f)/transpose(jvp(", "jit(f)/while/body/add",
    "params['a'][0]['kernel']", "params['a'][" + "7" * 5000 + "].b", "params['\\x'].kernel",
    "params['\\ud800']['bias']", "params['it\\'s'][0]", 'params["a"', "cond/branch_9_fun/" * 9,
    "rematted_computation/" * 300, "jit(" * 3000, "checkpoint/transpose(jvp(a))/b)" * 3,
)  # fmt: skip
"""Names of ops, layers and parameters that look like JAX's, or nearly so."""

_LONGEST = 1 << 17
"""Inputs do not grow beyond this many bytes."""

Seeds = Sequence[bytes]


def mutate(rng: random.Random, seeds: Seeds) -> bytes:
    """Make one damaged module.

    Args:
        rng: Decides everything.
        seeds: Modules to start from.
    """
    seed = rng.choice(seeds)
    if rng.random() < 0.35:
        return damage_bytes(rng, seed, seeds)
    damaged = damage_fields(rng, seed, seeds)
    return damage_bytes(rng, damaged, seeds) if rng.random() < 0.05 else damaged


def damage_fields(rng: random.Random, seed: bytes, seeds: Seeds) -> bytes:
    """Change fields of a module that parses; return what does not parse back as it is."""
    module = HloModuleProto()
    try:
        module.ParseFromString(seed)
    except DecodeError:
        return seed
    changes = _BOMBS if rng.random() < 0.03 else _CHANGES
    try:
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            if module.computations and module.ByteSize() <= _LONGEST:
                rng.choice(changes)(rng, module, seeds)
        damaged = module.SerializeToString()
    except EncodeError:  # nested deeper than protobuf writes
        return seed
    return damaged if len(damaged) <= _LONGEST else seed


def damage_bytes(rng: random.Random, seed: bytes, seeds: Seeds) -> bytes:
    """Change bytes of whatever it is."""
    data = bytearray(seed)
    kind = rng.randrange(6)
    if not data or kind == 0:
        return rng.randbytes(rng.randrange(64)) + bytes(data)
    at = rng.randrange(len(data))
    if kind == 1:
        return bytes(data[:at])
    if kind == 2:
        other = rng.choice(seeds)
        start = rng.randrange(len(other))
        return bytes(data[:at]) + other[start : start + rng.randrange(1, 2000)] + bytes(data[at:])
    if kind == 3:
        del data[at : at + rng.randrange(1, 50)]
        return bytes(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data))
        data[at] = data[at] ^ (1 << rng.randrange(8)) if kind == 4 else rng.randrange(256)
    return bytes(data)


def _any_message(rng: random.Random, module: Message) -> Message:
    """Walk down from the module to some message, most often an instruction or what is in it."""
    message = module
    while True:
        inner: list[Message] = []
        for field, value in message.ListFields():
            if field.message_type is not None:
                inner.append(rng.choice(value) if field.is_repeated else value)
        if not inner or (message is not module and rng.random() < 0.25):
            return message
        message = rng.choice(inner)


def change_field(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Change one field of some message, set or not."""
    message = _any_message(rng, module)
    present = [field for field, _ in message.ListFields()]
    every: Sequence[Any] = message.DESCRIPTOR.fields
    field = rng.choice(present if present and rng.random() < 0.8 else every)
    if rng.random() < 0.1:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_list(rng, message, field, module)
    elif field.message_type is not None:
        _replace(rng, getattr(message, field.name), module)
    else:
        _set(message, field, _value(rng, field, getattr(message, field.name)))


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    try:
        setattr(message, field.name, value)
    except ValueError:  # too large for 32 bits
        setattr(message, field.name, 1)


def _change_list(rng: random.Random, message: Any, field: FieldDescriptor, module: Any) -> None:
    values = getattr(message, field.name)
    kind = rng.randrange(5)
    if kind == 0 and values:
        del values[rng.randrange(len(values))]
    elif kind == 1 and len(values) > 1:
        _swap(values, rng.randrange(len(values)), rng.randrange(len(values)), field)
    elif field.message_type is not None:
        if kind == 2 and values:
            _replace(rng, rng.choice(values), module)
        elif values:
            values.add().CopyFrom(_copy(rng.choice(values)))
        else:
            _replace(rng, values.add(), module)
    else:
        value = _value(rng, field, rng.choice(values) if values else None)
        try:
            if kind == 2 and values:
                values[rng.randrange(len(values))] = value
            else:
                values.extend([value] * rng.choice((1, 1, 1, 2, 40)))
        except ValueError:
            values.append(1)


def _swap(values: Any, one: int, other: int, field: FieldDescriptor) -> None:
    if field.message_type is None:
        values[one], values[other] = values[other], values[one]
    else:
        kept = type(values[one])()
        kept.CopyFrom(values[one])
        values[one].CopyFrom(values[other])
        values[other].CopyFrom(kept)


def _value(rng: random.Random, field: FieldDescriptor, old: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FieldDescriptor.TYPE_STRING:
        if field.name == "opcode":
            return rng.choice(OPCODES)
        return rng.choice((*NAMES, old or "y"))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice(CONFIGS) % rng.choice(DIGITS)
    if isinstance(old, int) and rng.random() < 0.5:
        return max(-(1 << 63), min((1 << 63) - 1, old + rng.choice((-2, -1, 1, 2))))
    number = rng.choice(NUMBERS) if rng.random() < 0.6 else rng.randrange(64)
    return abs(number) >> 1 if "uint" in field.name else number


def _replace(rng: random.Random, message: Message, module: Any) -> None:
    """Put another message of the same type in a message's place, from somewhere in the module."""
    for _ in range(20):
        other = _any_message(rng, module)
        if other.DESCRIPTOR is message.DESCRIPTOR and other is not message:
            copy = type(other)()
            copy.CopyFrom(other)
            message.CopyFrom(copy)
            return
    message.Clear()


def _some_instruction(rng: random.Random, module: Any) -> tuple[Any, Any]:
    computation = rng.choice(module.computations)
    if not computation.instructions:
        computation.instructions.add(name="lonely", opcode="constant", id=1)
    return computation, rng.choice(computation.instructions)


def _change_opcode(rng: random.Random, module: Any, seeds: Seeds) -> None:
    _some_instruction(rng, module)[1].opcode = rng.choice(OPCODES)


def _change_ids(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Make an instruction read, call or follow others."""
    computation, instruction = _some_instruction(rng, module)
    ids = [other.id for other in computation.instructions]
    lists = {
        "operand_ids": ids,
        "control_predecessor_ids": ids,
        "called_computation_ids": [other.id for other in module.computations],
    }
    name = rng.choice([*lists])
    values = getattr(instruction, name)
    if values and rng.random() < 0.6:
        values[rng.randrange(len(values))] = rng.choice(lists[name])
    else:
        values.append(rng.choice(lists[name]))


def _change_shape(rng: random.Random, module: Any, seeds: Seeds) -> None:
    shape = _some_instruction(rng, module)[1].shape
    while shape.tuple_shapes and rng.random() < 0.8:
        shape = rng.choice(shape.tuple_shapes)
    kind = rng.randrange(5)
    if kind == 0:
        shape.element_type = rng.randrange(-1, 40)
    elif kind == 1:
        shape.dimensions.append(rng.choice(NUMBERS))
    elif kind == 2 and shape.dimensions:
        shape.dimensions[rng.randrange(len(shape.dimensions))] = rng.choice(NUMBERS)
    elif kind == 3:
        shape.element_type = 13
        shape.tuple_shapes.add().CopyFrom(_copy(_some_instruction(rng, module)[1].shape))
    else:
        shape.CopyFrom(_copy(_some_instruction(rng, module)[1].shape))


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _change_config(rng: random.Random, module: Any, seeds: Seeds) -> None:
    instruction = _some_instruction(rng, module)[1]
    instruction.backend_config = rng.choice(CONFIGS) % rng.choice(DIGITS)


def _change_op_name(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Rename several ops, parameters more often than not, to what looks like JAX's names."""
    for _ in range(rng.choice((1, 1, 4))):
        computation, instruction = _some_instruction(rng, module)
        parameters = [i for i in computation.instructions if i.opcode == "parameter"]
        chosen = rng.choice(parameters) if parameters and rng.random() < 0.6 else instruction
        chosen.metadata.op_name = rng.choice(NAMES)


def _change_window(rng: random.Random, module: Any, seeds: Seeds) -> None:
    instructions = [i for c in module.computations for i in c.instructions]
    windows = [i.window for i in instructions if i.window.dimensions]
    if windows:
        axis = rng.choice(rng.choice(windows).dimensions)
        name = rng.choice(("size", "stride", "padding_low", "window_dilation", "base_dilation"))
        setattr(axis, name, rng.choice(NUMBERS))


def _duplicate_computation(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Add a computation once more, under new names and ids or under the old ones."""
    copy = _copy(rng.choice(module.computations))
    if rng.random() < 0.7:
        copy.id, copy.name = rng.choice(NUMBERS), f"copy{rng.randrange(1000)}"
        for instruction in copy.instructions:
            instruction.name = f"{copy.name}.{instruction.name}"
    place = rng.randrange(len(module.computations) + 1)
    kept = [_copy(computation) for computation in module.computations]
    kept.insert(place, copy)
    del module.computations[:]
    module.computations.extend(kept)


def _splice_computation(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Take a computation over from another module."""
    other = HloModuleProto()
    try:
        other.ParseFromString(rng.choice(seeds))
    except DecodeError:
        return
    if other.computations:
        module.computations.add().CopyFrom(rng.choice(other.computations))


def _lose_root(rng: random.Random, module: Any, seeds: Seeds) -> None:
    computation = rng.choice(module.computations)
    ids = [instruction.id for instruction in computation.instructions]
    computation.root_id = rng.choice([*ids, *NUMBERS])


def _wrap(module: Any, opcode: str, times: int, operands: int) -> None:
    """Put the entry computation into computations that each call the one before."""
    inner = next((c for c in module.computations if c.id == module.entry_computation_id), None)
    if inner is None:
        return
    for level in range(times):
        outer = module.computations.add(name=f"wrap{level}", id=(1 << 41) + level)
        parameters = [i for i in inner.instructions if i.opcode == "parameter"]
        for number, parameter in enumerate(parameters):
            copy = outer.instructions.add()
            copy.CopyFrom(parameter)
            copy.id, copy.name = number + 1, f"wrap{level}.p{number}"
        root = next((i for i in inner.instructions if i.id == inner.root_id), None)
        if root is None:
            return
        for time in range(operands):
            call = outer.instructions.add(
                name=f"wrap{level}.c{time}", opcode=opcode, id=1000 + time
            )
            call.shape.CopyFrom(root.shape)
            call.operand_ids.extend(range(1, len(parameters) + 1))
            call.called_computation_ids.extend([inner.id] * (2 if opcode == "while" else 1))
            call.backend_config = b'{"known_trip_count":{"n":"9000000000000000000"}}'
        outer.root_id = 1000
        inner = outer
    module.entry_computation_id = inner.id
    module.ClearField("schedule")


def _nest(rng: random.Random, module: Any, seeds: Seeds) -> None:
    _wrap(module, rng.choice(("call", "fusion", "while")), rng.choice((5, 50, 250)), 1)


def _explode(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Make few computations stand for very many ops."""
    _wrap(module, rng.choice(("call", "call", "fusion")), rng.choice((5, 12, 30)), 2)


def _nest_shape(rng: random.Random, module: Any, seeds: Seeds) -> None:
    shape = _some_instruction(rng, module)[1].shape
    for _ in range(rng.choice((3, 30, 95, 120))):
        inner = _copy(shape)
        shape.Clear()
        shape.element_type = 13
        shape.tuple_shapes.add().CopyFrom(inner)


def _widen_shape(rng: random.Random, module: Any, seeds: Seeds) -> None:
    """Make a small shape stand for very many leaves."""
    shape = _some_instruction(rng, module)[1].shape
    for _ in range(rng.choice((2, 4, 9))):
        if shape.ByteSize() > _LONGEST // 4:
            return
        inner = _copy(shape)
        shape.Clear()
        shape.element_type = 13
        for _ in range(3):
            shape.tuple_shapes.add().CopyFrom(inner)


def _grow_rank(rng: random.Random, module: Any, seeds: Seeds) -> None:
    shape = _some_instruction(rng, module)[1].shape
    shape.dimensions.extend([rng.choice((1, 2, 1 << 62))] * rng.choice((3, 30, 300)))


_Change = Callable[[random.Random, Any, Seeds], None]

_CHANGES: tuple[_Change, ...] = (
    change_field, change_field, change_field, change_field, _change_opcode, _change_ids,
    _change_ids, _change_shape, _change_shape, _change_config, _change_window, _change_op_name,
    _duplicate_computation, _splice_computation, _lose_root,
)  # fmt: skip

_BOMBS: tuple[_Change, ...] = (_nest, _explode, _nest_shape, _widen_shape, _grow_rank)
"""Small inputs that stand for something deep or large."""
