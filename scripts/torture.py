"""Put commands through what happens to programs: kills, full disks, memory that runs out, hangs.

Each ordeal runs `edgegraph` as a user does, in a folder of its own, and then looks for what must
hold: nothing that was finished is lost, no file is half, no process is left behind, and what goes
wrong is one line and no traceback.

    python -m scripts.torture               kills each study 50 times: some hours
    python -m scripts.torture --kills 5 --only killed --at-once 2
    python -m scripts.torture --short       a minute

What takes root (a small disk, no /dev/shm, a control group with little memory) is told as not tried
without. Linux only.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

import edgegraph as eg
from scripts.torture_programs import PROGRAMS

ROOT = Path(__file__).parents[1]
MARK = "EDGEGRAPH_TORTURE"
"""A variable that every process of an ordeal has in its environment."""

POINTS = 4
SWEEP = "sweep programs.py:{} --batches 1,2,4,8 --no-measure"

STUDIES = {
    "sweep": SWEEP.format("net") + " --workers 1",
    "sweep, measured": "sweep programs.py:net --batches 1,2 --quick",
    "sweep, two axes": "sweep programs.py:sized --vary batch=1,2 --vary length=2,4 --no-measure",
    "serve": "serve programs.py:sized programs.py:stepped --context 2,4 --batch 1,2"
    " --target device:rpi5",
    "improve": "improve programs.py:net --quick --seconds 1 --save fast.rewrites",
    "fit": "fit programs.py:trained --target device:rpi5 --memory 100000 --batch 64,128 --plans 2",
    "scaling": "scaling programs.py:net --chips 1,2 --target cpu --quick --batch-per-chip 2",
    "fusion": "fusion programs.py:net --quick",
    "overlap": "overlap programs.py:net --quick",
    "regress": "regress programs.py:net --no-measure" + 2 * f" --python {sys.executable}",
}
"""What is killed, by a name for the table; -o and --store come behind."""

TIMED = {
    "sweep": "sweep programs.py:net --batches 1,2,4,8,16,32 -o out.edgegraph",
    "fusion": "fusion programs.py:net -o out.edgegraph",
    "calibrate": "calibrate --fresh --full",
    "improve": "improve programs.py:net --seconds 20 --save fast.rewrites",
}
"""What is interrupted, by Ctrl-C within its first seconds; each takes longer than these."""
INTERRUPTS_S, AFTER_CTRL_C_S = (1.5, 12.0), 3.0
LIMIT_S, ORPHANS_S = 600, 10
"""Processes that end with their parent get this long to do so."""


class BrokenError(Exception):
    """Something that must hold does not."""


class NotTriedError(Exception):
    """It takes what is not here."""


@dataclass
class Folder:
    """A folder in which commands run, and what holds of it.

    Attributes:
        runs: Most runs that its database has been seen to hold; none may go.
        make_room: Done before it is looked into, which takes room, too.
    """

    path: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    runs: int = 0
    make_room: Callable[[], object] = lambda: None

    def start(
        self, command: str, *, prefix: Sequence[str] = (), most: tuple[int, int] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command here; `most` is a limit for `resource.setrlimit`."""
        (self.path / "programs.py").write_text(PROGRAMS)
        (self.path / "temporary").mkdir(exist_ok=True)
        more = {
            MARK: self.mark, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu",
            "TMPDIR": str(self.path / "temporary"), "EDGEGRAPH_CACHE_DIR": str(self.path / "cache"),
        }  # fmt: skip
        limit = None if most is None else lambda: resource.setrlimit(most[0], (most[1], most[1]))
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "edgegraph", *command.split()],
            cwd=self.path, env=os.environ | more, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=limit,
            start_new_session=True,
        )  # fmt: skip

    def run(self, command: str, *codes: int, **how: object) -> str:
        """Run a command to its end, which must be one of these codes; return what it says."""
        child = self.start(command, **how)  # type: ignore[arg-type]
        said = self.finish(child)
        if child.returncode not in (codes or (0,)):
            raise BrokenError(f"exit code {child.returncode}: {said.strip()[-300:]}")
        return said

    def finish(self, child: subprocess.Popen[str]) -> str:
        """Wait for a command, and check what holds after every one."""
        try:
            _, said = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            raise BrokenError(f"it did not end within {LIMIT_S} s") from None
        self.make_room()
        # Where a kill meets Python as it hands a process its work, that one says so by itself.
        at_birth = child.returncode == -signal.SIGKILL and "EOFError: Ran out of input" in said
        if ("Traceback" in said and not at_birth) or child.returncode == 70:
            raise BrokenError(f"a bug: {said.strip()[-300:]}")
        self.check()
        return said

    def check(self) -> None:
        """Refuse processes left behind, files that are half, and runs that are lost."""
        deadline = time.monotonic() + ORPHANS_S
        while (left := list(self._processes())) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in left:
            process.kill()
        if left:
            raise BrokenError(f"{len(left)} processes were left behind")
        for path in [*self.path.glob("*.edgegraph"), *self.path.glob("*.rewrites")]:
            try:
                eg.load(path) if path.suffix == ".edgegraph" else eg.rewrite(path)
            except eg.EdgeGraphError as error:
                raise BrokenError(f"a half file: {error}") from error
        if (self.path / "runs.db").exists():
            kept = self._check_database()
            if kept < self.runs:
                raise BrokenError(f"{self.runs - kept} finished runs were lost")
            self.runs = kept

    def _check_database(self) -> int:
        with closing(sqlite3.connect(self.path / "runs.db")) as connection:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        if said != "ok":
            raise BrokenError(f"the database is damaged: {said}")
        with eg.open_store(self.path / "runs.db") as store:
            runs = store.find()
            for run in runs:
                store.load(run.id)
        return len(runs)

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != "zombie":
                    yield process
            except psutil.Error:
                continue


