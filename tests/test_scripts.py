"""The analysis scripts run from end to end and make their figures."""

import subprocess
import sys
from pathlib import Path

import pytest

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
