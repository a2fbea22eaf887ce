"""Environments are made whole or not at all, kept, and removed; pip's failures are one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.studies.regress import environments
from edgegraph.studies.regress.environments import (
    environments_folder,
    find_interpreter,
    kept_environments,
    make_environment,
    own_requirements,
    pip_said,
    remove_environments,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def wheel(folder: Path) -> Path:
    """Write the smallest wheel: one module that says what it is."""
    path = folder / "toy-1.0-py3-none-any.whl"
    about = "toy-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy.py", "WORD = 'toy'\n")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return path


def left() -> list[str]:
    """Return what stands in the folder of environments besides locks."""
    return [each.name for each in environments_folder().glob("*") if each.suffix != ".lock"]


def test_an_environment_is_made_once_used_again_listed_and_removed(tmp_path: Path) -> None:
    asked = [str(wheel(tmp_path))]
    python = make_environment(asked)
    done = subprocess.run(
        [str(python), "-c", "import toy; print(toy.WORD)"], capture_output=True, text=True
    )
    assert done.stdout == "toy\n"
    made_at = python.lstat().st_mtime_ns
    said: list[str] = []
    assert make_environment(asked, progress=lambda message, _: said.append(message)) == python
    assert python.lstat().st_mtime_ns == made_at
    assert not said

    (kept,) = kept_environments()
    assert kept.requirements == tuple(asked)
    assert kept.interpreter == python
    assert kept.size_bytes > 1_000_000  # pip alone is larger
    with pytest.raises(InputError, match="there is no environment 'other'; there is"):
        remove_environments("other")
    assert remove_environments("all") == [kept.name]
    assert not left()


def test_what_a_killed_install_leaves_is_no_environment_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [str(wheel(tmp_path))]

    def killed(command: list[str], failed: str) -> None:
        """Leave a folder as a process does that is killed while pip runs."""
        if "venv" in command:
            Path(command[-1]).mkdir()
            return
        (Path(command[0]).parents[1] / "half").write_text("")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(environments, "_run", killed)
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            make_environment(asked)
    assert len(left()) == 1
    assert left()[0].endswith(".part")
    assert not kept_environments()
    python = make_environment(asked)
    assert left() == [python.parents[1].name]


def test_what_does_not_install_is_one_line_and_leaves_nothing() -> None:
    with pytest.raises(EdgeGraphError) as failed:
        make_environment(["no-such-package-of-anyone==1.0"])
    assert "\n" not in str(failed.value)
    assert "no-such-package-of-anyone==1.0 was not installed for Python" in str(failed.value)
    assert "No matching distribution found" in str(failed.value)
    assert not left()


def test_without_a_network_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    for name in ("PIP_CONFIG_FILE", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "/dev/null" if name == "PIP_CONFIG_FILE" else "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(EdgeGraphError, match="the package index cannot be reached") as failed:
        make_environment(["no-such-package-of-anyone==1.0"])
    assert "\n" not in str(failed.value)
    assert not left()


def test_a_damaged_environment_is_none(tmp_path: Path) -> None:
    folder = environments_folder() / "jax-1"
    folder.mkdir(parents=True)
    assert not kept_environments()
    (folder / "environment.json").write_text(json.dumps({"requirements": ["jax==1"]}))
    assert not kept_environments()


def test_interpreters_are_found_by_version_and_path() -> None:
    assert find_interpreter(None) == Path(sys.executable)
    assert find_interpreter(sys.executable) == Path(sys.executable)
    with pytest.raises(InputError, match=r"--python 2.99: python2.99 is not on the PATH"):
        find_interpreter("2.99")


def test_edgegraph_needs_flax_and_brings_no_jax_of_its_own() -> None:
    names = own_requirements()
    assert any(each.startswith("flax") for each in names)
    assert not any(each.startswith(("jax>", "jax=", "jaxlib")) for each in names)


def test_pip_s_reason_is_its_last_error() -> None:
    said = (
        "WARNING: old pip\nERROR: Could not find a version that satisfies jax==99\n"
        "ERROR: No matching distribution found for jax==99\n"
    )
    assert pip_said(said) == "No matching distribution found for jax==99"
    assert pip_said("") == "pip gave no reason"
