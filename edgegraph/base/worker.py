"""Running one of our functions in a fresh Python process.

Some things can only be chosen before JAX starts (how calls are dispatched, which cores there
are), and some may end the process. Such work is a function ``name(payload, report) -> bytes`` of
a module; it runs in a child that knows nothing but its payload. Nothing of it stays behind: the
payload is a file without a name, and the child ends with its parent, whatever ends that.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from edgegraph import errors
from edgegraph.base.timing import Progress
from edgegraph.errors import EdgeGraphError, InputError

Work = Callable[[bytes | mmap.mmap, Progress], bytes]
"""What runs in a child: from a payload (read-only) to an answer."""

_ANSWER, _ERROR, _PROGRESS = b"A", b"E", b"P"
_HEADER_BYTES = 9
_GRACE_PERIOD_S = 10.0
"""A child that has closed its pipe without an answer gets this long to end by itself."""

_running: set[subprocess.Popen[bytes]] = set()
"""Children that some thread waits for."""

_CHATTER = re.compile(r"I\d{4} |WARNING: (All log messages before|Logging before)")
"""How lines begin that XLA's logging writes when nothing is wrong."""

_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux."""


def run_child(
    function: str,
    payload: bytes | IO[bytes],
    *,
    timeout_s: float,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
    cores: Sequence[int] | None = None,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Run a function in a Python subprocess, and wait for its answer. What it prints goes nowhere.

    An EdgeGraphError that it raises is passed on; another says that it failed otherwise, that its
    process died, or that it took too long. After a KeyboardInterrupt the child is gone, too.

    `function`, ``package.module:name``, takes the payload and a progress callable. A payload that
    is an open file may be read by several children in turn. The child runs on `cores` before it
    imports anything, and where the system can limit that, asks for no more than `memory_bytes`.
    """
    _check_cores(cores)
    code = f"import sys; sys.path[:] = {sys.path!r}\nfrom {__name__} import _serve; _serve()"
    name, limits = name or function, json.dumps([cores, memory_bytes])
    command = [sys.executable, "-c", code, function, limits, str(os.getpid()), name]
    with _payload_file(payload) as handed, tempfile.TemporaryFile() as messages:
        child = subprocess.Popen(
            command,
            stdin=handed,
            stdout=subprocess.PIPE,
            stderr=messages,
            env={**os.environ, **(environment or {})},
        )
        _running.add(child)
        try:
            answer = _wait(child, name, timeout_s, progress)
            if answer is None:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_GRACE_PERIOD_S)
        finally:
            _running.discard(child)
            child.kill()
            child.wait()
            _pipe(child).close()
        if answer is not None:
            return answer
        if child.returncode == -signal.SIGINT:
            raise KeyboardInterrupt
        messages.seek(0)
        raise EdgeGraphError(_describe_end(name, child.returncode, messages.read()))


def end_children() -> None:
    """Kill the children that run for other threads; their `run_child` raises."""
    for child in tuple(_running):
        child.kill()


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held.

    psutil knows it on Windows only. Linux's resource usage begins with what the parent held when
    it made the process, so its own figure is read there.
    """
    with suppress(OSError), Path("/proc/self/status").open("rb") as status:
        for line in status:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # Windows has none

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def echo(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    """Answer with the payload: the simplest work there is."""
    return bytes(payload)


def _check_cores(cores: Sequence[int] | None) -> None:
    if cores is None:
        return
    if not hasattr(psutil.Process, "cpu_affinity"):
        raise InputError(f"this system ({sys.platform}) does not let a process choose its cores")
    usable = psutil.Process().cpu_affinity()
    if not cores or not set(cores) <= set(usable):
        raise InputError(f"cannot run on the cores {list(cores)}; this process may use {usable}")


@contextmanager
def _payload_file(payload: bytes | IO[bytes]) -> Iterator[IO[bytes]]:
    """Provide the payload as a file; one of our own has no name and goes when it is closed."""
    if not isinstance(payload, bytes):
        payload.flush()
        yield payload
        return
    with tempfile.TemporaryFile() as file:
        file.write(payload)
        file.flush()
        yield file


def _pipe(child: subprocess.Popen[bytes]) -> IO[bytes]:
    assert child.stdout is not None  # it was asked for
    return child.stdout


def _wait(
    child: subprocess.Popen[bytes], name: str, timeout_s: float, progress: Progress | None
) -> bytes | None:
    """Return the child's answer, or None if it ends without one."""
    deadline = time.monotonic() + timeout_s
    watchdog = threading.Timer(timeout_s, child.kill)
    watchdog.daemon = True
    watchdog.start()
    received = bytearray()
    try:
        while piece := os.read(_pipe(child).fileno(), 1 << 20):
            received += piece
            for kind, content in _messages(received):
                if kind == _ANSWER:
                    return content
                if kind == _ERROR:
                    raise _error(content)
                if progress is not None:
                    progress(*json.loads(content))
    finally:
        watchdog.cancel()
    if time.monotonic() >= deadline:
        raise EdgeGraphError(
            f"{name} took longer than {timeout_s:g} s in a subprocess, which was"
            " ended; give it more time or less to do"
        )
    return None