@contextmanager
def folder() -> Iterator[Folder]:
    """Provide a folder, and check it at the end."""
    with tempfile.TemporaryDirectory(prefix="edgegraph-torture-") as path:
        yield Folder(Path(path))


def killed(study: str, kills: int, takes_s: float | None = None) -> str:
    """Kill a study at random instants, go on after each, and let it end at last."""
    rng, runs, kept = random.Random(study), 0, 0
    command = f"{STUDIES[study]} -o out.edgegraph --store runs.db"
    if takes_s is None:
        with folder() as clean:
            began = time.monotonic()
            clean.run(command)
            takes_s, runs = time.monotonic() - began, clean.runs
    left = kills
    while left:  # what has ended has nothing left to lose, so that it begins anew
        with folder() as here:
            while left:
                child = here.start(command)
                try:
                    child.wait(rng.uniform(0, takes_s))
                except subprocess.TimeoutExpired:
                    child.kill()
                said = here.finish(child)
                if child.returncode == 0:
                    break
                if child.returncode != -signal.SIGKILL:
                    raise BrokenError(f"exit code {child.returncode}: {said.strip()[-300:]}")
                left -= 1
            here.run(command)
            kept += here.runs
            if not (here.path / "out.edgegraph").exists() or here.runs < runs:
                raise BrokenError(f"at the end there were {here.runs} runs, not {runs}")
    return f"{kills} kills within {takes_s:.0f} s each, {kept} runs kept"


def interrupted(study: str, tries: int) -> str:
    """Press Ctrl-C at random instants: soon it says in a line what was kept, and ends with 130."""
    rng, longest_s = random.Random(study), 0.0
    for _ in range(tries):
        with folder() as here:
            child = here.start(TIMED[study])
            with suppress(subprocess.TimeoutExpired):
                child.wait(rng.uniform(*INTERRUPTS_S))
            pressed = time.monotonic()
            os.killpg(child.pid, signal.SIGINT)
            child.wait(LIMIT_S)
            longest_s = max(longest_s, time.monotonic() - pressed)
            said = here.finish(child)
            last = said.strip().rpartition("\n")[2]
            if child.returncode != 130 or "interrupted; kept: " not in last:
                raise BrokenError(f"exit code {child.returncode}: {last[-300:]}")
    if longest_s > AFTER_CTRL_C_S:
        raise BrokenError(f"it took {longest_s:.1f} s to end")
    return f"{tries} times, {longest_s:.1f} s at most"


def two_at_once() -> str:
    """Have two sweeps write to one database."""
    with folder() as here:
        command = f"{STUDIES['sweep']} --store runs.db -o "
        children = [here.start(command + f"{name}.edgegraph") for name in ("one", "two")]
        said = [child.communicate(timeout=LIMIT_S)[1] for child in children]
        for child, text in zip(children, said, strict=True):
            if child.returncode:
                raise BrokenError(f"exit code {child.returncode}: {text.strip()[-300:]}")
        here.check()
        found = [len(eg.load(here.path / f"{name}.edgegraph").points) for name in ("one", "two")]
        if found != [POINTS, POINTS] or here.runs < POINTS:
            raise BrokenError(f"{found} points, {here.runs} runs")
        return f"{here.runs} runs of {POINTS} points each"


def full_disk(sizes: Sequence[int]) -> str:
    """Run a sweep where files cannot grow: on a small disk, or by a limit of the process."""
    small = _mounted if os.geteuid() == 0 else None
    ended = []
    for size in sizes:
        with folder() as here:
            command = f"{STUDIES['sweep']} --store runs.db -o out.edgegraph"
            if small is None:
                here.run(command, 0, 2, most=(resource.RLIMIT_FSIZE, size))
            else:
                with small(here, size):
                    here.run(command, 0, 2)
            ended.append(str(here.runs))
    how = "files of at most" if small is None else "disks of"
    return f"{how} {', '.join(f'{size >> 10}' for size in sizes)} KiB: {', '.join(ended)} runs kept"


