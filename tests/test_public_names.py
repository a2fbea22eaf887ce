"""The public face: light to import, and every name is there."""

import json
import subprocess
import sys

import pytest

import edgegraph

HEAVY = ("jax", "jaxlib", "flax", "pandas", "matplotlib", "networkx", "numpy", "scipy")


def loaded_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and return the top-level modules it loaded."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


def test_every_public_name_resolves() -> None:
    for name in edgegraph.__all__:
        assert getattr(edgegraph, name) is not None
    assert sorted(edgegraph.__all__) == sorted(set(edgegraph.__all__))
    assert set(edgegraph.__all__) <= set(dir(edgegraph))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = edgegraph.analyse


@pytest.mark.parametrize(
    ("old", "new"), [("Mesh", "DeviceMesh"), ("Settings", "MeasurementSettings")]
)
def test_an_old_name_still_works_and_warns_of_its_end(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"edgegraph.{old} is called edgegraph.{new} now"):
        assert getattr(edgegraph, old) is getattr(edgegraph, new)
    assert old not in edgegraph.__all__


def test_importing_edgegraph_imports_nothing_heavy() -> None:
    assert not loaded_after("import edgegraph").intersection(HEAVY)


def test_the_command_line_imports_nothing_heavy_before_a_command_runs() -> None:
    assert not loaded_after("import edgegraph.cli").intersection(HEAVY)


def test_showing_tables_imports_no_matplotlib() -> None:
    modules = "edgegraph.reporting.analysis_page, edgegraph.studies.sweep.present"
    assert "matplotlib" not in loaded_after(f"import {modules}, edgegraph.plot")


def test_help_imports_nothing_heavy() -> None:
    shown = loaded_after("from edgegraph.cli import main\nassert main(['--help']) == 0")
    assert not shown.intersection(HEAVY)
