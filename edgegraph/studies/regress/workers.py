"""Processes of other versions: each runs the script `agent.py` in the environment of its version.

A process lives as long as its programs are timed; it ends with this one, whatever ends that. What
an artifact or a user's program does to it is its own: it has a limit of memory, every request one
of time, and an end without an answer is an error in one line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import jax
import platformdirs

from edgegraph.errors import EdgeGraphError
from edgegraph.studies.regress.passes import PassKey, passes_in, written_profile
from edgegraph.workload.arguments import read_arguments

SCRIPT = Path(__file__).with_name("agent.py")

MEMORY_BYTES = 16 << 30
"""What the process of a version may ask for."""

START_TIMEOUT_S = 300.0
LOAD_TIMEOUT_S = 1800.0
TIMEOUT_S = 300.0

_FLAG = re.compile(r"^\t--(xla_\w+)=(\S*)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A version, and how its program is compiled.

    Attributes:
        label: What it is called: its version of jax, or what was asked for.
        python: The interpreter of its environment.
        options: XLA compiler options.
    """

    label: str
    python: Path
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the user named, as every version opens it.

    Attributes:
        spec: As `edgegraph.workload.names.find_object` takes it; None where only an artifact is.
        batch: Batch size of a Workload.
        args: Arguments of a plain function, ``x=f32[8,8]``; None for a SPEC that EdgeGraph opens.
        choices: Keywords of `edgegraph.open`.
    """

    spec: str | None
    batch: int = 1
    args: tuple[str, ...] | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)

    def request(self, side: Side) -> dict[str, Any]:
        """Return what asks an agent to load it."""
        return {
            "do": "load",
            "kind": "source",
            "spec": self.spec,
            "batch": self.batch,
            "args": None if self.args is None else _told(read_arguments(self.args))[1],
            "choices": {name: _told(each) for name, each in self.choices.items()},
            "options": dict(side.options),
        }


def _told(value: Any) -> tuple[str, Any]:
    """Return an argument as JSON: arrays by shape and dtype."""
    if isinstance(value, jax.ShapeDtypeStruct):
        return "array", (value.shape, value.dtype.name)
    if isinstance(value, dict):
        return "dict", {name: _told(each) for name, each in value.items()}
    if isinstance(value, list):
        return "list", [_told(each) for each in value]
    return "value", value


class Agent:
    """The process of one version; a context that ends it."""

    def __init__(self, side: Side, folder: Path) -> None:
        """Start it and import its jax; it writes what is large into `folder`."""
        self.side, self.folder = side, folder
        self._messages: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._child = subprocess.Popen(
            # Not as a file: the modules beside it must not stand in the way of others.
            [str(side.python), "-c", SCRIPT.read_text("utf-8")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env=_environment(),
        )
        try:
            self.about = self.ask(
                {"do": "start", "memory_bytes": MEMORY_BYTES, **_paths()}, START_TIMEOUT_S
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the process; the end of the block ends it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._messages):
            if pipe is not None:
                with suppress(BrokenPipeError):  # of what it did not read any more
                    pipe.close()

    def ask(self, request: Mapping[str, Any], timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            EdgeGraphError: It failed there, took too long, or ended the process.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._child.kill()

        watchdog = threading.Timer(timeout_s, end)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            watchdog.cancel()
        if not line:
            raise EdgeGraphError(self._ended(request, timeout_s if late.is_set() else None))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EdgeGraphError(f"{self.side.label}: {answer['error']}")
        return answer

    def load(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Have a program compiled; the answer's ``hlo`` is the optimised HloModuleProto's file."""
        path = self.folder / f"{name}-{self._child.pid}.pb"
        answer = self.ask({**request, "name": name, "hlo": str(path)}, LOAD_TIMEOUT_S)
        return {**answer, "hlo": str(path)}

    def inside(self, name: str | None, module: str, function: str, *given: Any) -> Any:
        """Return what a function of EdgeGraph's makes there of what was traced, or of nothing."""
        request = {"do": "inside", "name": name, "module": module, "function": function}
        return self.ask({**request, "given": given}, LOAD_TIMEOUT_S)["found"]

    def load_ahead(self, request: Mapping[str, Any], target: str) -> dict[str, Any]:
        """Have a program compiled for a TPU or GPU that is not here."""
        asked = {**request, "target": target, "hlo": str(self.folder / f"{self._child.pid}.pb")}
        found: dict[str, Any] = self.inside(None, "ahead", "compile_there", asked)
        return found

    def load_profiled(
        self, name: str, request: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[PassKey, float]]:
        """Have a program compiled, and return with the answer what XLA's passes took."""
        with self.profile() as folder:
            answer = self.load(name, {**request, "profile": str(folder)})
            return answer, passes_in(written_profile(folder))

    @contextmanager
    def profile(self) -> Iterator[Path]:
        """Have a folder for a profile; it is gone after the block."""
        with tempfile.TemporaryDirectory(prefix="profile-", dir=self.folder) as folder:
            yield Path(folder)

    def _ended(self, request: Mapping[str, Any], timeout_s: float | None) -> str:
        if timeout_s is not None:
            return (
                f"{self.side.label}: {request['do']} took longer than {timeout_s:g} s in its"
                " process, which was ended"
            )
        code = self._child.wait()
        self._messages.seek(0)
        said = self._messages.read().decode(errors="replace").splitlines()
        lines = [line for line in said if line.strip()]
        failed = [line for line in lines if "Check failed" in line]
        last = (failed or lines or ["no message"])[-1]
        how = f"ended with code {code}" if code >= 0 else f"was killed by {_signal(-code)}"
        return f"{self.side.label}: its process {how} ({last.strip()[:200]})"


def default_flags(python: Path) -> dict[str, str]:
    """Return XLA's flags with their defaults, as far as this version tells them.

    XLA lists them where it is asked for help, ends the process, and cuts the list off after about
    15,000 characters; those for CPUs stand at its beginning.
    """
    try:
        done = subprocess.run(
            [str(python), "-c", "import jax; jax.devices()"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            env=_environment() | {"XLA_FLAGS": "--help"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {name: value.strip('"') for name, value in _FLAG.findall(done.stderr)}


def jax_in(python: Path) -> str:
    """Return the version of jax that an interpreter has.

    Raises:
        EdgeGraphError: It has none, or does not run.
    """
    code = "from importlib import metadata; print(metadata.version('jax'))"
    try:
        done = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EdgeGraphError(f"{python} does not run ({error})") from error
    if done.returncode:
        raise EdgeGraphError(f"{python} has no jax; install it there, or name it with --jax")
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "1"}


def _paths() -> dict[str, list[str]]:
    """Return where an agent looks for the user's modules, and for EdgeGraph where it has none.

    Of this process's own packages it must see nothing but EdgeGraph.
    """
    return {"first": [str(Path.cwd())], "last": [str(_only_edgegraph())]}


def _only_edgegraph() -> Path:
    """Return a folder in which there is EdgeGraph and nothing else, made once for this process."""
    if not _folders:
        folder = tempfile.TemporaryDirectory(prefix="edgegraph-", ignore_cleanup_errors=True)
        # EdgeGraph cannot be imported without platformdirs, which is of Python alone.
        for place in (Path(__file__).parents[2], Path(platformdirs.__file__).parent):
            (Path(folder.name) / place.name).symlink_to(place, target_is_directory=True)
        _folders.append(folder)
    return Path(_folders[0].name)


_folders: list[tempfile.TemporaryDirectory[str]] = []


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return name + ", which the system does when memory runs out" * (number == signal.SIGKILL)
