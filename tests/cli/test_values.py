"""Values of options, and what a shell offers for a SPEC; more examples are in the docstrings."""

from pathlib import Path

import pytest

from edgegraph.cli.values import complete_spec, parse_batches, parse_options_set, parse_time


def test_networks_and_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "cnn.py").write_text(
        "import edgegraph as eg\n"
        "def small_cnn(width: int = 32) -> eg.Workload: ...\n"
        "def _hidden() -> eg.Workload: ...\n"
        "def helper() -> int: ...\n"
    )
    (tmp_path / "moved.edgegraph").touch()
    (tmp_path / "other.py").touch()
    monkeypatch.chdir(tmp_path)
    assert complete_spec("") == ["models.cnn:small_cnn", "models/", "moved.edgegraph"]
    assert complete_spec("models.") == ["models.cnn:small_cnn"]
    assert complete_spec("models/") == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("0.5 ms", 5e-4), ("250us", 2.5e-4), ("3µs", 3e-6)]
)
def test_times_have_units(text: str, seconds: float) -> None:
    assert parse_time("--max-latency", text) == pytest.approx(seconds)


def test_spans_double_up_to_their_end() -> None:
    assert parse_batches("3:20, 4") == [3, 4, 6, 12, 20]
    assert parse_batches("1:256") == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def test_a_comma_belongs_to_a_value_where_no_key_follows() -> None:
    assert parse_options_set("a: x=1,2 , y=true") == ("a", {"x": "1,2", "y": True})
