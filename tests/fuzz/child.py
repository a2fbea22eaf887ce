"""The process that the inputs run in: with little memory, and little time for each of them.

It keeps count in a file that its parent watches, so that the parent knows which input it was
when the process dies or stands still.

    python -m tests.fuzz.child FOLDER KIND ENGINE SEED FIRST COUNT
"""

from __future__ import annotations

import importlib
import mmap
import os
import random
import resource
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from edgegraph.base.worker import peak_memory_bytes
from tests.fuzz.mutate import damage_fields

MEMORY_BYTES, FOREIGN_MEMORY_BYTES = 1 << 30, 8 << 30
"""Of address space, libraries included; XLA's own, where they read, set much aside."""

TIME_S = 20
"""Of the processor, for one input; the slowest takes three."""

OUT_OF_MEMORY = 3
"""The exit code of a process in which a library asked for too much memory."""

STANDSTILL_S = 600
"""By the clock on the wall: who works on one input for so long hangs where no timer reaches it."""


class Counts:
    """Numbers in a file: the input that is running, how many there were of each sort, memory."""

    _FIELDS = ("current", "accepted", "refused", "failed", "peak_bytes")

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * len(self._FIELDS)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * len(self._FIELDS))

    def __getitem__(self, name: str) -> int:
        number: int = struct.unpack_from("q", self._map, 8 * self._FIELDS.index(name))[0]
        return number

    def __setitem__(self, name: str, value: int) -> None:
        struct.pack_into("q", self._map, 8 * self._FIELDS.index(name), value)


class TooSlowError(BaseException):
    """An input took longer than it may; no handler of ordinary errors may swallow it."""


def _too_slow(*_: object) -> NoReturn:
    raise TooSlowError(f"took more than {TIME_S} s of the processor")


@contextmanager
def limited() -> Iterator[None]:
    """Limit the processor time of what runs inside."""
    signal.setitimer(signal.ITIMER_PROF, TIME_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def keep(folder: Path, data: bytes, error: BaseException) -> None:
    """Keep the first input of every kind of failure, with its traceback."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    name = f"{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}"
    if not (folder / f"{name}.input").exists():
        (folder / f"{name}.input").write_bytes(data)
        (folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)))


def try_one(
    data: bytes, counts: Counts, folder: Path, kind: str = "HLO", *, as_a_user: bool = False
) -> None:
    """Run one input and count what came of it.

    A library that asks for too much memory fails here as it does where it ends its process.
    """
    from tests.fuzz.follow import survives
    from tests.fuzz.kinds import KINDS

    try:
        with limited():
            accepted = survives(data, KINDS[kind].read)
    except (Exception, TooSlowError) as error:  # whatever it is, it is what is looked for
        if isinstance(error, MemoryError) and KINDS[kind].foreign and not as_a_user:
            os._exit(OUT_OF_MEMORY)
        counts["failed"] += 1
        keep(folder, data, error)
    else:
        counts["accepted" if accepted else "refused"] += 1
    counts["peak_bytes"] = max(peak_memory_bytes(), counts["peak_bytes"])


def read_seeds(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def made(kind: str, seed: int, number: int, seeds: Sequence[bytes]) -> bytes:
    """Make the input with a number."""
    from tests.fuzz.kinds import KINDS

    return KINDS[kind].damage(random.Random(f"{seed}:{number}"), seeds)


def run_mutators(folder: Path, kind: str, seed: int, first: int, count: int) -> None:
    """Run the inputs with these numbers."""
    from tests.fuzz.follow import without_xla
    from tests.fuzz.kinds import in_this_process

    with without_xla(), in_this_process():
        _run(folder, kind, seed, first, count)


def run_as_a_user(folder: Path, kind: str, seed: int, first: int, count: int) -> None:
    """Run the inputs with these numbers, with all the processes and libraries that users have."""
    _run(folder, kind, seed, first, count, as_a_user=True)


def _run(
    folder: Path, kind: str, seed: int, first: int, count: int, *, as_a_user: bool = False
) -> None:
    seeds, counts = read_seeds(folder / "seeds"), Counts(folder / "counts")
    for number in range(first, first + count):
        counts["current"] = number
        data = made(kind, seed, number, seeds)
        try_one(data, counts, folder / "failures", kind, as_a_user=as_a_user)
    counts["current"] = first + count


def run_atheris(folder: Path, kind: str, seed: int, first: int, count: int) -> None:
    """Have libFuzzer choose inputs by the lines of EdgeGraph that they reach."""
    atheris: Any = importlib.import_module("atheris")  # there is no wheel for every Python

    with atheris.instrument_imports(include=["edgegraph"]):
        from edgegraph.hlo import graph
        from tests.fuzz.follow import without_xla

    # Modules that expand reach many lines often, and libFuzzer would try little else.
    graph.MAX_NODES = 2_000
    seeds, counts = read_seeds(folder / "seeds"), Counts(folder / "counts")

    def run(data: bytes) -> None:
        try_one(data, counts, folder / "failures", kind)
        counts["current"] += 1

    def mutator(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.5:
            changed: Any = atheris.Mutate(data, most)
            return bytes(changed)
        return damage_fields(rng, data, seeds)[:most]

    found = folder / "found"
    found.mkdir(exist_ok=True)
    counts["current"] = first
    arguments = [
        sys.argv[0], str(found), str(folder / "seeds"), f"-runs={count}",
        f"-seed={seed + first + 1}",
        f"-artifact_prefix={folder / 'failures'}/", "-max_len=65536", "-rss_limit_mb=1024",
        f"-timeout={STANDSTILL_S}", f"-report_slow_units={STANDSTILL_S}", "-verbosity=0",
        "-print_final_stats=0",
    ]  # fmt: skip
    with without_xla():
        atheris.Setup(arguments, run, custom_mutator=mutator)
        atheris.Fuzz()


def main() -> None:
    folder, kind, engine, *numbers = sys.argv[1:]
    seed, first, count = map(int, numbers)
    warnings.simplefilter("error")
    signal.signal(signal.SIGPROF, _too_slow)
    from tests.fuzz.kinds import KINDS

    most = FOREIGN_MEMORY_BYTES if KINDS[kind].foreign else MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    run = {"mutators": run_mutators, "as-a-user": run_as_a_user, "atheris": run_atheris}[engine]
    run(Path(folder), kind, seed, first, count)


if __name__ == "__main__":
    main()
