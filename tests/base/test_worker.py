"""Work in subprocesses: answers, failures, and what stays behind."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegraph.base.timing import Progress
from edgegraph.base.worker import run_child
from edgegraph.errors import CompileError, EdgeGraphError, InputError

HERE = "tests.base.test_worker"
TIMEOUT_S = 60.0
HAS_AFFINITY = hasattr(os, "sched_setaffinity")


def reverse(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    print("this goes nowhere")
    os.system("echo neither does this")
    report("half way", 0.5)
    report("somewhere", None)
    return payload[::-1]


def refuse(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    raise CompileError("XLA does not like it")


def fail(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    raise ValueError("what is this?\nand a second line")


def leave(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    print("F1 something.cc:1] Check failed: a == b", file=sys.stderr)
    print("trailing noise", file=sys.stderr, flush=True)
    os._exit(3)


def die(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    os.kill(os.getpid(), int(payload[:]))
    return b"not reached"


def hang(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    report(str(os.getpid()), None)
    signal.pause()
    return b"not reached"


def fill(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    return bytes(2 << 30)[:1]


def describe(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    facts = {
        "pid": os.getpid(),
        "jax": "jax" in sys.modules,
        "cores": sorted(os.sched_getaffinity(0)) if HAS_AFFINITY else None,
        "variable": os.environ.get("EDGEGRAPH_TEST"),
    }
    return json.dumps(facts).encode()


@pytest.fixture(autouse=True)
def nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file and no child is left, whatever happened."""
    children: list[subprocess.Popen[bytes]] = []

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            children.append(self)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not list(tmp_path.iterdir())
    assert all(child.returncode is not None for child in children)  # waited for: no zombies


def test_an_answer_and_its_progress() -> None:
    seen: list[tuple[str, float | None]] = []
    answer = run_child(
        f"{HERE}:reverse", b"abc", timeout_s=TIMEOUT_S, progress=lambda *said: seen.append(said)
    )
    assert answer == b"cba"
    assert seen == [("half way", 0.5), ("somewhere", None)]


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_payloads_of_any_size(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert run_child("edgegraph.base.worker:echo", payload, timeout_s=TIMEOUT_S) == payload


def test_a_file_can_be_handed_to_one_child_after_the_other(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"hello")
        for _ in range(2):
            assert run_child("edgegraph.base.worker:echo", file, timeout_s=TIMEOUT_S) == b"hello"


def test_the_child_is_a_fresh_process() -> None:
    environment = {"EDGEGRAPH_TEST": "yes"}
    answer = run_child(f"{HERE}:describe", b"", timeout_s=TIMEOUT_S, environment=environment)
    facts = json.loads(answer)
    assert facts["pid"] != os.getpid()
    assert facts["variable"] == "yes"
    assert not facts["jax"]  # so that all of its settings can still be chosen
    assert "EDGEGRAPH_TEST" not in os.environ


@pytest.mark.skipif(not HAS_AFFINITY, reason="this system does not let a process choose its cores")
def test_cores_are_chosen_for_the_child_alone() -> None:
    usable = sorted(os.sched_getaffinity(0))
    answer = run_child(f"{HERE}:describe", b"", timeout_s=TIMEOUT_S, cores=usable[-1:])
    assert json.loads(answer)["cores"] == usable[-1:]
    assert sorted(os.sched_getaffinity(0)) == usable
    for wrong in ([], [*usable, 99_999]):
        with pytest.raises(InputError, match="this process may use"):
            run_child("edgegraph.base.worker:echo", b"", timeout_s=TIMEOUT_S, cores=wrong)


def test_our_errors_are_passed_on() -> None:
    with pytest.raises(CompileError, match=r"^XLA does not like it$"):
        run_child(f"{HERE}:refuse", b"", timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    ("work", "payload", "line"),
    [
        (f"{HERE}:fail", b"", "failed in a subprocess: ValueError: what is this?"),
        (f"{HERE}:no_such", b"", "AttributeError"),
        ("no.such.module:work", b"", "ModuleNotFoundError"),
        (f"{HERE}:leave", b"", "ended with code 3 and no answer (Check failed: a == b)"),
        (f"{HERE}:die", b"11", "was killed by SIGSEGV"),
        (f"{HERE}:die", b"9", "which the system does when memory runs out"),
    ],
)
def test_every_other_end_is_one_line(work: str, payload: bytes, line: str) -> None:
    with pytest.raises(EdgeGraphError) as raised:
        run_child(work, payload, timeout_s=TIMEOUT_S)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits what a process asks for")
def test_a_child_gets_no_more_memory_than_it_may_have() -> None:
    with pytest.raises(
        EdgeGraphError, match=r"MemoryError: it asked for more than 1,073,741,824 b"
    ):
        run_child(f"{HERE}:fill", b"", timeout_s=TIMEOUT_S, memory_bytes=1 << 30)


def test_a_child_that_hangs_is_ended() -> None:
    pids: list[int] = []
    with pytest.raises(EdgeGraphError, match=r"took longer than 1\.5 s"):
        run_child(f"{HERE}:hang", b"", timeout_s=1.5, progress=lambda pid, _: pids.append(int(pid)))
    for pid in pids:  # none if the machine was too slow for the child to come that far
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_interruption_passes_through_and_ends_the_child() -> None:
    pids: list[int] = []

    def interrupt(pid: str, _: float | None) -> None:
        pids.append(int(pid))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child(f"{HERE}:hang", b"", timeout_s=TIMEOUT_S, progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_an_interrupted_child_is_an_interruption() -> None:
    """Ctrl-C goes to both, and the child may be the first to end."""
    with pytest.raises(KeyboardInterrupt):
        run_child(f"{HERE}:die", b"2", timeout_s=TIMEOUT_S)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")
def test_the_child_ends_with_its_parent() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from edgegraph.base.worker import run_child\n"
        f"run_child('{HERE}:hang', b'', timeout_s=60, progress=lambda pid, _: print(pid, flush=1))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + TIMEOUT_S
    with contextlib.suppress(ProcessLookupError):
        while _runs(pid):
            os.kill(pid, 0)
            assert time.monotonic() < deadline
            os.sched_yield()


def _runs(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_most_memory_held_is_counted_in_bytes() -> None:
    """A block of 256 MiB that is written and freed again."""
    code = (
        "import numpy as np\n"
        "from edgegraph.base.worker import peak_memory_bytes as peak\n"
        "before = peak()\n"
        "np.ones(1 << 28, np.uint8)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == pytest.approx(1 << 28, rel=0.01)
