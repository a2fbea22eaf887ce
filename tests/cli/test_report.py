"""``edgegraph report``, ``plot`` and ``export``: pages and figures of what is analysed or saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.cli.report import complete_kind
from tests import analyses
from tests.cli.conftest import make_analysis
from tests.studies import device_comparisons, fusion_studies, overlap_studies, sweeps

Asked = list[dict[str, Any]]


pytestmark = pytest.mark.usefixtures("page")


def test_the_analyses_lie_beside_the_page(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out" / "report.html"
    assert main(["report", "a:b", "-b", "1", "-b", "32", "-o", str(page)]) == 0
    assert page.read_text() == "dense@1 dense@32"
    assert eg.load(page.parent / "dense_b1.edgegraph").batch == 1
    assert eg.load(page.parent / "dense_b32.edgegraph").batch == 32
    out = capsys.readouterr().out
    assert f"Page: {page}" in out
    assert "dense_b32.edgegraph" in out


def test_what_was_measured_is_replaced_by_force_alone(asked: Asked, tmp_path: Path) -> None:
    page = ["-o", str(tmp_path / "report.html")]
    assert main(["report", "a:b", *page]) == 0
    measured = (tmp_path / "dense_b1.edgegraph").read_bytes()
    assert main(["report", "a:b", "--no-measure", *page]) == 0
    assert (tmp_path / "dense_b1.edgegraph").read_bytes() == measured
    assert main(["report", "a:b", "--no-measure", "--force", *page]) == 0
    assert (tmp_path / "dense_b1.edgegraph").read_bytes() != measured


def test_pages_of_different_programs_leave_each_others_analyses_alone(
    asked: Asked, tmp_path: Path
) -> None:
    def report(page: str, batch: int) -> set[str]:
        arguments = ["report", "a:b", "-b", str(batch), "-o", str(tmp_path / page)]
        assert main(arguments) == 0
        return {path.name for path in tmp_path.glob("*.edgegraph")}

    first, second = {"dense_b1.edgegraph"}, {"dense_b1.edgegraph", "other_dense_b1.edgegraph"}
    assert report("one.html", 1) == first
    assert report("one.html", 1) == first  # made again, it is written again
    before = (tmp_path / "dense_b1.edgegraph").stat()
    assert report("other.html", 1) == second
    assert report("other.html", 1) == second
    assert (tmp_path / "dense_b1.edgegraph").stat() == before


def test_a_page_made_again_leaves_another_program_alone(tmp_path: Path) -> None:
    def report(page: str, name: str, program: str) -> set[str]:
        module = f"HloModule {name} ENTRY e {{ p = f32[8] parameter(0) ROOT r = f32[8] {program} }}"
        (tmp_path / "module.hlo").write_text(module)
        assert main(["report", str(tmp_path / "module.hlo"), "-o", str(tmp_path / page)]) == 0
        return {path.name for path in tmp_path.glob("*.edgegraph")}

    report("one.html", "jit_f", "negate(p)")
    before = (tmp_path / "jit_f.edgegraph").read_bytes()
    names = report("two.html", "jit_g", "negate(p)")
    assert report("two.html", "jit_f", "add(p, p)") == names | {"two_jit_f.edgegraph"}
    assert (tmp_path / "jit_f.edgegraph").read_bytes() == before


def test_a_page_that_goes_elsewhere_has_nothing_beside_it(
    asked: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "a:b", "-o", "/dev/null", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["saved"] == []
    assert not list(tmp_path.iterdir())


def test_a_saved_analysis_is_shown_and_not_saved_again(tmp_path: Path) -> None:
    saved = make_analysis(workload="kept").save(tmp_path / "any.edgegraph")
    page = tmp_path / "page.html"
    assert main(["report", str(saved), "-o", str(page)]) == 0
    assert page.read_text() == "kept@32"
    assert {path.name for path in tmp_path.iterdir()} == {"any.edgegraph", "page.html"}


def test_json(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert main(["report", "a:b", "-o", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(page)
    assert told["saved"] == [str(tmp_path / "dense_b1.edgegraph")]
    assert told["analyses"][0]["totals"]["flops"] == 51_380_224


@pytest.mark.parametrize("output", ["{file}/report.html", "{folder}", "/proc/nowhere/report.html"])
def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    output: str, asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    path = output.format(file=file, folder=tmp_path)
    assert main(["report", "a:b", "-o", path]) == 2
    assert not asked
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupt_keeps_what_is_done(
    asked: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def analyze(subject: Any, *, batch: int, **values: Any) -> eg.Analysis:
        if batch == 32:
            raise KeyboardInterrupt
        return make_analysis(batch=batch)

    monkeypatch.setattr("edgegraph.analysis.analyze.analyze", analyze)
    page = tmp_path / "report.html"
    assert main(["report", "a:b", "-b", "1", "-b", "32", "-o", str(page)]) == 130
    kept = tmp_path / "dense_b1.edgegraph"
    assert eg.load(kept).batch == 1
    assert not page.exists()
    assert f"interrupted; kept: {kept}" in capsys.readouterr().err


def test_saved_results_of_every_kind_go_into_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Any] = []
    monkeypatch.setattr("edgegraph.reporting.page.report", lambda all, _: written.extend(all))
    results: dict[str, Any] = {
        "analysis": make_analysis(),
        "sweep": sweeps.saturating(),
        "fusion": fusion_studies.study(),
        "overlap": overlap_studies.made(),
        "devices": device_comparisons.three(),
    }
    files = [str(result.save(tmp_path / f"{name}.edgegraph")) for name, result in results.items()]
    assert main(["report", *files, "-o", str(tmp_path / "page.html"), "--json"]) == 0
    assert written == list(results.values())
    told = json.loads(capsys.readouterr().out)
    assert told["saved"] == []
    assert [study["kind"] for study in told["studies"]] == [
        "sweep", "fusion study", "overlap study", "device comparison",
    ]  # fmt: skip


def test_options_hold_for_code_beside_files(asked: Asked, tmp_path: Path) -> None:
    saved = make_analysis(workload="kept").save(tmp_path / "any.edgegraph")
    page = tmp_path / "page.html"
    assert main(["report", "a:b", str(saved), "-b", "8", "-o", str(page)]) == 0
    assert page.read_text() == "dense@8 kept@32"
    assert main(["report", str(saved), str(saved), "-b", "8", "-o", str(page)]) == 2


def test_analyses_of_one_name_do_not_overwrite_each_other(asked: Asked, tmp_path: Path) -> None:
    assert main(["report", "a:b", "c:d", "-o", str(tmp_path / "page.html")]) == 0
    assert {path.name for path in tmp_path.glob("*.edgegraph")} == {
        "dense_b1.edgegraph", "dense_b1_2.edgegraph",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "study"), [("sweep", sweeps.saturating()), ("fusion", fusion_studies.study())]
)
def test_a_study_writes_a_page_of_its_own(
    command: str, study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[Path, Any] = {}
    monkeypatch.setattr(
        "edgegraph.reporting.page.report", lambda found, path: written.update({path: found})
    )
    saved = study.save(tmp_path / "study.edgegraph")
    assert main([command, str(saved), "-o", str(tmp_path / "study.html")]) == 0
    assert written == {tmp_path / "study.html": [study]}


MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def small_cnn(tmp_path: Path) -> str:
    return str(analyses.small_cnn(32).save(tmp_path / "small_cnn.edgegraph"))


def test_one_figure_in_three_formats(
    small_cnn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"graph.{kind}" for kind in MAGIC]
    options = [word for path in paths for word in ("-o", str(path))]
    assert main(["plot", "graph", small_cnn, *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(path) for path in paths]
    for path in paths:
        assert path.read_bytes().startswith(MAGIC[path.suffix[1:]])


def test_a_file_without_a_kind_has_a_figure_of_its_own(small_cnn: str, tmp_path: Path) -> None:
    figure = tmp_path / "figure.svg"
    assert main(["plot", small_cnn, "-o", str(figure)]) == 0
    assert "arithmetic intensity" in figure.read_text("utf-8")
    # 3.3 inches of 72 points.
    assert 'width="237.6pt"' in figure.read_text("utf-8")
    sweep = str(sweeps.saturating().save(tmp_path / "sweep.edgegraph"))
    assert main(["plot", sweep, "-o", str(figure), "--width", "page"]) == 0
    # 7 inches of 72 points.
    assert 'width="504pt"' in figure.read_text("utf-8")


def test_tab_offers_the_kinds_before_files() -> None:
    assert complete_kind("ro") == ["roofline"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pie", "FILE", "-o", "a.png"], "there is no figure 'pie'; choose one of: roofline"),
        (["sweep", "FILE", "-o", "a.png"], "shows another kind of result than this analysis"),
        (["graph", "FILE", "-o", "a.bmp"], "choose a name that ends in .png, .svg or .pdf"),
        (["graph", "FILE"], "-o names no file"),
        (["graph", "FILE", "-o", "a.png", "--width", "9"], "choose one of: column, page"),
        (["roofline", "-o", "a.png"], "roofline: a figure needs a saved file"),
        (["sweep", "models.cnn:small_cnn", "-o", "a.png"], "edgegraph sweep models.cnn:small_cnn"),
    ],
)
def test_bad_input_to_plot_is_one_line(
    small_cnn: str,
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *(small_cnn if word == "FILE" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_command_writes_several_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = analyses.small_cnn().save(tmp_path / "a.edgegraph")
    paths = [tmp_path / "a.md", tmp_path / "a.graphml"]
    code = main(["export", str(saved), "-o", str(paths[0]), "-o", str(paths[1]), "--json"])
    assert code == 0
    assert json.loads(capsys.readouterr().out) == [str(path) for path in paths]
    assert main(["export", str(saved), "-o", str(tmp_path / "a.doc")]) == 2
    assert "choose a name that ends in .csv" in capsys.readouterr().err
    assert main(["export", str(saved), "-o", "a.csv", "--format", "xlsx"]) == 2
    assert "choose one of: csv" in capsys.readouterr().err
