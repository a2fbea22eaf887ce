"""What stands on stdout, and how a command ends: with one line and an exit code that is its own."""

from __future__ import annotations

import _thread
import errno
import io
import math
import os
import platform
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import datetime
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

import typer

from edgegraph import __version__
from edgegraph.base import files
from edgegraph.base.files import cache_folder, replacing
from edgegraph.base.quiet import end_quiet
from edgegraph.base.shown import shown
from edgegraph.errors import INTERRUPTED, NOTHING, EdgeGraphError, InputError, first_line

BUG = 70
"""The exit code of a defect of EdgeGraph: EX_SOFTWARE of sysexits.h. 1 says that a gate failed."""

_LONGEST = 200
"""Characters of a path in a message."""

_OUT, _ERR = 1, 2
"""The descriptors of stdout and stderr."""

_kept: list[TextIO] = []
"""What writes to stdout, while a command runs."""


def results() -> TextIO:
    """Return what results, and nothing else, are written to."""
    return _kept[-1] if _kept else sys.stdout


class _Results(io.TextIOWrapper):
    """Stdout; where it cannot be written, an InputError says so."""

    def write(self, text: str) -> int:
        with self._told():
            return super().write(text)

    def flush(self) -> None:
        with self._told():
            super().flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _onto(os.devnull, os.O_WRONLY, self.fileno())  # what is left would fail once more
            raise InputError(f"cannot write to stdout: {error.strerror or error}") from error


@contextmanager
def own_stdout(*, for_good: bool) -> Iterator[None]:
    """Make `sys.stdout` what alone reaches stdout; who writes to its descriptor reaches stderr.

    So do children that inherit the descriptor, and code in C. After a block `for_good`, until the
    process ends, everyone does.
    """
    before = sys.stdout
    if before is not None and not _is_descriptor(before):  # a test's, or a notebook's
        yield
        return
    if before is not None:
        before.flush()
    own = None if before is None else os.dup(_OUT)
    try:
        os.dup2(_ERR, _OUT)
    except OSError:  # it is closed, too
        _onto(os.devnull, os.O_WRONLY, _OUT)
    if own is None:  # stdout is closed: what can only be read tells so when it is written
        own = os.open(os.devnull, os.O_RDONLY)
    encoding = "utf-8" if before is None else before.encoding
    raw = io.BufferedWriter(io.FileIO(own, "w"))
    files.stdout_descriptor = own
    sys.stdout = file = _Results(raw, encoding, errors="replace", line_buffering=True)
    try:
        yield
    finally:
        sys.stdout = sys.stderr
        if not for_good:
            files.stdout_descriptor = _OUT
            if before is not None:
                before.flush()  # to stderr, as all else
            os.dup2(file.fileno(), _OUT)
            sys.stdout = before
        with suppress(InputError):  # which `ended` has told
            file.close()


def _is_descriptor(stream: TextIO) -> bool:
    with suppress(OSError, ValueError):
        return stream.fileno() == _OUT
    return False


def _onto(path: str, flags: int, descriptor: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, descriptor)
    if opened != descriptor:
        os.close(opened)


@contextmanager
def interrupts_kept(*, for_good: bool = False) -> Iterator[None]:
    """Raise a KeyboardInterrupt once more that came where Python drops exceptions.

    What is raised in a destructor or a callback of the garbage collector, such as JAX's, goes to
    `sys.unraisablehook`, and the program would run on. Extensions that are being imported hand it
    to `sys.excepthook`, which prints it, and make an ImportError of it, or end the process: it
    waits for them. Where that takes too long, a process that is ours alone, `for_good`, ends at
    once; in another nothing is printed, and `ended` takes the error for what it was.
    """
    before, printed, taken = sys.unraisablehook, sys.excepthook, signal.getsignal(signal.SIGINT)
    until = math.inf

    def pressed(number: int, frame: FrameType | None) -> None:
        nonlocal until
        until = min(until, time.monotonic() + _PATIENCE_S)
        _pressed.set()
        imports = _imports(frame)
        if imports and time.monotonic() < until:
            threading.Timer(_AGAIN_S, _interrupt_main).start()
            return
        if imports and for_good:
            end_quiet()
            say("interrupted; kept: what was saved until then")
            end_now(INTERRUPTED)
        sys.excepthook = _printed  # only now, for typer has one of its own
        _last[:] = [KeyboardInterrupt()]
        raise _last[0]

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(_AGAIN_S, _interrupt_main).start()
        else:
            before(dropped)

    ours = taken is signal.default_int_handler
    ours &= threading.current_thread() is threading.main_thread()
    sys.unraisablehook = hook
    if ours:
        signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = before, printed
        _pressed.clear()
        if ours:
            signal.signal(signal.SIGINT, taken)


