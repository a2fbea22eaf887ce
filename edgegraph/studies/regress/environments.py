"""Virtual environments of other versions, made once with venv and pip, and kept in the cache.

One is made under a temporary name and renamed when all of it is there, so that what was killed
leaves nothing that could be taken for an environment; the next one to make it sweeps that away.
Where packages come from, pip's own settings say.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from edgegraph.base.files import cache_folder
from edgegraph.base.timing import Progress, no_progress
from edgegraph.errors import EdgeGraphError, InputError

DISTRIBUTION = "edgegraph-jax"
"""What EdgeGraph is called on the package index."""

INSTALL_TIMEOUT_S = 1800.0
_ASK_TIMEOUT_S = 120.0

_ABOUT = "environment.json"
_NO_NETWORK = re.compile(
    r"NewConnectionError|name resolution|Max retries exceeded|ProxyError"
    r"|Connection(?: was)? refused|ConnectTimeout|Network is unreachable|getaddrinfo failed"
)
_VERSION = re.compile(r"\d+(?:\.\w+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEnvironment:
    """A virtual environment in the cache folder.

    Attributes:
        name: Of its folder.
        folder: Where it stands.
        requirements: What was asked of pip.
        python: Version of its interpreter.
        made_at: UTC, ISO 8601.
    """

    name: str
    folder: Path
    requirements: tuple[str, ...]
    python: str
    made_at: str

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return interpreter_in(self.folder)

    @property
    def size_bytes(self) -> int:
        """What its files take; links to the interpreter it was made with do not count."""
        files = (path for path in self.folder.rglob("*") if not path.is_symlink())
        return sum(path.stat().st_size for path in files if path.is_file())


def environments_folder() -> Path:
    """Return the folder that environments are kept in; it need not exist."""
    return cache_folder() / "environments"


def interpreter_in(folder: Path) -> Path:
    """Return the Python of a virtual environment."""
    windows = folder / "Scripts" / "python.exe"
    return windows if sys.platform == "win32" else folder / "bin" / "python"


def kept_environments() -> list[KeptEnvironment]:
    """Return the environments that are there, by name; those that are being made are none yet."""
    folder = environments_folder()
    found = [_kept(each) for each in sorted(folder.glob("[!.]*")) if each.is_dir()]
    return [each for each in found if each is not None]


def _kept(folder: Path) -> KeptEnvironment | None:
    try:
        said = json.loads((folder / _ABOUT).read_text("utf-8"))
        return KeptEnvironment(
            name=folder.name,
            folder=folder,
            requirements=tuple(map(str, said["requirements"])),
            python=str(said["python"]),
            made_at=str(said["made_at"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_environments(name: str) -> list[str]:
    """Remove the environment of that name, or ``all``; return the names of those removed.

    Raises:
        InputError: There is none of that name.
    """
    names = [each.name for each in kept_environments()]
    chosen = names if name == "all" else [each for each in names if each == name]
    if not chosen and name != "all":
        raise InputError(
            f"there is no environment {name!r}; there is {', '.join(names) or 'none'}"
            f" in {environments_folder()}"
        )
    for each in chosen:
        with _held(each, no_progress):
            _sweep(environments_folder() / each)
    return chosen


def make_environment(
    requirements: Sequence[str], *, python: str | None = None, progress: Progress | None = None
) -> Path:
    """Return the Python of an environment with these packages; make it where there is none.

    Args:
        requirements: As pip takes them, the one that names it first: ``jax==0.10.2``.
        python: A version of Python that is installed, ``3.13``; this one's where None.
        progress: Called with a message.

    Raises:
        InputError: There is no such Python.
        EdgeGraphError: pip cannot install it; the message is one line.

    Example:
        >>> make_environment(["jax==0.12.0", "jaxlib==0.12.0"], python="3.13")  # doctest: +SKIP
        PosixPath('/home/me/.cache/edgegraph/environments/jax-0.12.0-py3.13-1f0c2d3e/bin/python')
    """
    report = progress or no_progress
    base = find_interpreter(python)
    version = _ask(base, "import platform; print(platform.python_version())")
    identity = json.dumps([sorted(requirements), version]).encode()
    short = re.sub(r"[^\w.]+", "-", requirements[0].replace("==", "-"))
    digest = hashlib.sha256(identity).hexdigest()[:8]
    name = f"{short}-py{version.rpartition('.')[0]}-{digest}"
    folder = environments_folder() / name
    with _held(name, report):
        if _kept(folder) is None:
            _sweep(folder)
            report(f"installing {requirements[0]} for Python {version}", None)
            _make(folder, base, requirements, version)
    return interpreter_in(folder)


def find_interpreter(python: str | None) -> Path:
    """Return the interpreter that a version names, or a path; this one where None.

    Raises:
        InputError: There is none.
    """
    if python is None:
        return Path(sys.executable)
    named = _VERSION.fullmatch(python)
    found = shutil.which(f"python{python}" if named else python)
    if found is None:
        what = f"python{python} is not on the PATH" if named else f"{python} is no program"
        raise InputError(
            f"--python {python}: {what}; name a version that is installed, such as 3.12, or the"
            " path of an interpreter"
        )
    return Path(found)


def own_requirements() -> list[str]:
    """Return what EdgeGraph needs besides jax, as its package says.

    Raises:
        InputError: It is not installed, so that nothing says.
    """
    try:
        every = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        raise InputError(
            f"what EdgeGraph needs is not known, as {DISTRIBUTION} is not installed; install it"
            " (pip install -e .), or name environments with --python PATH"
        ) from None
    plain = [each for each in every if "extra ==" not in each]
    return [each for each in plain if not re.match(r"(jax|jaxlib)\b", each)]


def index_versions(package: str, python: Path, *, nightly: bool = False) -> list[str]:
    """Return the versions of a package that pip's index has for a Python, the oldest first.

    Raises:
        EdgeGraphError: The index cannot be asked.
    """
    command = [str(python), "-m", "pip", "index", "versions", package, *["--pre"] * nightly]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S)
    line = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    if line is None:
        raise EdgeGraphError(f"the versions of {package} are not known: {pip_said(done.stderr)}")
    return line[1].split(", ")[::-1]


def _make(folder: Path, base: Path, requirements: Sequence[str], version: str) -> None:
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        _run([str(base), "-m", "venv", str(part)], "no virtual environment was made")
        pip = [str(interpreter_in(part)), "-m", "pip", "install", "--no-input", *requirements]
        _run(pip, f"{requirements[0]} was not installed for Python {version}")
        about = {
            "requirements": list(requirements),
            "python": version,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (part / _ABOUT).write_text(json.dumps(about), "utf-8")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _run(command: list[str], failed: str) -> None:
    """Run a command that prints nothing; one that is interrupted is ended with all it began."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace",
    )  # fmt: skip
    try:
        _, said = child.communicate(timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise EdgeGraphError(f"{failed}: it took longer than {INSTALL_TIMEOUT_S:g} s") from None
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        raise EdgeGraphError(f"{failed}: {pip_said(said)}")


def pip_said(messages: str) -> str:
    r"""Return in one line why pip failed.

    Example:
        >>> pip_said("ERROR: No matching distribution found for jax==99\n")
        'No matching distribution found for jax==99'
    """
    if _NO_NETWORK.search(messages):
        return (
            "the package index cannot be reached; connect, set pip's index or proxy, or name"
            " environments that are there with --python PATH"
        )
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip gave no reason"])[-1]


def _ask(python: Path, code: str) -> str:
    try:
        done = subprocess.run(
            [str(python), "-c", code],
            capture_output=True,
            text=True,
            timeout=_ASK_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{python} is not a Python that runs ({error})") from error
    return done.stdout.strip()


@contextmanager
def _held(name: str, report: Progress) -> Iterator[None]:
    """Have an environment to oneself, as long as it is made or removed."""
    import portalocker  # half of the time that importing EdgeGraph takes

    folder = environments_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{name}.lock").open("ab")
    except OSError as error:
        raise InputError(
            f"no environment can be kept in {folder} ({error.strerror}); set EDGEGRAPH_CACHE_DIR to"
            " a folder that can be written"
        ) from error
    with lock:
        try:
            portalocker.lock(
                lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
            )
        except portalocker.AlreadyLocked:
            report(f"waiting for another that makes {name}", None)
            portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        yield


def _sweep(folder: Path) -> None:
    """Remove an environment, and what was left behind where one was being made."""
    for each in (folder, *folder.parent.glob(f".{folder.name}.*.part")):
        with suppress(FileNotFoundError):
            # What is removed half is no environment any more.
            (each / _ABOUT).unlink(missing_ok=True)
        shutil.rmtree(each, ignore_errors=True)


def is_interpreter(text: str) -> bool:
    """Return whether text names an interpreter by its path, and no version of Python."""
    return os.sep in text or not _VERSION.fullmatch(text)
