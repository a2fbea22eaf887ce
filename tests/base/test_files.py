"""Files are whole or as they were; what is timed has the machine alone, compilers share it."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from edgegraph.base.files import (
    cache_folder,
    check_writable,
    exclusive_lock,
    is_stream,
    keep,
    replacing,
    shared_lock,
)
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


def test_where_the_folder_cannot_be_written_turns_are_taken_in_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setattr("platformdirs.user_runtime_path", lambda name: folder / "file")
    monkeypatch.setattr("tempfile.tempdir", str(folder / "other"))
    with exclusive_lock(silent):
        assert list((folder / "other").glob("edgegraph-*/machine.lock"))
    monkeypatch.setattr("tempfile.tempdir", str(folder / "file"))
    with pytest.raises(InputError, match="set XDG_RUNTIME_DIR"), exclusive_lock(silent):
        pass


def test_a_cache_that_cannot_be_written_is_a_warning(folder: Path) -> None:
    for append in (True, False):
        file = folder / "made" / f"{append}"
        keep(file, b"x", "it is", append=append)
        assert file.read_bytes() == b"x"
        with pytest.warns(UserWarning, match=r"it is not kept in .* \(.*EDGEGRAPH_CACHE_DIR"):
            keep(file / "a", b"x", "it is", append=append)
        keep(file / "b", b"x", "it is", append=append)  # it is said once


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
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "x"
    with pytest.raises(InputError, match="none/x: No such file"), replacing(path):
        pass


def written(path: Path, text: str) -> str:
    with replacing(path) as temporary:
        temporary.write_text(text)
    return path.read_text()


def test_folders_are_made_where_they_are_missing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "c.csv")
    assert (tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())


def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its(tmp_path: Path) -> None:
    path = tmp_path / "a"
    before = os.umask(0o027)
    try:
        assert written(path, "new") == "new"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        assert written(path, "old") == "old"
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link, loose = tmp_path / "folder" / "target", tmp_path / "link", tmp_path / "loose"
    target.write_text("old")
    link.symlink_to(Path("folder") / "target")
    assert written(link, "new") == "new"
    assert link.is_symlink()
    assert target.read_text() == "new"
    loose.symlink_to(Path("folder") / "other")
    check_writable(loose)
    assert written(loose, "made") == (tmp_path / "folder" / "other").read_text()
    assert loose.is_symlink()


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    check_writable(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    with replacing(pipe) as temporary:
        temporary.write_text("through it")
    reader.join()
    assert got == ["through it"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_device_is_written_to(tmp_path: Path) -> None:
    for name in ("/dev/null", "/dev/full"):
        assert is_stream(Path(name))
        check_writable(Path(name))
    assert written(Path("/dev/null"), "gone") == ""
    with pytest.raises(InputError, match="/dev/full: No space left"):
        written(Path("/dev/full"), "x")
    assert Path("/dev/null").is_char_device()
    assert Path("/dev/full").is_char_device()


def test_what_a_shell_has_opened_is_written_to(tmp_path: Path) -> None:
    """As of ``-o >(gzip)``, or of a file that is open already: it is not replaced."""
    with (tmp_path / "open").open("wb") as file:
        written(Path(f"/dev/fd/{file.fileno()}"), "x")
        assert os.fstat(file.fileno()).st_size == 1
