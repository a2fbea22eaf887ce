"""What gets installed: the wheel, and the exact versions of the constraints files."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from scripts.build import build, listed_files

ROOT = Path(__file__).parent.parent
CONSTRAINTS = sorted((ROOT / "constraints").glob("*.txt"))

MODEL = """
import jax.numpy as jnp
import edgegraph as eg

def layer(w, x):
    return jnp.tanh(x @ w)

def mlp():
    return eg.Workload.from_function(layer, lambda batch: (jnp.ones((8, 4)), jnp.ones((batch, 8))))
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {
        canonical(name): version for name, _, version in (line.partition("==") for line in lines)
    }


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_constraints_are_exact_and_name_no_place(path: Path) -> None:
    assert all(
        re.fullmatch(r"[\d.]+((post|dev)\d+)?", version) for version in pinned(path).values()
    )
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the sdist, built of the files that git knows."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.mark.slow
def test_what_is_built_again_is_the_same(built: Path, tmp_path: Path) -> None:
    """By a user with another umask, elsewhere and later; builds take seconds."""
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "new")
    finally:
        os.umask(before)
    assert len(again) == 2
    for path in again:
        assert path.read_bytes() == (built / path.name).read_bytes(), path.name


def test_nothing_tells_to_install_the_project_that_has_the_name_on_the_index() -> None:
    told = [
        f"{name}: {line}"
        for name in listed_files()
        if name.startswith(("README", "docs/", "edgegraph/", "scripts/", "SECURITY", "CONTRIB"))
        for line in (ROOT / name).read_bytes().decode("utf-8", "replace").splitlines()
        if re.search(r"""pip install.*[ '"]edgegraph([\[ '"`]|$)""", line)
    ]
    assert told == []


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_licence_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("edgegraph_jax-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (metadata,) = (archive.read(n).decode() for n in held if n.endswith("/METADATA"))
    package = {name for name in held if ".dist-info/" not in name}
    assert package == {name for name in listed_files() if name.startswith("edgegraph/")}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in held)
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nAuthor: EdgeGraph contributors\n" in metadata


@pytest.mark.slow
def test_the_sdist_holds_what_a_build_needs_and_no_tests(built: Path) -> None:
    (sdist,) = built.glob("edgegraph_jax-*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in held if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    beside = {"CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
    assert held - made == beside | {n for n in listed_files() if n.startswith("edgegraph/")}


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["edgegraph_jax-*.whl", "edgegraph_jax-*.tar.gz"])
def test_what_is_built_runs_on_a_model_of_the_user(
    built: Path, tmp_path: Path, pattern: str
) -> None:
    """In an environment of its own, which sees the dependencies of this one but not the source."""
    venv.create(tmp_path / "env", with_pip=False)
    python = str(tmp_path / "env" / "bin" / "python")
    (archive,) = built.glob(pattern)
    (folder,) = (tmp_path / "env").glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    # A file of paths adds the folder but not the .pth files in it, such as of editable projects.
    (folder / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run([*install, "--no-deps", "--no-build-isolation", str(archive)], check=True)
    user = tmp_path / "user"
    user.mkdir()
    (user / "my_model.py").write_text(MODEL)
    command = [str(tmp_path / "env" / "bin" / "edgegraph"), "analyze", "my_model:mlp"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    shown = subprocess.run(
        [*command, "--batch", "2", "--json", "--no-measure"],
        cwd=user, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(shown)["totals"]["macs"] == 2 * 8 * 4
    where = [python, "-c", "import edgegraph; print(edgegraph.__file__)"]
    found = subprocess.run(where, cwd=user, env=environment, capture_output=True, check=True)
    assert Path(found.stdout.decode().strip()).is_relative_to(folder)
