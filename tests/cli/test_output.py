"""Where results go, and what is said while they are made."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import threading
from pathlib import Path

import pytest
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from edgegraph.cli.output import (
    check_files,
    file_name,
    print_json,
    print_lines,
    print_result,
    print_rich,
    progress,
    write_result,
)
from edgegraph.errors import InputError
from tests import analyses
from tests.cli.conftest import make_analysis
from tests.studies import sweeps


def test_short_work_stays_silent_and_long_work_tells_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with progress(clock=lambda: now) as report:
        report("compiling", None)
        now = 5.0  # seconds between two lines, as PLAIN_INTERVAL_S has it
        report("layer conv1", 0.25)
        report("layer conv2", 0.5)
        now = 9.9
        report("layer conv3", 0.75)
        now = 10.0
        report("[bold]op", None)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "layer conv1 (25%)\n[bold]op\n"


def test_what_takes_long_is_told_while_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing reports meanwhile: a child reads a large file, say."""
    monkeypatch.setattr("edgegraph.cli.output.PLAIN_FIRST_S", 0.01)
    told = threading.Event()
    monkeypatch.setattr(sys.stderr, "flush", told.set)
    now = 0.0
    with progress(clock=lambda: now) as report:
        report("opening a.txt", None)
        now = 0.5
        assert told.wait(60)
    assert capsys.readouterr().err == "opening a.txt, 0 s\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stdout", [Terminal, io.StringIO])
def test_at_a_terminal_the_tables_known_by_now_show_until_the_end(
    stdout: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where stdout is a file: it gets the whole result, once."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", stdout())
    monkeypatch.setenv("TERM", "xterm")
    with progress() as report:
        report.preview(make_analysis())
        report("layer [conv1]", 0.5)
    written = terminal.getvalue()
    assert ("FLOP/B" in written) == (stdout is Terminal)
    assert "layer [conv1]" in written
    assert written.rstrip().endswith("\x1b[2K")


def test_at_a_terminal_the_line_is_live_and_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as report:
        report("layer [conv1]", 0.5)
    written = terminal.getvalue()
    assert "layer [conv1]" in written
    assert written.rstrip().endswith("\x1b[2K")  # the line is erased


def test_a_file_is_as_wide_as_a_wide_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_rich(Rule())
    assert capsys.readouterr().out == 160 * "─" + "\n"
    monkeypatch.setenv("COLUMNS", "90")
    print_rich(Rule())
    assert capsys.readouterr().out == 90 * "─" + "\n"


def test_no_name_does_anything_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever holds it: a table of the package, another's, plain text, or a line."""
    print_result(analyses.hostile(), json=False)
    table = Table(title=analyses.HOSTILE)
    table.add_column(analyses.HOSTILE)
    table.add_row(analyses.HOSTILE)
    print_rich(table, Text(analyses.HOSTILE), analyses.HOSTILE)
    print_lines(analyses.HOSTILE)
    now = 0.0
    with progress(clock=lambda: now) as report:
        now = 2.0
        report(analyses.HOSTILE, None)
    out, err = capsys.readouterr()
    assert not analyses.unseen(out + err)
    assert out.count(analyses.SHOWN) >= 6
    assert err == f"{analyses.SHOWN}\n"


def test_json_is_one_line_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"time_s": math.nan, "name": "a\nb"})
    assert capsys.readouterr().out == '{"time_s":null,"name":"a\\nb"}\n'
    print_json({"time_s": math.nan, "saved": [os.fsdecode(b"a\xff\n")]})
    assert json.loads(capsys.readouterr().out) == {"time_s": None, "saved": ["a\\udcff\n"]}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.doc", "choose a name that ends in .csv, .html"),
        ("folder.csv", "is a folder; name a file in it"),
        ("file/a.csv", "cannot be written"),
    ],
)
def test_files_that_cannot_be_written_are_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=said):
        check_files([tmp_path / name], (".csv", ".html"))


def test_the_ending_says_how_a_result_is_written(tmp_path: Path) -> None:
    starts = {
        "a.csv": b"batch,", "a.edgegraph": b"PK", "a.png": b"\x89PNG",
        "a.html": b"<!DOCTYPE html>", "a.parquet": b"PAR1",
    }  # fmt: skip
    for name, start in starts.items():
        if name.endswith(".parquet"):
            pytest.importorskip("pyarrow")
        path = write_result(sweeps.saturating(), tmp_path / name)
        assert path.read_bytes().lower().startswith(start.lower()), name


def test_an_analysis_is_named_by_its_workload_and_batch() -> None:
    assert file_name(make_analysis("models/cnn: a", batch=8)) == "models_cnn_a_b8.edgegraph"
    assert file_name(make_analysis("dense", batch=None)) == "dense.edgegraph"
