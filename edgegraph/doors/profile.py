"""Profiles of `jax.profiler`, XProf and TensorBoard: files, runs and log folders."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgegraph.doors.registry import Given
from edgegraph.errors import FormatError

if TYPE_CHECKING:
    from edgegraph.compiler.program import Program
    from edgegraph.measure.trace.profile import ProfiledModule

_FILES = "*.xplane.pb*"
_FOLDERS = ("", "*/", "profile/*/", "plugins/profile/*/", "*/plugins/profile/*/")
"""From a run's own folder to that of several logs, where runs are."""

_MOST_LISTED = 4


def is_profile(given: Given) -> bool:
    """Return whether it is an XSpace, or a folder with some where the profiler puts them."""
    if given.path is not None and given.path.is_dir():
        return bool(_files(given.path))
    data = given.data
    if data is None or given.text is not None:
        return False
    from edgegraph.measure.trace import xplane

    return xplane.is_profile(data)


def _files(folder: Path) -> list[Path]:
    """Return the profiles in a folder, the newest first."""
    found = [
        path for where in _FOLDERS for path in folder.glob(f"{where}{_FILES}") if path.is_file()
    ]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path), reverse=True)


def open_profile(given: Given, *, module: str | None = None) -> Any:
    """Return the Program of a module that ran: the one that took longest, unless one is named.

    Raises:
        FormatError: It is cut off, no program ran in it, or it does not hold the module's HLO.
    """
    from edgegraph.measure.trace.profile import read_profile

    notes, name, data = [], given.name, given.data
    if given.path is not None and given.path.is_dir():
        files = _files(given.path)
        name, data = str(files[0]), Given(files[0]).data
        if len(files) > 1:
            notes.append(f"{files[0].relative_to(given.path)}, the newest of {len(files)} profiles")
    try:
        modules = read_profile(data or b"")
        chosen = _chosen(modules, module)
        program = profiled_program(chosen)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from error
    notes.append(_described(modules, chosen))
    if chosen.target == "cpu" and chosen.hosts and socket.gethostname() not in chosen.hosts:
        notes.append(
            f"taken on {chosen.hosts[0]}; roofs are those of this machine, unless --device names"
            " another"
        )
    return replace(program, notes=(*notes, *program.notes))


def profiled_program(module: ProfiledModule, *, trusted: bool = False) -> Program:
    """Return the Program of a module in a profile; `trusted` HLO is not validated first.

    Raises:
        FormatError: Its HLO is not there, or damaged.
    """
    from edgegraph.compiler.read import program_of
    from edgegraph.compiler.targets import recognise_device

    if module.hlo is None:
        raise FormatError(
            f"the profile does not hold the HLO of {module.name}; choose another with --module, or"
            " join it to its program with edgegraph.read_trace(path, program)"
        )
    return replace(
        program_of(module.hlo, trusted=trusted),
        target=module.target,
        stage="optimized",
        device=recognise_device(module.statistics),
        timeline=module.timeline,
    )


def labels(modules: Sequence[ProfiledModule]) -> list[str]:
    """Return a label for each module: its name, and the program's id where names repeat."""
    names = [module.name for module in modules]
    return [
        module.name if names.count(module.name) == 1 else f"{module.name}({module.program})"
        for module in modules
    ]


def _chosen(modules: Sequence[ProfiledModule], wanted: str | None) -> ProfiledModule:
    if not modules:
        raise FormatError(
            "no XLA program runs in this profile; take it with jax.profiler.trace around calls"
            " that end inside of it"
        )
    names = labels(modules)
    for known in (names, [module.name for module in modules]):
        if wanted in known:
            return modules[known.index(wanted)]
    if wanted is None or (wanted.isdecimal() and 1 <= int(wanted) <= len(modules)):
        return modules[int(wanted or 1) - 1]
    listed = ", ".join(name[:30] for name in names[:_MOST_LISTED])
    more = ", ..." if len(names) > _MOST_LISTED else ""
    raise FormatError(f"no module {wanted[:30]!r} runs in it; choose with --module: {listed}{more}")


def _described(modules: Sequence[ProfiledModule], chosen: ProfiledModule) -> str:
    """Describe which module it is, and which others took how much time."""
    from edgegraph.base.units import seconds

    def told(module: ProfiledModule, name: str) -> str:
        calls = "" if module.calls is None else f" in {module.calls:,} calls"
        return f"{name} {seconds(module.time_s)}{calls.removesuffix('s' * (module.calls == 1))}"

    pairs = list(zip(modules, labels(modules), strict=True))
    (own,) = (told(module, name) for module, name in pairs if module is chosen)
    others = [told(module, name) for module, name in pairs if module is not chosen]
    if not others:
        return f"profile of {own}"
    more = f" and {len(others) - _MOST_LISTED} more" if len(others) > _MOST_LISTED else ""
    listed = ", ".join(others[:_MOST_LISTED])
    return f"profile of {own}; --module chooses another: {listed}{more}"
