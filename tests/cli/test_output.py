import io
import sys

import pytest

from edgegraph.cli.output import PLAIN_INTERVAL_S, progress


def test_short_work_stays_silent_and_long_work_tells_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with progress(clock=lambda: now) as report:
        report("compiling", None)
        now = PLAIN_INTERVAL_S
        report("layer conv1", 0.25)
        report("layer conv2", 0.5)
        now = 2 * PLAIN_INTERVAL_S
        report("[bold]op", None)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "layer conv1 (25%)\n[bold]op\n"


def test_at_a_terminal_the_line_is_live_and_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as report:
        report("layer [conv1]", 0.5)
    written = terminal.getvalue()
    assert "layer [conv1]" in written
    assert written.rstrip().endswith("\x1b[2K")  # the line is erased
