"""Programs that others compiled: HLO in files and texts, and folders that XLA dumped to."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgegraph.base.files import is_there
from edgegraph.compiler.program import Program
from edgegraph.errors import FormatError, InputError
from edgegraph.hlo.dump_folder import DumpedModule, dumped_modules
from edgegraph.hlo.platform import platform_of
from edgegraph.hlo.read import Accepted, buffer_assignment, module_in, parse_module, read_module
from edgegraph.hlo.schema import ListedModuleProto, each_instruction
from edgegraph.results.analysis import MemoryUse


def read_hlo(source: str | Path, *, module: str | None = None) -> Program:
    r"""Read a module that XLA dumped, anywhere.

    Args:
        source: A file with HLO text or a serialized module, also in a log or in Markdown, also
            compressed; a folder that XLA dumped to; or the text itself.
        module: Where there are several modules: the name of the one to take, or its number.

    Returns:
        A Program that cannot run; its target is ``cpu``, ``gpu`` or ``tpu``, as far as the module
        tells, or else ``unknown``; its stage is ``optimized`` if the
        module is scheduled, which is the last thing that XLA does, and ``lowered`` else.

    Raises:
        InputError: The file cannot be read.
        FormatError: It is empty, cut off, or not HLO.

    Example:
        >>> read_hlo("HloModule m\nENTRY e { ROOT x = f32[8] parameter(0) }").name
        'm'
    """
    if isinstance(source, str) and not is_there(source):
        if "HloModule" in source or "\n" in source:
            return program_of(source.encode(), module=module)
        if len(source) > _LONGEST_NAME:
            raise InputError(f"{source[:60]!r}... is neither a file nor HLO text")
    path = Path(source)
    return read_dump(path, module=module) if path.is_dir() else _read_file(path, module)


_LONGEST_NAME = 255
"""Of a file, on the systems there are."""


def _read_file(path: Path, module: str | None) -> Program:
    return _program(read_module(path, module=module), buffer_assignment(path.read_bytes()))


def program_of(data: bytes, *, module: str | None = None, trusted: bool = False) -> Program:
    """Return the Program of what an HLO file holds, as `read_hlo` does.

    XLA has not to check what is `trusted`: a protobuf that it has written here.
    """
    found = module_in(data) if trusted else parse_module(data, module=module)
    return _program(found, buffer_assignment(data))


def _program(found: Accepted | bytes, assignment: Any) -> Program:
    accepted = None if isinstance(found, bytes) else found
    serialized = found if isinstance(found, bytes) else found.module.serialized
    module = ListedModuleProto.FromString(serialized)
    elided = sum(
        each.opcode == "constant" and not each.literal and each.shape.element_type != _TOKEN
        for each in each_instruction(module)
    )
    notes = []
    if elided:
        which = "1 constant has" if elided == 1 else f"{elided} constants have"
        notes.append(f"{which} no values in the file ({{...}}); shapes and costs are known")
    return Program(
        name=module.name,
        batch=None,
        target=platform_of(serialized) or "unknown",
        stage="optimized" if module.schedule.entries else "lowered",
        serialized=serialized,
        accepted=accepted,
        memory=None if assignment is None else _allocated(_of_proto(assignment)),
        notes=tuple(notes),
    )


_TOKEN = 17


@dataclass(frozen=True, slots=True)
class _Allocation:
    """One buffer that XLA set aside."""

    size: int
    parameter: bool
    live_out: bool
    other: bool  # constants, and what a thread has for itself


def _of_proto(assignment: Any) -> list[_Allocation]:
    return [
        _Allocation(
            each.size,
            each.is_entry_computation_parameter,
            each.maybe_live_out,
            each.is_constant or each.is_thread_local,
        )
        for each in assignment.allocations
    ]


_LINE = re.compile(r"^allocation \d+: size (\d+)(.*):$", re.MULTILINE)


def _of_text(text: str) -> list[_Allocation]:
    """Read what XLA writes into ``*-buffer-assignment.txt``."""
    return [
        _Allocation(
            int(line[1]),
            bool(re.search(r", parameter \d", line[2])),
            "maybe-live-out" in line[2],
            ", constant" in line[2] or ", thread-local" in line[2],
        )
        for line in _LINE.finditer(text)
    ]


def _allocated(buffers: Sequence[_Allocation]) -> MemoryUse | None:
    """Add the buffers up as XLA's CompiledMemoryStats does."""
    if not buffers:
        return None
    return MemoryUse(
        argument_bytes=sum(each.size for each in buffers if each.parameter),
        output_bytes=sum(each.size for each in buffers if each.live_out),
        alias_bytes=sum(each.size for each in buffers if each.parameter and each.live_out),
        temp_bytes=sum(
            each.size for each in buffers if not (each.parameter or each.live_out or each.other)
        ),
        code_bytes=None,
    )


def read_dump(folder: Path, *, module: str | None = None) -> Program:
    """Return the Program of one module in a folder that XLA dumped to.

    Args:
        folder: What ``--xla_dump_to`` named.
        module: Its name (``jit_f``), that of its files (``module_0006.jit_f``), or their number;
            the largest optimised one where None.
    """
    modules = dumped_modules(folder)
    if not modules:
        raise FormatError(f"{folder} holds no HLO; expected a folder that --xla_dump_to named")
    chosen = modules[0] if module is None else modules[_place(modules, module, folder)]
    program = _read_file(chosen.file.path, None)
    notes = []
    if len(modules) > 1:
        others = ", ".join(each.stem for each in modules[:4] if each is not chosen)
        more = f" and {len(modules) - 4} more" if len(modules) > 4 else ""
        why = ", the largest" if module is None else ""
        notes.append(
            f"{chosen.stem}, one of {len(modules)} modules{why}; --module chooses another:"
            f" {others}{more}"
        )
    before = None
    if chosen.before is not None:
        before = partial(_serialized_in, chosen.before.path)
        notes.append(f"the model's own counts are of {chosen.before.path.name}")
    memory = program.memory or _allocation_beside(folder, chosen)
    return replace(program, before=before, memory=memory, notes=(*notes, *program.notes))


def _serialized_in(path: Path) -> bytes:
    return read_module(path).module.serialized


def _place(modules: Sequence[DumpedModule], wanted: str, folder: Path) -> int:
    """Find a module by its name, its files' name, or their number."""
    for names in (
        [each.stem for each in modules],
        [each.name for each in modules],
        [number[1] if (number := _NUMBER.match(each.stem)) else "" for each in modules],
    ):
        text = wanted.zfill(4) if wanted.isdecimal() else wanted
        if names.count(text) == 1:
            return names.index(text)
    listed = ", ".join(each.stem[:30] for each in modules[:4]) + ", ..." * (len(modules) > 4)
    raise FormatError(
        f"{folder} has no single module {wanted[:30]!r}; choose with module= or --module: {listed}"
    )


_NUMBER = re.compile(r"module_(\d+)\.")


def _allocation_beside(folder: Path, chosen: DumpedModule) -> MemoryUse | None:
    """Read the buffer assignment that stands beside a module as text."""
    for path in sorted(folder.glob(f"{glob.escape(chosen.stem)}.*buffer-assignment*")):
        text = path.read_text("utf-8", "replace")
        if text.startswith("BufferAssignment:"):
            return _allocated(_of_text(text))
    return None
