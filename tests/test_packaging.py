"""What gets installed: the wheel, and the exact versions of the constraints files."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONSTRAINTS = sorted((ROOT / "constraints").glob("*.txt"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {
        canonical(name): version for name, _, version in (line.partition("==") for line in lines)
    }


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_constraints_are_exact_and_name_no_place(path: Path) -> None:
    assert all(re.fullmatch(r"[\d.]+(post\d+)?", version) for version in pinned(path).values())
    assert "://" not in path.read_text()


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_every_direct_dependency_is_pinned(path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["test"]
    if "python3.11" in path.stem:
        wanted = wanted + extras["lint"]
    names = {canonical(re.split(r"[<>=\[ ]", dependency)[0]) for dependency in wanted}
    assert not names - set(pinned(path))


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("edgegraph-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in listed if name.startswith("edgegraph/")}
