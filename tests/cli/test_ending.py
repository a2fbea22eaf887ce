"""Whatever the user's code and the machine do: one line, one exit code, results alone on stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgegraph.base.files import replacing
from edgegraph.cli import main
from edgegraph.cli.ending import BUG, ended, interrupts_kept, own_stdout, say

Asked = list[dict[str, Any]]

INTERRUPTED = "edgegraph: interrupted; kept: nothing was finished and saved\n"
REFUSED = "edgegraph: error: cannot write to stdout: "

USER_CODE = """
import os, subprocess, sys
import edgegraph as eg
import jax.numpy as jnp

print("printed")
os.write(1, b"to the descriptor\\n")
sys.__stdout__.write("late\\n")

def args(batch):
    return (jnp.ones((batch, 4)),)

def makes():
    sys.exit("set DATA_DIR")

def traces():
    return eg.Workload.from_function(lambda x: sys.exit("set DATA_DIR"), args, name="traces")

def arguments():
    return eg.Workload.from_function(jnp.sin, lambda batch: sys.exit("set DATA_DIR"))

def four():
    def function(x):
        return sys.exit("no four") if x.shape[0] == 4 else x @ x.T
    return eg.Workload.from_function(function, args, name="four")
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "endings.py").write_text(USER_CODE)
    (tmp_path / "ends_at_once.py").write_text("import sys\nsys.exit('set DATA_DIR')")
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("endings", None)


@contextmanager
def streams(out: Path, err: Path, encoding: str = "utf-8") -> Iterator[None]:
    """Have stdout and stderr, down to their descriptors, in files."""
    before = sys.stdout, sys.stderr, sys.__stdout__
    kept = os.dup(1), os.dup(2)
    for number, path in enumerate((out, err), 1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    with (
        open(1, "w", encoding=encoding, closefd=False) as one,
        open(2, "w", 1, closefd=False) as two,
    ):
        sys.stdout, sys.stderr, sys.__stdout__ = one, two, one  # type: ignore[misc]
        try:
            yield
        finally:
            sys.stdout, sys.stderr, sys.__stdout__ = before  # type: ignore[misc]
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)


@pytest.mark.parametrize("spec", ["ends_at_once:x", *(f"endings:{each}" for each in (
    "makes", "traces", "arguments"))])  # fmt: skip
