"""Everything that EdgeGraph reads: what damages each kind of input, and what reads it.

What stands in a file goes through the registry of doors, as for a user. XLA is left out, as in
`tests.fuzz.follow`, but for the text of HLO and for MLIR, which it reads in this process.
"""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

import jax
from rich.console import Console

import edgegraph as eg
from edgegraph.device import catalogue as catalogues
from edgegraph.device.calibration import saved as calibrations
from edgegraph.errors import FormatError, InputError
from edgegraph.gate.limits import read_settings
from edgegraph.hlo import read
from edgegraph.measure.trace.xplane import message_class
from edgegraph.results.kinds import presenter_of
from edgegraph.rewrites.decisions import load_decisions
from edgegraph.rewrites.timed import best_forms, timed_forms_path
from edgegraph.studies.improve.cache import SettledWholes, TimedForms
from tests.fuzz import damage
from tests.fuzz.damage import Damage
from tests.fuzz.follow import DEVICE, follow
from tests.fuzz.mutate import mutate


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of input.

    Attributes:
        damage: Changes an undamaged one; `tests.fuzz.seeds` has some.
        read: Reads one as a user has it read, and raises an EdgeGraphError where it is refused.
        door: The word of the door that is for it; None of what has none.
        foreign: Whether a library from outside reads it in this process, which may end it.
    """

    damage: Damage
    read: Callable[[bytes], object]
    door: str | None = None
    foreign: bool = False


@cache
def scratch() -> Path:
    """Return a folder for inputs that are read by their names; in memory, where there is that."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="edgegraph-fuzz-", dir=parent))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _written(data: bytes, name: str) -> Path:
    path = scratch() / name
    path.write_bytes(data)
    return path


def _admitted(payload: bytes) -> tuple[bytes, dict[str, float]]:
    """Take the place of XLA's reader in a process of its own, in this one; it counts nothing."""
    read_here = payload[:1] == b"M"
    return payload[1:] if read_here else read._parsed_text(payload[1:].decode()), {}


@contextmanager
def in_this_process() -> Iterator[None]:
    """Have XLA and MLIR read in this process, which some inputs end; it is far quicker."""
    with (
        patch.object(read, "_validated", _admitted),
        patch("edgegraph.compiler.exported.tried", lambda work, data: b""),
    ):
        yield


def through_a_door(data: bytes) -> None:
    """Open what stands in a file, analyse what can be, and show one in sixteen."""
    opened = eg.open(data)
    shown = crc32(data) % 16 == 0
    if isinstance(opened, eg.Program):
        follow(opened.serialized)
    elif isinstance(opened, eg.Workload):
        if crc32(data) % 4 == 0:
            eg.analyze(opened, stage="lowered", device=DEVICE, batch=2 if opened.batched else None)
    elif shown:
        console = Console(file=io.StringIO(), width=80)
        console.print(presenter_of(opened).table(opened, None))


def read_rewrites(data: bytes) -> None:
    """Read decisions, where the rules that they name are known, and apply them to a function."""
    path = _written(data, "fuzzed.rewrites")
    load_decisions(path)
    if crc32(data) % 16 == 0:
        jax.eval_shape(eg.rewrite(jax.numpy.sin, path), jax.ShapeDtypeStruct((8,), "float32"))


def read_calibration(data: bytes) -> None:
    path = _written(data, "calibration.json")
    with patch.object(calibrations, "calibration_path", lambda: path):
        try:
            calibrations.load_calibration()
        except calibrations.CalibrationWarning as warned:  # which says why it is not used
            raise FormatError(str(warned)) from warned


def read_limits(data: bytes) -> None:
    read_settings(_written(data, "pyproject.toml").parent)


def read_database(data: bytes) -> None:
    path = _written(data, "fuzzed.db")
    for rest in ("fuzzed.db-wal", "fuzzed.db-shm", "fuzzed.db-journal"):
        (path.parent / rest).unlink(missing_ok=True)
    with eg.open_store(path, create=False, timeout_s=0.1) as store:
        runs = store.find()
        _ = store.frame
        for workload in store.workloads:
            store.history(workload)
        for run in runs[-2:]:
            store.load(run.id)
        store.sweep(1)


_identity = cache(calibrations.machine_identity)


def read_timed_forms(data: bytes) -> None:
    """Read what was timed before; what is damaged is timed again."""
    with patch("edgegraph.rewrites.timed.machine_identity", _identity):
        for path in (timed_forms_path(), timed_forms_path().with_suffix(".wholes.json")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        known = [best_forms(), TimedForms().get("key"), SettledWholes().get("key")]
    if not any(known):
        raise InputError("nothing is known")


KINDS = {
    "HLO": Kind(damage=mutate, read=follow, door="HLO"),
    "HLO text": Kind(damage=damage.text, read=through_a_door, door="HLO", foreign=True),
    "saved result": Kind(damage=damage.saved, read=through_a_door, door="a saved result"),
    "profile": Kind(
        damage=damage.message(message_class("XSpace")),
        read=through_a_door,
        door="a profile",
    ),
    "StableHLO": Kind(damage=damage.text, read=through_a_door, door="StableHLO", foreign=True),
    "bytecode": Kind(damage=damage.some_bytes, read=through_a_door, door="StableHLO", foreign=True),
    "export": Kind(
        damage=damage.some_bytes,
        read=through_a_door,
        door="a file of jax.export",
        foreign=True,
    ),
    "rewrites": Kind(damage=damage.document, read=read_rewrites),
    "calibration": Kind(damage=damage.document, read=read_calibration),
    "timed forms": Kind(damage=damage.document, read=read_timed_forms),
    "catalogue": Kind(
        damage=damage.text,
        read=lambda data: catalogues.read_catalogue(_written(data, "devices.toml")),
    ),
    "limits": Kind(damage=damage.text, read=read_limits),
    "database": Kind(damage=damage.database, read=read_database),
}
"""Every kind by its name."""