def _messages(received: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Remove the complete messages from the front of what was received, and return them."""
    while len(received) >= _HEADER_BYTES:
        end = _HEADER_BYTES + int.from_bytes(received[1:_HEADER_BYTES], "big")
        if len(received) < end:
            return
        message = bytes(received[:1]), bytes(received[_HEADER_BYTES:end])
        del received[:end]
        yield message


def _error(content: bytes) -> EdgeGraphError:
    name, text = json.loads(content)
    kind: type[EdgeGraphError] = getattr(errors, name, EdgeGraphError)
    return kind(text)


def _describe_end(name: str, code: int, messages: bytes) -> str:
    """Describe in one line how the child ended."""
    said = messages.decode(errors="replace").splitlines()
    lines = [line for line in said if line.strip() and not _CHATTER.match(line)]
    last = next((line for line in lines if "Check failed" in line), (lines or ["no message"])[-1])
    last = re.sub(r"^.*?(?=Check failed)", "", last).strip()
    if code >= 0:
        how = f"ended with code {code} and no answer ({last})"
    else:
        how = f"was killed by {_signal_name(-code)} ({last})"
        if -code == signal.SIGKILL:
            how += ", which the system does when memory runs out"
    return f"the subprocess in which {name} ran {how}"


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _serve() -> None:
    """Do the work: the child's side."""
    function, (cores, memory_bytes), parent = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _end_with(parent)
    if cores is not None:
        psutil.Process().cpu_affinity(cores)
    if memory_bytes is not None and sys.platform == "linux":
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    # Only answers go to the pipe; what anyone prints goes where the error messages go.
    with os.fdopen(os.dup(1), "wb") as pipe:
        os.dup2(2, 1)

        def send(kind: bytes, content: bytes) -> None:
            pipe.write(kind + len(content).to_bytes(_HEADER_BYTES - 1, "big") + content)
            pipe.flush()

        def report(message: str, fraction: float | None) -> None:
            send(_PROGRESS, json.dumps([message, fraction]).encode())

        module, _, name = function.partition(":")
        try:
            work: Work = getattr(importlib.import_module(module), name)
            answer = work(_payload(), report)
        except EdgeGraphError as error:
            send(_ERROR, json.dumps([type(error).__name__, str(error)]).encode())
        except errors.USER_ERRORS as error:  # whatever the work raises, the parent must hear of it
            text = (str(error).strip().splitlines() or [""])[0]
            if isinstance(error, MemoryError) and memory_bytes is not None:
                text = f"it asked for more than {memory_bytes:,} bytes"
            line = f"{sys.argv[4]} failed in a subprocess: {type(error).__name__}: {text}"
            send(_ERROR, json.dumps(["EdgeGraphError", line]).encode())
        else:
            send(_ANSWER, answer)


def _payload() -> bytes | mmap.mmap:
    """Map the payload into memory, so that only what is used of it is read."""
    if not os.fstat(0).st_size:
        return b""
    return mmap.mmap(0, 0, access=mmap.ACCESS_READ)


def _end_with(parent: int) -> None:
    """Have the system end this process with its parent, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it is gone already
        os._exit(1)
