"""Names of modules and files, and of what is in them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgegraph.errors import InputError
from edgegraph.workload.names import find_object


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    (tmp_path / "my-net.py").write_text("class held:\n    inner = 7\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "beside_of_tests.py").write_text("value = 3\n")
    (tmp_path / "sub" / "random.py").write_text("from beside_of_tests import value\n")
    (tmp_path / "sub" / "broken.py").write_text("import no_such_module_at_all\n")
    return tmp_path


def test_modules_need_not_be_identifiers() -> None:
    assert find_object("my-net:held.inner") == 7


def test_files_find_their_neighbours_and_hide_no_module(folder: Path) -> None:
    import random

    assert find_object("./sub/random.py:value") == find_object(f"{folder}/sub/random.py:value") == 3
    assert find_object("my-net.py:held") is find_object("./my-net.py:held")
    assert sys.modules["random"] is random


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("./my-nets.py:held", "there is no file my-nets.py; did you mean my-net.py?"),
        ("./my-net.py:help", "./my-net.py has no attribute 'help'; did you mean held?"),
        ("sub/broken.py:x", "importing sub/broken.py failed: ModuleNotFoundError: No module named"),
        ("./my-net.py:", "is not package.module:attribute, such as models.cnn:small_cnn, nor ./"),
    ],
)
def test_wrong_ones(spec: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_object(spec)
    assert message in str(caught.value)
