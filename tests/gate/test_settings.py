"""Limits in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.errors import FormatError, InputError
from edgegraph.gate.limits import GateSettings, read_settings


def test_the_nearest_file_upwards_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.edgegraph]\nmax-flops = "+1%"\nmax-kernels = 120\nbaseline = "kept/b.edgegraph"\n'
    )
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    found = read_settings(inner)
    assert found.limits == {"max_flops": "+1%", "max_kernels": "120"}
    assert found.baseline == tmp_path.resolve() / "kept" / "b.edgegraph"
    (inner / "pyproject.toml").write_text("[tool.other]\n")
    assert read_settings(inner) == GateSettings()


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[tool.edgegraph\n", FormatError, "is not TOML"),
        ('[tool.edgegraph]\nmax-colour = "1"\n', InputError, "has no key 'max-colour'; it has"),
        ("[tool.edgegraph]\nbaseline = 3\n", InputError, "has no key 'baseline'"),
        ('[tool.edgegraph]\nmax-flops = "1%"\n', InputError, "growth has a sign"),
    ],
)
def test_bad_settings_are_named(
    text: str, error: type[Exception], said: str, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(error, match=said):
        read_settings(tmp_path)
