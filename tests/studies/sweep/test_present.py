"""The table of a sweep."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from edgegraph.studies.sweep.present import sweep_table
from edgegraph.studies.sweep.result import Sweep
from tests.studies.sweeps import saturating


def printed(of: Sweep, width: int) -> str:
    console = Console(width=width, file=StringIO())
    with console.capture() as capture:
        console.print(sweep_table(of))
    return capture.get()


@pytest.mark.parametrize("width", [80, 119, 120, 160])
def test_the_table_fits_and_says_everything(width: int) -> None:
    text = printed(saturating(), width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text
    for said in ("160 to 220 µs", "batch 128: out of memory", "batch 64: NOISY, since made up"):
        assert said in text
    assert ("in flight" in text) == (width >= 120)
