"""The registry: a study is one folder and one line, and everything finds it there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.errors import InputError
from edgegraph.results import kinds
from edgegraph.results.kinds import KINDS, Kind, figure_places, kind_of, presenter_of, resolve
from tests import analyses
from tests.results.toy_study import Toy
from tests.studies import sweeps

HERE = "tests.results.toy_study"


@pytest.fixture
def toy() -> Iterator[Toy]:
    kinds.register(
        Kind(
            word="game of dice",
            home=f"{HERE}:Toy",
            presenter=f"{HERE}:PRESENTER",
            figures={"dice": f"{HERE}:draw"},
            command="throw",
        )
    )
    yield Toy(workload="dice", environment=analyses.small_cnn(1).environment, eyes=(3, 5))
    del KINDS["game of dice"]


@pytest.mark.parametrize("word", KINDS)
def test_what_is_registered_is_there(word: str) -> None:
    kind = KINDS[word]
    assert isinstance(resolve(kind.home), type)
    for place in (kind.presenter, kind.exports, *kind.figures.values()):
        assert place is None or resolve(place) is not None


def test_figures_have_names_of_their_own() -> None:
    names = Counter(name for kind in KINDS.values() for name in kind.figures)
    # The analysis' function for it takes an improvement, too.
    assert {name for name, count in names.items() if count > 1} == {"roofline"}
    assert figure_places()["roofline"] == KINDS["analysis"].figures["roofline"]
    assert set(figure_places()) <= set(dir(eg.plot))


def test_a_new_study_is_saved_drawn_and_kept(toy: Toy, tmp_path: Path) -> None:
    assert eg.load(toy.save(tmp_path / "toy.edgegraph")) == toy
    assert list(toy.plot().get_lines()[0].get_ydata()) == [3, 5]
    assert eg.plot.dice(toy).get_lines()
    with eg.open_store(tmp_path / "runs.db") as store:
        (number,) = store.put(toy)
        (run,) = store.find(kind="game of dice")
        assert run.metrics == {"eyes": 8}
    assert eg.load(f"{tmp_path / 'runs.db'}#{number}") == toy


def test_a_new_study_has_a_page_tables_and_json(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = toy.to_html(tmp_path / "toy.html").read_text("utf-8")
    assert "The dice show <b>8</b>." in page
    assert "Eyes by throw" in page
    saved = str(toy.save(tmp_path / "toy.edgegraph"))
    assert main(["show", saved]) == 0
    assert "8 eyes in all" in capsys.readouterr().out
    assert main(["show", saved, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["workload"], told["eyes"]) == ("game of dice", "dice", [3, 5])
    assert main(["plot", saved, "-o", str(tmp_path / "toy.svg")]) == 0
    assert repr(toy) == "<Toy dice, dice>"
    assert "8 eyes in all" in toy._repr_html_()


def test_several_results_stand_on_one_page(toy: Toy, tmp_path: Path) -> None:
    analysis, sweep = analyses.small_cnn(32), sweeps.saturating()
    diff = eg.diff(analysis, analyses.small_cnn(1))
    path = eg.report([analysis, sweep, diff, toy], tmp_path / "all.html")
    page = path.read_text("utf-8")
    for name in ("small_cnn, batch 32, cpu", "small_cnn, sweep", "what changed: small_cnn", "dice"):
        assert f'<span class="tab-name">{name}' in page
    ids = [part.partition('"')[0] for part in page.split(' id="')[1:]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("make", [analyses.small_cnn, sweeps.saturating])
def test_a_result_writes_its_own_page(make: Any, tmp_path: Path) -> None:
    result = make()
    alone = eg.report([result], tmp_path / "a.html").read_bytes()
    assert result.to_html(tmp_path / "b.html").read_bytes() == alone


def test_a_diff_shows_what_it_compared_where_that_is_given(tmp_path: Path) -> None:
    before, after = analyses.small_cnn(32), analyses.small_cnn(1)
    diff = eg.diff(before, after)
    alone = diff.to_html(tmp_path / "a.html").read_text("utf-8")
    both = diff.to_html(tmp_path / "b.html", before, after).read_text("utf-8")
    for page in (alone, both):
        assert "Layers side by side" in page
    assert 'id="analysis-1"' in both
    assert 'id="analysis-' not in alone


def test_what_is_not_shown_says_what_is() -> None:
    timings = analyses.small_cnn(1).environment
    with pytest.raises(InputError, match="expected one of: analysis, "):
        kind_of(timings)
    assert presenter_of(sweeps.saturating()) is resolve(KINDS["sweep"].presenter or "")