def _printed(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print an exception that nobody took, unless it is an interrupt."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


_pressed = threading.Event()
"""Whether Ctrl-C was pressed."""


_last: list[KeyboardInterrupt] = []
"""What was raised last. It holds what the interrupted frames hold: to take down an extension that
is half imported, or a program that still runs, would crash the interpreter."""


def _interrupt_main() -> None:
    """Interrupt the main thread, also where it waits for something."""
    number = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and number is not None:
        signal.pthread_kill(number, signal.SIGINT)
    else:  # Windows
        _thread.interrupt_main()


def _imports(frame: FrameType | None) -> bool:
    """Whether something is being imported."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


_PATIENCE_S = 1.0
"""For what is being imported."""

_AGAIN_S = 0.05
"""After which the callback is over."""


def ended(run: Callable[[], object]) -> int:
    """Run something to its end, say in one line what went wrong, and return the exit code."""
    try:
        run()
        results().flush()
    except typer.Exit as stop:
        return stop.exit_code
    except EdgeGraphError as error:
        say(f"error: {error}")
        return error.exit_code
    except SystemExit as stop:
        say(f"error: the code that was run ended the process: {first_line(stop)}")
        return InputError.exit_code
    except KeyboardInterrupt:
        say(f"interrupted; kept: {NOTHING}")  # commands that keep something say so themselves
        return INTERRUPTED
    except MemoryError:
        say("error: memory ran out; take a smaller batch, or a machine with more")
        return InputError.exit_code
    except BaseException as error:
        if _pressed.is_set():
            say(f"interrupted; kept: {NOTHING}")
            return INTERRUPTED
        # What the system refuses is no bug; a file that we believed to be there is one.
        if isinstance(error, OSError) and error.filename and error.errno != errno.ENOENT:
            say(f"error: cannot use {str(error.filename)[:_LONGEST]}: {error.strerror}")
            return InputError.exit_code
        say(
            f"this is a bug in EdgeGraph: {type(error).__name__}: {first_line(error)}; please"
            f" report it with {_report(error)}"
        )
        return BUG
    return 0


def end_now(code: int) -> NoReturn:
    """End the process without taking the interpreter down; what was said is written first."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def ending(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: what is printed while it runs goes to stderr, its `results` to stdout."""

    @wraps(command)
    def run(**values: Any) -> None:
        _kept.append(sys.stdout)
        try:
            with redirect_stdout(sys.stderr):
                code = ended(lambda: command(**values))
        finally:
            _kept.pop()
        raise typer.Exit(code)

    return run


def say(text: str) -> None:
    """Tell the user something in one line of stderr."""
    if sys.stderr is not None:
        with suppress(OSError):  # there is nobody else to tell
            print(f"edgegraph: {shown(' '.join(text.split()))}", file=sys.stderr, flush=True)


def _report(error: BaseException) -> str:
    """Write down all that is known of a defect, and name the file."""
    now = datetime.now()
    text = "".join((
        f"EdgeGraph {__version__}, Python {sys.version}, {platform.platform()}\n",
        f"{now:%Y-%m-%d %H:%M:%S} {sys.argv}\n\n", *traceback.format_exception(error),
    ))  # fmt: skip
    name = f"edgegraph_bug_{now:%Y%m%d_%H%M%S}_{os.getpid()}.txt"
    for folder in (cache_folder(), Path(tempfile.gettempdir())):
        with suppress(OSError, InputError):
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / name) as temporary:
                temporary.write_text(text, "utf-8", "backslashreplace")
            return str(folder / name)
    return "what follows\n" + text
