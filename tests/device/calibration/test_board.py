"""The script that calibrates a board on its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgegraph.device.calibration import board
from edgegraph.device.calibration.saved import FORMAT_VERSION, read_device
from edgegraph.device.device import check_device


def test_what_it_writes_is_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board, "BUDGET_S", 0.0)
    monkeypatch.setattr(board, "BYTES", (1 << 14, 1 << 17))
    monkeypatch.setattr(board, "PRODUCTS", ((1, 64, 64), (64, 64, 64)))
    path = tmp_path / "board.json"
    assert board.main([str(path)]) == 0
    found = read_device(path)
    check_device(found, str(path))
    assert found.name in capsys.readouterr().out
    assert {each.kind for each in found.kernel_rates} == {"dot", "elementwise", "copy", "reduction"}
    assert found.capacity_bytes is not None
    assert board.FORMAT_VERSION == FORMAT_VERSION


def test_the_best_call_counts() -> None:
    assert 0.0 < board.best_s(lambda: None, 0.001) < 0.001


def test_levels_by_size() -> None:
    # A cache of 1 MB: what fits it, and what is twice as large and more.
    table = [
        {"kind": "elementwise", "rows": 1 << 14, "rate_per_s": 50e9},
        {"kind": "elementwise", "rows": 1 << 24, "rate_per_s": 5e9},
        # One row reads 16 MB of weights in 67 MFLOP: 8 GFLOP/s are 16 GB/s.
        {"kind": "dot", "rows": 1, "columns": 2048, "depth": 2048, "rate_per_s": 8e9},
    ]
    levels = board.memory(table, 1 << 20)
    assert [each["bandwidth_bytes_per_s"] for each in levels] == [50e9, 16e9]


def test_it_stands_alone(tmp_path: Path) -> None:
    source = Path(board.__file__).read_text("utf-8")
    alone = tmp_path / "calibrate_board.py"
    alone.write_text(source)
    said = subprocess.run(
        [sys.executable, "-I", str(alone)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (said.returncode, "edgegraph" in sys.modules) == (2, True)
    assert said.stderr.startswith("usage: python3 calibrate_board.py")
    assert "import edgegraph" not in source
    assert "from edgegraph" not in source
