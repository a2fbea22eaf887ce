"""What commands go through is told as it is: what holds, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import torture
from tests.studies.sweeps import saturating

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@pytest.fixture
def folder(tmp_path: Path) -> torture.Folder:
    return torture.Folder(tmp_path)


def test_a_half_file_is_seen(folder: torture.Folder) -> None:
    content = saturating().save(folder.path / "out.edgegraph").read_bytes()
    folder.check()
    (folder.path / "out.edgegraph").write_bytes(content[:-20])
    with pytest.raises(torture.BrokenError, match="a half file"):
        folder.check()


def test_a_lost_run_is_seen(folder: torture.Folder) -> None:
    from edgegraph.store import open_store

    with open_store(folder.path / "runs.db") as store:
        store.put(saturating())
    folder.check()
    assert folder.runs == len(saturating().points)
    folder.runs += 1
    with pytest.raises(torture.BrokenError, match="1 finished runs were lost"):
        folder.check()


def test_a_process_left_behind_is_seen_and_ended(
    folder: torture.Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torture, "ORPHANS_S", 0)
    environment = os.environ | {torture.MARK: folder.mark}
    code = "print('there', flush=True); input()"
    left = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=-1, stdout=-1)
    with left:
        assert left.stdout is not None
        assert left.stdout.readline() == b"there\n"
        with pytest.raises(torture.BrokenError, match="1 processes were left behind"):
            folder.check()
    assert left.returncode == -9


def test_a_traceback_is_a_bug(folder: torture.Folder) -> None:
    with pytest.raises(torture.BrokenError, match="exit code 2: "):
        folder.run("show no.edgegraph")
    child = folder.start("show no.edgegraph", prefix=["sh", "-c", "echo Traceback >&2"])
    with pytest.raises(torture.BrokenError, match="a bug: Traceback"):
        folder.finish(child)


@pytest.mark.slow
def test_sweeps_hold_what_happens_to_programs() -> None:
    """A minute: kills, interrupts, two at once, a full disk, a hang, each with fresh processes."""
    command = [sys.executable, "-m", "scripts.torture", "--short"]
    result = subprocess.run(command, cwd=torture.ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    assert result.stderr.count(": yes, ") == 8
