"""Errors, exit codes and warnings of the command line as a whole."""

import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import edgegraph
from edgegraph.cli import main
from edgegraph.errors import InputError, NoisyMeasurementError

Asked = list[dict[str, Any]]


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def analyze(*arguments: Any, **values: Any) -> Any:
        raise error

    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", analyze)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == edgegraph.__version__


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("no such\n  thing"), 2), (NoisyMeasurementError("no such thing"), 3)],
)
def test_an_error_is_one_line_and_has_its_exit_code(
    error: Exception,
    code: int,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail_with(monkeypatch, error)
    assert main(["analyze", "a:b"]) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "edgegraph: error: no such thing\n")


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "a:b", "--batch", "many"]) == 2
    assert "--batch" in capsys.readouterr().err


def test_own_warnings_are_one_plain_line(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = str(Path(edgegraph.__file__).parent / "device" / "calibrate.py")

    def analyze(*arguments: Any, **values: Any) -> Any:
        warnings.simplefilter("always")
        warnings.warn_explicit("the machine changed", UserWarning, inside, 7)
        warnings.warn_explicit("mind the model", UserWarning, "model.py", 8)
        raise InputError("stop")

    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", analyze)
    # pytest keeps warnings for itself; here they go where they go in a process of their own.
    monkeypatch.setattr(
        warnings,
        "showwarning",
        lambda *told: sys.stderr.write(warnings.formatwarning(*told[:4])),
    )
    main(["analyze", "a:b"])
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "edgegraph: warning: the machine changed"
    assert told[1] == "model.py:8: UserWarning: mind the model"


def test_the_module_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "edgegraph", "analyze", "nothing-here"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("edgegraph: error: SPEC 'nothing-here' is neither a file")


@pytest.mark.parametrize("command", ["sweep", "report", "compare-devices", "regress"])
def test_help_names_no_types_of_python(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "SPEC" in said
    assert not re.search(r"<(list|Path)|--quick +<", said)
