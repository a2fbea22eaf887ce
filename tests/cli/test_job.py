"""Options that commands share, and ``--store``: what is found out is kept and can be named."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.cli.inputs import parse_shape
from edgegraph.cli.job import (
    Job,
    flag,
    grouped_options,
    parse_assignments,
    parse_compiler_option,
    parse_depths,
    parse_options_set,
    parse_sizes,
    parse_time,
)
from edgegraph.errors import InputError
from tests.cli.test_sweep import Bench, bench  # noqa: F401  # a fixture


@dataclass(frozen=True, kw_only=True)
class Size:
    """A group of options."""

    width: Annotated[int, typer.Option("--width", "-w")]
    unit: str = "cm"


def test_a_group_becomes_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    made: list[object] = []

    @grouped_options(without=("batch", "target"))
    def draw(job: Job, size: Size, twice: bool = False) -> None:
        made.append((job, size, twice))

    options = inspect.signature(draw).parameters
    assert list(options)[-3:] == ["width", "unit", "twice"]
    assert not {"batch", "target", "size"} & set(options)
    app = typer.Typer()
    app.command()(draw)
    app(["a:b", "-w", "3", "--set", "k=v"], standalone_mode=False)
    assert made == [(Job(spec="a:b", arguments=["k=v"]), Size(width=3), False)]


def test_batches_are_there_once_and_positive() -> None:
    assert Job(spec="a:b").batches == (1,)
    assert Job(spec="a:b", batch=[8, 1, 8]).batches == (8, 1)
    with pytest.raises(InputError, match="--batch must be a positive integer, not -1"):
        _ = Job(spec="a:b", batch=[-1]).batches
    with pytest.raises(InputError, match="a file holds one analysis; give one --batch"):
        Job(spec="a:b", batch=[1, 2]).check_one_batch("a file holds one analysis")


def test_a_file_is_told_from_python_code(tmp_path: Path) -> None:
    assert Job(spec="models.cnn:small_cnn").file is None
    assert Job(spec="dump.txt").file == Path("dump.txt")
    odd = tmp_path / "a:b"
    odd.touch()
    assert Job(spec=str(odd)).file == odd


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def test_an_analysis_is_kept_and_shown_again(
    path: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "a:b", "-b", "1", "-b", "8", "--store", str(path)]) == 0
    err = capsys.readouterr().err
    assert err == "".join(f"edgegraph: kept as {path}#{number}\n" for number in (1, 2))
    with eg.open_store(path) as store:
        assert [run.batch for run in store.find(kind="analysis")] == [1, 8]
    assert main(["show", f"{path}#2"]) == 0
    assert "batch 8" in capsys.readouterr().out
    assert main(["diff", f"{path}#1", f"{path}#2"]) == 0
    assert main(["show", f"{path}#3"]) == 2
    assert "has no run 3" in capsys.readouterr().err


def test_a_page_is_written_and_its_analyses_kept(
    path: Path, asked: list[dict[str, Any]], page: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGRAPH_STORE", str(path))
    page_path = str(path.parent / "a.html")
    assert main(["report", "a:b", "-o", page_path]) == 0
    assert main(["report", f"{path}#1", "-o", page_path]) == 0  # and not once more
    with eg.open_store(path) as store:
        assert [run.workload for run in store.find()] == ["dense"]


def test_a_database_that_cannot_be_is_told_before_the_work(
    tmp_path: Path, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "a:b", "--store", str(tmp_path / "no" / "runs.db")]) == 2
    assert "cannot be opened" in capsys.readouterr().err
    assert not asked


def test_an_interrupted_sweep_goes_on_from_the_database(
    path: Path,
    bench: Bench,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["sweep", "a:b", "--batches", "1:16", "--store", str(path)]
    bench.interrupted_at = 4
    assert main(command) == 130
    assert "kept: 2 of 5 points; the same command continues" in capsys.readouterr().err
    bench.interrupted_at = None
    bench.options.clear()
    assert main(command) == 0
    assert "continuing an interrupted sweep: 2 of 5 points" in capsys.readouterr().err
    assert len(bench.options) == 3
    with eg.open_store(path) as store:
        assert [run.batch for run in store.find()] == [1, 2, 4, 8, 16]
    assert main(command) == 0  # it was finished: all of it once more
    assert main(["history", "dense", "--store", str(path)]) == 0
    assert capsys.readouterr().out.count("no difference") == 5


def test_a_field_is_named_as_its_option() -> None:
    assert [flag(name) for name in ("input_shape", "measure", "target")] == [
        "--input", "--measure", "--target",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("0.5 ms", 5e-4), ("250us", 2.5e-4), ("3µs", 3e-6)]
)
def test_times_have_units(text: str, seconds: float) -> None:
    assert parse_time("--max-latency", text) == pytest.approx(seconds)


def test_spans_double_up_to_their_end() -> None:
    assert parse_sizes("--batches", "3:20, 4") == [3, 4, 6, 12, 20]
    assert parse_sizes("--batches", "1:256") == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def test_a_comma_belongs_to_a_value_where_no_key_follows() -> None:
    assert parse_options_set("a: x=1,2 , y=true") == ("a", {"x": "1,2", "y": True})


def test_values_are_read() -> None:
    texts = ("True", "3", "1e-3", "O2")
    assert [parse_compiler_option(text) for text in texts] == [True, 3, 0.001, "O2"]
    pairs = parse_assignments("--set", ["flavor=linen", "width=64"])
    assert pairs == {"flavor": "linen", "width": "64"}
    options = parse_options_set("plain:passes=fusion,cse,use_x=false")
    assert options == ("plain", {"passes": "fusion,cse", "use_x": False})
    assert parse_sizes("--batches", "1,3:20") == [1, 3, 6, 12, 20]
    assert parse_time("--max-latency", "250 us") == 0.00025
    assert (parse_shape("28x28x1"), parse_shape("784")) == ((28, 28, 1), (784,))
    assert (parse_depths([]), parse_depths(["1", "leaves"])) == ((None,), (1, None))
    assert parse_depths(["all"]) == "all"
