"""The analysis scripts make their figures, and outputs are compared as they should be."""

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from scripts.whole_output import MEANT, Meant, explained
from scripts.whole_output_pieces import changes

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("latency_vs_throughput.py", []),
        ("where_fusion_helps.py", ["--batches", "1"]),
        ("where_overlap_helps.py", ["--batches", "1"]),
    ],
)
def test_a_script_makes_its_figure(script: str, options: list[str], tmp_path: Path) -> None:
    figure = tmp_path / "new" / "figure.png"
    command = [sys.executable, str(SCRIPTS / script), "--quick", "--output", str(figure), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert f"Figure: {figure}" in result.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("a.json", '{"n": 32, "t": 1.5}', '{"t": 1.5, "n": 32.0}', []),
        ("a.json", '{"n": 32}', '{"n": 33}', ["- n=32", "+ n=33"]),
        ("a.json", '{"n": [1, 2]}', '{"n": [2, 1]}', ["~ order"]),
        ("a.csv", "op,ns,b\ndot,1,2\n", "op,ns,b,c\ndot,1,2,3\n", ["+ column c", "+ c=3"]),
        ("a.out", " conv   1 ms\n", " conv      1 ms\n", []),
        ("a.out", " conv   1 ms\n", " conv   2 ms\n", ["- 1 ms", "+ 2 ms"]),
        ("a.svg", "<path a/><!-- conv -->", "<path a/><!-- dot -->", ["- conv", "+ dot"]),
        ("a.html", "<style>p</style><p>so</p>", "<style>q</style><p>so</p>",
         ["- style p", "+ style q"]),
        ("a.png", "one", "two", ["~ drawing"]),
    ],
)  # fmt: skip
def test_outputs_are_compared_piece_by_piece(
    name: str, before: str, after: str, expected: list[str], tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}_{name}" for number in range(2)]
    for path, text in zip(paths, (before, after), strict=True):
        path.write_text(text)
    assert changes(name, *paths) == expected
    assert changes(name, paths[0], tmp_path / "gone") == ["- the file"]


def test_what_was_meant_is_listed_with_its_reason() -> None:
    listed = [Meant(**each) for each in tomllib.loads(MEANT.read_text("utf-8"))["meant"]]
    used = Counter[str]()
    assert explained("+ column working_set_bytes", listed, used)
    assert not explained("- column macs", [e for e in listed if e.concerns("a/as.csv")], used)
    assert used["every op and layer has a working set"] == 1