@contextmanager
def _mounted(here: Folder, size: int) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "torture", str(here.path), "-o"]
    if subprocess.run([*mount, f"size={size}"], capture_output=True).returncode:
        raise NotTriedError("no disk can be mounted here")
    here.make_room = partial(subprocess.run, [*mount, "remount,size=64m"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(here.path)], check=True)


def _row_with_error(here: Folder, said: str, **how: object) -> str:
    here.run(f"{how.pop('command')} -o out.edgegraph --store runs.db", **how)
    errors = {point.batch: point.error for point in eg.load(here.path / "out.edgegraph").points}
    if [batch for batch, error in errors.items() if error] != [2] or said not in str(errors[2]):
        raise BrokenError(f"the errors are {errors}")
    return f"3 points, and a row that says: {errors[2]}"


def hang() -> str:
    """Trace a program that never ends at one batch size."""
    with folder() as here:
        command = f"{SWEEP.format('hangs')} --time-limit 4s --workers 1"
        return _row_with_error(here, "time limit", command=command)


def address_space() -> str:
    """Let a worker ask for more than it may have, at one batch size."""
    with folder() as here:
        most = (resource.RLIMIT_AS, 32 << 30)
        command = f"{SWEEP.format('eats')} --workers 1"
        return _row_with_error(here, "Unable to allocate", command=command, most=most)


def out_of_memory() -> str:
    """Have the kernel kill a worker that takes too much, at one batch size."""
    groups = Path("/sys/fs/cgroup/memory")
    v1 = groups.is_dir()
    group = (groups if v1 else groups.parent) / f"edgegraph-torture-{os.getpid()}"
    try:
        group.mkdir()
        limit = "memory.limit_in_bytes" if v1 else "memory.max"
        (group / limit).write_text(str(3 << 30))
    except OSError as error:
        raise NotTriedError(f"no control group can be made here ({error.strerror})") from error
    try:
        with folder() as here:
            join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
            command = f"{SWEEP.format('eats_and_touches')} --workers 1"
            return _row_with_error(here, "died", command=command, prefix=["sh", "-c", join, "sh"])
    finally:
        group.rmdir()


def no_shared_memory() -> str:
    """Run a sweep in processes where there is no /dev/shm."""
    hidden = ["unshare", "--mount", "sh", "-c", 'umount -l /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True).returncode:
        raise NotTriedError("/dev/shm cannot be taken away here")
    with folder() as here:
        here.run(f"{STUDIES['sweep']} --store runs.db -o out.edgegraph", prefix=hidden)
        return f"{here.runs} runs kept"


def ordeals(kills: int, *, short: bool) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Yield what is done to what, and the function that does it."""
    for study in ("sweep",) if short else STUDIES:
        takes_s = 5.0 if short else None
        yield "killed", study, partial(killed, study, kills, takes_s)
    for study in TIMED:
        yield "Ctrl-C", study, partial(interrupted, study, 1 if short else max(1, kills * 2 // 5))
    yield "two at once", "sweep", two_at_once
    sizes = [200 << 10] if short else [40 << 10, 100 << 10, 140 << 10, 200 << 10, 300 << 10]
    yield "full disk", "sweep", partial(full_disk, sizes)
    yield "hang in tracing", "sweep", hang
    if not short:
        yield "no address space", "sweep", address_space
        yield "killed for memory", "sweep", out_of_memory
        yield "no /dev/shm", "sweep", no_shared_memory


def undergone(ordeal: str, study: str, undergo: Callable[[], str]) -> tuple[str, ...]:
    """Do it; return its row of the table."""
    began = time.monotonic()
    try:
        held, seen = "yes", undergo()
    except NotTriedError as error:
        held, seen = "not tried", str(error)
    except BrokenError as error:
        held, seen = "NO", str(error)
    print(f"{ordeal}, {study}: {held}, {seen}", file=sys.stderr, flush=True)
    return ordeal, study, f"{time.monotonic() - began:.0f}", held, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each study (50)")
    parser.add_argument("--short", action="store_true", help="the quick ones, with 2 kills")
    parser.add_argument("--only", action="append", help="what is done (all); repeatable")
    parser.add_argument("--at-once", type=int, default=1, help="how many of them (1)")
    options = parser.parse_args()
    chosen = [
        each
        for each in ordeals(2 if options.short else options.kills, short=options.short)
        if not options.only or each[0] in options.only
    ]
    with ThreadPoolExecutor(options.at_once) as pool:
        rows = list(pool.map(undergone, *zip(*chosen, strict=True)))
    table = Table("ordeal", "study", "seconds", "held", "what was seen", box=box.SIMPLE)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    sys.exit(1 if any(held == "NO" for *_, held, _ in rows) else 0)


if __name__ == "__main__":
    main()