@pytest.mark.usefixtures("code")
def test_code_that_exits_passes_no_gate(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", spec, "--max-flops", "1TFLOP"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "SystemExit: set DATA_DIR" in err.splitlines()[-1]


@pytest.mark.usefixtures("code")
def test_code_that_exits_is_one_row_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "endings:four", "--batches", "2:8", "--no-measure", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [point["batch"] for point in points] == [2, 4, 8]
    assert [point["flops"] is None for point in points] == [False, True, False]
    assert "no four" in points[1]["error"]


@pytest.mark.usefixtures("code")
def test_what_the_code_prints_is_no_result(tmp_path: Path) -> None:
    with streams(tmp_path / "out", tmp_path / "err"):
        assert main(["analyze", "endings:four", "--no-measure", "--json"]) == 0
        assert sys.stdout.fileno() == 1
        print("after", flush=True)
    first, second = (tmp_path / "out").read_text().splitlines()
    assert json.loads(first)["workload"] == "four"
    assert second == "after"
    assert (tmp_path / "err").read_text().split() == ["printed", "to", "the", "descriptor", "late"]


def test_stdout_is_a_file_that_results_are_written_to(tmp_path: Path) -> None:
    with streams(tmp_path / "out", tmp_path / "err"), own_stdout(for_good=False):
        with replacing(Path("/dev/stdout")) as temporary:
            temporary.write_text("a page\n")
        print("a line")
    assert (tmp_path / "out").read_text() == "a page\na line\n"


def test_for_good_nobody_reaches_stdout_any_more(tmp_path: Path) -> None:
    with streams(tmp_path / "out", tmp_path / "err"):
        with own_stdout(for_good=True):
            print("a result", flush=True)
        print("said while the process ends", flush=True)
    assert (tmp_path / "out").read_text() == "a result\n"
    assert (tmp_path / "err").read_text() == "said while the process ends\n"


def test_a_defect_is_one_line_and_a_report(
    asked: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def analyze(*arguments: Any, **values: Any) -> Any:
        raise ZeroDivisionError("a defect\x1b[2J\nof two lines")

    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", analyze)
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["analyze", "a:b"]) == BUG
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert r"this is a bug in EdgeGraph: ZeroDivisionError: a defect\x1b[2J" in err
    (report,) = (tmp_path / "cache").iterdir()
    assert str(report) in err
    text = report.read_text()
    assert "Traceback" in text
    assert "of two lines" in text

    (tmp_path / "file").touch()  # where the cache folder cannot be made
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    assert main(["analyze", "a:b"]) == BUG
    assert str(tmp_path / "cache") in capsys.readouterr().err


def test_an_interrupt_that_python_drops_comes_once_more() -> None:
    class Dropping:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def run() -> None:
        left = Dropping()
        del left
        threading.Event().wait(20)

    began = time.monotonic()
    with interrupts_kept():
        assert ended(run) == 130
    assert time.monotonic() - began < 5


def test_what_an_extension_prints_of_an_interrupt_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with interrupts_kept():
        sys.excepthook = sys.__excepthook__  # as typer sets its own
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert capsys.readouterr().err == ""
        sys.excepthook(ValueError, ValueError("seven"), None)
    assert "ValueError: seven" in capsys.readouterr().err


def test_an_import_that_never_ends_ends_with_the_process(tmp_path: Path) -> None:
    (tmp_path / "jax_plugins").mkdir()
    (tmp_path / "jax_plugins" / "xla_cuda_stays.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
    code += "from edgegraph.base.quiet import quieten_plugins\n"
    code += "from edgegraph.cli.ending import interrupts_kept\n"
    code += "quieten_plugins()\n"  # which lets nothing that plugins say reach stderr
    code += "with interrupts_kept(for_good=True): import jax_plugins.xla_cuda_stays"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert ran.returncode == 130
    assert ran.stderr == "edgegraph: interrupted; kept: what was saved until then\n"


def test_what_was_interrupted_is_not_taken_down() -> None:
    class Program:
        pass

    seen = []

    def run() -> None:
        program = Program()
        seen.append(weakref.ref(program))
        signal.raise_signal(signal.SIGINT)

    with interrupts_kept():
        assert ended(run) == 130
        assert seen[0]() is not None


def test_an_interrupt_while_options_are_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgegraph.cli.safe_csv", SimpleNamespace(set=interrupted))
    assert main(["devices"]) == 130
    assert (
        capsys.readouterr().err == "edgegraph: interrupted; kept: nothing was finished and saved\n"
    )


def test_an_interrupt_while_the_command_line_is_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import runpy;"
    code += "runpy.run_module('edgegraph', run_name='__main__')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 130
    assert ran.stderr == INTERRUPTED


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted; kept: nothing was finished and saved"),
        (MemoryError(), 2, "memory ran out"),
        (PermissionError(13, "Permission denied", "a.html"), 2, "a.html: Permission denied"),
        (FileNotFoundError(2, "No such file", "page.css"), BUG, "page.css"),
        (EOFError(), BUG, "EOFError"),
        (BrokenPipeError(32, "Broken pipe"), BUG, "Broken pipe"),
    ],
)
def test_every_other_end_has_its_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise error

    assert ended(run) == code
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    ["analyze {}", "analyze {}:x", "show {}.edgegraph", "report x -o {}.html", "history --store {}",
     "plot {}.edgegraph -o a.svg", "diff {} {}", "check x --baseline {}"],
)  # fmt: skip
def test_names_that_no_system_takes_are_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.replace("{}", "a" * 300).split()) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_where_stderr_is_closed_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("nobody hears this")


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "devices", "devices --json"])
def test_a_full_stdout_is_one_line(arguments: str, tmp_path: Path) -> None:
    with streams(FULL, tmp_path / "err"):
        assert main(arguments.split()) == 2
    assert (tmp_path / "err").read_text() == f"{REFUSED}No space left on device\n"


def test_a_closed_stdout_is_one_line(tmp_path: Path) -> None:
    with streams(tmp_path / "out", tmp_path / "err"):
        os.close(1)
        sys.stdout = None
        assert main(["devices", "--json"]) == 2
        assert sys.stdout is None
    assert (tmp_path / "err").read_text() == f"{REFUSED}Bad file descriptor\n"
    assert (tmp_path / "out").read_text() == ""


def test_a_reader_that_has_left_is_one_line(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with streams(Path(f"/dev/fd/{writer}"), tmp_path / "err"):
        os.close(writer)
        assert main(["devices", "--json"]) == 2
    assert (tmp_path / "err").read_text() == f"{REFUSED}Broken pipe\n"


def test_what_stdout_cannot_show_is_replaced(tmp_path: Path) -> None:
    with streams(tmp_path / "out", tmp_path / "err", encoding="ascii"):
        assert main(["devices"]) == 0
    assert (tmp_path / "out").read_bytes().isascii()
