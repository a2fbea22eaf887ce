"""Reading HLO that came from somewhere else: an XLA dump, text or protobuf."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from edgegraph.base.archives import unpacked
from edgegraph.base.files import kind_of
from edgegraph.base.timing import Progress
from edgegraph.base.worker import run_child
from edgegraph.errors import EdgeGraphError, FormatError, InputError, UnsupportedVersionError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.dump_text import (
    ELIDED_TARGET,
    choose,
    devices_of,
    is_hlo_text,
    modules_in,
    readable,
)
from edgegraph.hlo.module import Module
from edgegraph.hlo.schema import HloModuleProto, HloProto, Proto

EXPECTED = "expected HLO text or a serialized HloModuleProto, as XLA's --xla_dump_to writes them"

_LEAST_S, _S_PER_BYTE = 120.0, 20e-6
"""Text of 10 MB takes XLA half a second, and 12 where much else runs; this is 320."""

_LEAST_BYTES, _TIMES_ITS_SIZE = 4 << 30, 200
"""XLA holds up to 40 times the size of a text, and stacks of threads, many on some hosts."""

_MAX_WRAPPERS = 2
"""A HloSnapshot holds a HloProto, which holds the module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A module that EdgeGraph's decoder and XLA have accepted, and XLA's totals of it."""

    module: Module
    xla_cost: Mapping[str, float]


def read_module(path: str | Path, *, module: str | None = None) -> Accepted:
    """Read the module in an HLO file, and have EdgeGraph's decoder and XLA accept it.

    Its content tells what it is: HLO text (``*.txt``), a HloModuleProto (``*.pb``), or a HloProto
    around one (``*.hlo.pb``); compressed or not. Of several modules, `module` names one.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"cannot read {path}: {reason}; {EXPECTED}") from error
    try:
        return parse_module(data, module=module)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def parse_module(data: bytes, *, module: str | None = None) -> Accepted:
    """Read the module in the content of an HLO file, as `read_module` does."""
    data = unpacked(data)
    if not data.strip():
        raise FormatError(f"the file is empty; {EXPECTED}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    # XLA is asked last: what it cannot read may end the process that it runs in.
    if is_hlo_text(text):
        serialized, cost = _validated_text(text, module)
        del data, text  # as large as what is made of them
        return Accepted(module=decode(serialized), xla_cost=cost)
    if other := kind_of(data):
        raise FormatError(f"this is {other}" + f"; {EXPECTED}" * (";" not in other))
    decoded = decode(module_in(data))
    choose([decoded.name], module)
    return Accepted(module=decoded, xla_cost=_validated(b"M" + decoded.serialized)[1])


def _validated_text(text: str, module: str | None) -> tuple[bytes, Mapping[str, float]]:
    found = modules_in(text)
    number = choose([name for name, _ in found], module)
    return _validated(b"T" + readable(found[number][1]).encode())


def has_module(data: bytes) -> bool:
    """Return whether binary data hold a HloModuleProto, alone or wrapped."""
    try:
        module_in(data)
    except FormatError:
        return False
    return True


def _validated(payload: bytes) -> tuple[bytes, Mapping[str, float]]:
    """Have XLA read HLO of unknown origin in a subprocess; return the HloModuleProto and its cost.

    XLA checks much of its input by assertions, which end the process. What this returns has
    gone through its reader and its cost analysis once without. Only for text is there a protobuf.
    """
    cost, _, serialized = tried(f"{__name__}:_validate", payload).partition(b"\n")
    return serialized, json.loads(cost)


def tried(work: str, payload: bytes) -> bytes:
    """Return what reading data of unknown origin in a subprocess gives; `work` is of `run_child`.

    Raises:
        FormatError: XLA refuses it, ends the process, or takes more than such data ever do.
    """
    try:
        return run_child(
            work,
            payload,
            timeout_s=_LEAST_S + _S_PER_BYTE * len(payload),
            memory_bytes=_LEAST_BYTES + _TIMES_ITS_SIZE * len(payload),
            name="XLA's reader",
        )
    except (FormatError, UnsupportedVersionError):
        raise
    except EdgeGraphError as error:
        raise FormatError(
            f"XLA cannot read it: {error}; it is damaged or of another XLA version"
        ) from error


def _validate(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    """Do the work of `_validated`: the child's side."""
    from edgegraph import xla

    kind, data = bytes(payload[:1]), bytes(payload[1:])
    module = data if kind == b"M" else _parsed_text(data.decode())
    cost = json.dumps(dict(xla.cost_analysis(importable(module)))).encode()
    return cost + b"\n" + (b"" if kind == b"M" else module)


def _parsed_text(text: str) -> bytes:
    """Return what XLA reads from text, and what the text says besides.

    XLA's protobuf loses how many devices the text is for; they are numbered as XLA does unless told
    otherwise. Constants take the place of the calls that `readable` put there.
    """
    from edgegraph import xla

    devices, serialized = devices_of(text), xla.parse_text(text)
    elided = ELIDED_TARGET.encode() in serialized
    if devices is None and not elided:
        return serialized
    module = HloModuleProto.FromString(serialized)
    if devices is not None:
        replicas, partitions = devices
        assigned = module.device_assignment
        assigned.replica_count, assigned.computation_count = devices
        for partition in range(partitions):
            assigned.computation_devices.add(
                replica_device_ids=[replica * partitions + partition for replica in range(replicas)]
            )
    for computation in module.computations if elided else ():
        for instruction in computation.instructions:
            if instruction.custom_call_target == ELIDED_TARGET:
                instruction.opcode = "constant"
                instruction.ClearField("custom_call_target")
    return bytes(module.SerializeToString())


def argument_names(serialized: bytes) -> tuple[str, ...]:
    """Return the names of a module's arguments in the order in which it takes them."""
    module = HloModuleProto.FromString(serialized)
    found = {
        each.parameter_number: each.metadata.op_name
        for computation in module.computations
        if computation.id == module.entry_computation_id
        for each in computation.instructions
        if each.opcode == "parameter"
    }
    return tuple(found[number] for number in sorted(found))


def with_arguments(serialized: bytes, names: Sequence[str]) -> bytes:
    """Return a module whose arguments have these names in the order in which it takes them."""
    if not names:
        return serialized
    module = HloModuleProto.FromString(serialized)
    for computation in module.computations:
        if computation.id == module.entry_computation_id:
            for each in computation.instructions:
                if each.opcode == "parameter" and each.parameter_number < len(names):
                    each.metadata.op_name = names[each.parameter_number]
    return bytes(module.SerializeToString())


def importable(serialized: bytes) -> bytes:
    """Return a module that XLA reads and that costs the same.

    XLA refuses a recv-done whose recv is in another computation, as in pipelined loops that hand
    it on in their tuple. An opt-barrier, too, moves what it is given and costs nothing else.
    """
    if b"recv-done" not in serialized and b"send-done" not in serialized:
        return serialized
    module = HloModuleProto.FromString(serialized)
    for computation in module.computations:
        opcodes = {each.id: each.opcode for each in computation.instructions}
        for each in computation.instructions:
            if each.opcode in ("recv-done", "send-done") and [
                opcodes.get(operand) for operand in each.operand_ids
            ] != [each.opcode.removesuffix("-done")]:
                each.opcode = "opt-barrier"
    return bytes(module.SerializeToString())


def buffer_assignment(data: bytes) -> Proto | None:
    """Return the BufferAssignmentProto beside the module in a HloProto, or None."""
    data = unpacked(data)
    while (wrapper := _parsed(HloProto, data)) is not None and wrapper.hlo_module:
        module = _parsed(HloModuleProto, wrapper.hlo_module)
        if module is not None and _holds_ops(module):
            found: Proto = wrapper.buffer_assignment
            return found if found.allocations else None
        data = wrapper.hlo_module
    return None


def module_in(data: bytes) -> bytes:
    """Return the HloModuleProto inside of `data`, which may be one itself."""
    for _ in range(_MAX_WRAPPERS + 1):
        module = _parsed(HloModuleProto, data)
        if module is not None and _holds_ops(module):
            return data
        wrapper = _parsed(HloProto, data)
        if wrapper is None:
            break
        data = wrapper.hlo_module
    raise FormatError(f"it is cut off, damaged or not HLO; {EXPECTED}")


def _holds_ops(module: Proto) -> bool:
    """Return whether it is one in fact: other messages, too, parse as a module."""
    first = module.computations[0].instructions if module.computations else ()
    return bool(first and first[0].opcode and first[0].name)


def _parsed(message: type[Proto], data: bytes) -> Proto | None:
    try:
        return message.FromString(data)
    except DecodeError:
        return None
