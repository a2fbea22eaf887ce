"""Libraries are loaded without their greetings, and what fails in them is still raised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GREETING = """
import os
os.write(2, b'no driver here')
value = 3
def initialize(): os.write(2, b'none at all')
"""

CHILD = """
import os, sys
from edgegraph.base.quiet import quieten_plugins
quieten_plugins()
quieten_plugins()
from jax_cuda12_plugin import _greets
assert _greets.value == 3
_greets.initialize()
os.write(2, b"after")
try:
    from jax_cuda12_plugin import _fails
except RuntimeError as error:
    os.write(2, str(error).encode())
"""


def run(script: str, *paths: Path) -> str:
    found = os.pathsep.join([*map(str, paths), *sys.path])
    child = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": found},
    )  # fmt: skip
    return child.stderr


def test_a_plugin_is_loaded_quietly_and_its_errors_are_raised(tmp_path: Path) -> None:
    package = tmp_path / "jax_cuda12_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_greets.py").write_text(GREETING)
    (package / "_fails.py").write_text(f"{GREETING}raise RuntimeError('broken')")
    assert run(CHILD, tmp_path) == "afterbroken"


def test_the_command_line_says_nothing_of_drivers() -> None:
    pytest.importorskip("jax_cuda12_plugin")
    said = run("from edgegraph.cli import main; main(['devices']); import jax; jax.devices()")
    assert "cudart" not in said
