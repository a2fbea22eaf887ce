"""The modules in a folder that XLA dumped to, each with its file from before optimisation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgegraph.errors import FormatError
from edgegraph.hlo.dump_text import head_of
from edgegraph.hlo.read import module_in
from edgegraph.hlo.schema import HloModuleProto


@dataclass(frozen=True, slots=True)
class _Found:
    """One HLO file of a dump."""

    path: Path
    module: str
    scheduled: bool
    size: int

    @property
    def stem(self) -> str:
        """What XLA calls all files of one module: ``module_0006.jit_f``."""
        before, name, _ = self.path.name.partition(self.module)
        return before + name if name else self.module


@dataclass(frozen=True, slots=True)
class DumpedModule:
    """One module of a dump: its file, and that from before optimisation, where there is one."""

    stem: str
    name: str
    file: _Found
    before: _Found | None


_HEAD_BYTES = 1 << 16


def dumped_modules(folder: Path) -> list[DumpedModule]:
    """Return the modules in a folder that XLA dumped to, the largest optimised one first."""
    groups: dict[str, list[_Found]] = {}
    for path in sorted(folder.iterdir()):
        found = _look_at(path) if path.is_file() else None
        if found is not None:
            groups.setdefault(found.stem, []).append(found)
    modules = []
    for stem, files in groups.items():
        files.sort(key=lambda each: ("after_optimizations" in each.path.name, each.path.name))
        last = [each for each in files if each.scheduled]
        rest = [each for each in files if not each.scheduled]
        first = next((each for each in rest if "before_opt" in each.path.name), None)
        file = last[-1] if last else first or rest[-1]
        before = first if last else None
        modules.append(DumpedModule(stem, file.module, file, before))
    return sorted(modules, key=lambda each: (not each.file.scheduled, -each.file.size))


def _look_at(path: Path) -> _Found | None:
    """Read as much of a file as tells whether it is HLO, and which."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if b"HloModule" in head:
                start = head_of(head.decode("utf-8", "replace"))
                return None if start is None else _Found(path, *start, size)
            if head.startswith(_NO_HLO) or _is_text(head):
                return None
            data = module_in(head + file.read())
    except (OSError, FormatError):
        return None
    module = HloModuleProto.FromString(data)
    return _Found(path, module.name, bool(module.schedule.entries), size)


def _is_text(head: bytes) -> bool:
    # A multi-byte character may be cut at the end.
    try:
        return _CONTROL.search(head[:4096]) is None and bool(head[: _HEAD_BYTES - 4].decode())
    except UnicodeDecodeError:
        return False


_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_NO_HLO = (b"\x7fELF", b"BC\xc0\xde", b"\xcf\xfa\xed\xfe")
