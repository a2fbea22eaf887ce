"""``edgegraph_check`` in a suite of somebody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgegraph.pytest_plugin import EdgegraphCheck
from tests.compare.networks import analysis

ROOT = Path(__file__).parent.parent

SUITE = """
import jax, jax.numpy as jnp


def test_costs(edgegraph_check):
    x = jax.ShapeDtypeStruct((8, 8), "float32")
    edgegraph_check(lambda x: jnp.tanh(PRODUCT), args=(x,), baseline="kept/f.edgegraph",
                    max_macs="+1%")


def test_without_baseline(edgegraph_check):
    x = jax.ShapeDtypeStruct((8, 8), "float32")
    result = edgegraph_check(lambda x: x @ x, args=(x,), max_macs="1kMAC")
    assert result.passed
"""


def run(folder: Path, product: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_costs.py").write_text(SUITE.replace("PRODUCT", product))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    if not _installed():
        command += ["-p", "edgegraph.pytest_plugin"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.value == "edgegraph.pytest_plugin" for point in entry_points(group="pytest11"))


@pytest.mark.slow
def test_it_fails_what_grew_and_passes_what_did_not(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    assert run(tmp_path, "x @ x", "--edgegraph-update").returncode == 0
    assert (tmp_path / "kept" / "f.edgegraph").is_file()
    same = run(tmp_path, "x @ x")
    assert same.returncode == 0, same.stdout
    grown = run(tmp_path, "x @ x @ x")
    assert grown.returncode == 1
    # 8 x 8 x 8 products, and twice as many.
    assert "failed: MACs 512 MAC → 1.02 kMAC (+100 %), limit +1%" in grown.stdout
    assert "1 failed, 1 passed" in grown.stdout


def test_a_lacking_baseline_is_named(tmp_path: Path) -> None:
    check = EdgegraphCheck(tmp_path, update=False)
    with pytest.raises(pytest.fail.Exception, match="write it with pytest --edgegraph-update"):
        check(analysis(), baseline="none.edgegraph", max_macs="+1%")


def test_limits_come_from_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.edgegraph]\nmax-macs = "1kMAC"\n')
    check = EdgegraphCheck(tmp_path, update=False)
    with pytest.raises(pytest.fail.Exception, match="MACs, largest: Net/conv2 295 kMAC"):
        check(analysis())


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, edgegraph.pytest_plugin\n"
        "found = {'jax', 'numpy', 'pandas', 'networkx', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(found)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
