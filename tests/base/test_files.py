"""Files are whole or as they were; what is timed has the machine alone, compilers share it."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from edgegraph.base.files import cache_folder, exclusive_lock, replacing, shared_lock
from edgegraph.errors import InputError
from tests.studies.tasks import noted, silent

FRESH = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the locks of this test apart from all others on this machine."""
    monkeypatch.setattr("platformdirs.user_runtime_path", lambda name: tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_timed_points_of_two_workers_exclude_each_other(folder: Path) -> None:
    """Each notes when it has the machine and when it leaves it; no two are ever within."""
    notes = folder / "notes.jsonl"
    with ProcessPoolExecutor(2, mp_context=FRESH) as pool:
        list(pool.map(noted, range(20), [str(notes)] * 20))
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    assert {who for who, _ in lines} == set(range(20))
    # In the order of the file, who enters leaves before anybody else enters.
    assert [what for _, what in lines] == ["enter", "leave"] * 20
    assert [who for who, _ in lines[::2]] == [who for who, _ in lines[1::2]]


def test_compiling_is_shared_and_waits_only_for_who_is_timed() -> None:
    waited: list[str] = []

    def report(message: str, fraction: float | None) -> None:
        waited.append(message)

    with shared_lock(report), shared_lock(report):
        assert waited == []  # else this would stand still for ever
    with exclusive_lock(report):
        assert waited == []


def test_a_process_that_dies_gives_its_turn_back(folder: Path) -> None:
    process = FRESH.Process(target=noted, args=(1, str(folder / "notes"), True))
    process.start()
    process.join()
    assert process.exitcode == -9
    with exclusive_lock(silent):
        assert (folder / "notes").read_text() == '[1, "enter"]\n'


def test_a_folder_that_cannot_be_written_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setattr("platformdirs.user_runtime_path", lambda name: folder / "file")
    with pytest.raises(InputError, match="set XDG_RUNTIME_DIR"), exclusive_lock(silent):
        pass


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", "kept")
    assert cache_folder() == Path("kept")
    monkeypatch.delenv("EDGEGRAPH_CACHE_DIR")
    assert cache_folder().name == "edgegraph"


def interrupted(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half of the sec")
        raise KeyboardInterrupt


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    assert path.read_text() == "first"
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "x"
    with pytest.raises(InputError, match="none/x: No such file"), replacing(path):
        pass
