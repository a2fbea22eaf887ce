"""Limits as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.errors import FormatError, InputError
from edgegraph.gate.limits import GateSettings, parse_limit, read_settings


@pytest.mark.parametrize(
    ("metric", "text", "before", "allowed"),
    [
        ("flops", "+1%", 1000, 1010),
        ("flops", "-5%", 1000, 950),
        ("flops", "+0", 1000, 1000),
        ("flops", "10GFLOP", 1, 10e9),
        ("flops", "10 GFLOPs", 1, 10e9),
        ("macs", "4.5MMAC", None, 4.5e6),
        ("macs", "2G", None, 2e9),
        ("bytes", "+2%", 50, 51),
        ("bytes", "100kB", None, 100e3),
        ("peak_memory", "64MiB", None, 64 * 2**20),
        ("peak_memory", "+1KiB", 1000, 2024),
        ("peak_memory", "4096", None, 4096),
        ("kernels", "120", None, 120),
        ("kernels", "+2", 7, 9),
        ("params", "5M", None, 5e6),
        ("latency", "3ms", None, 0.003),
        ("latency", "250us", None, 250e-6),
        ("latency", "+5%", 2.0, 2.1),
    ],
)
def test_limits_are_read(metric: str, text: str, before: float | None, allowed: float) -> None:
    limit = parse_limit(metric, text)
    assert limit.allowed(before) == pytest.approx(allowed, rel=1e-12)
    assert limit.needs_baseline == text.startswith(("+", "-"))


def test_growth_is_unknown_without_a_baseline() -> None:
    assert parse_limit("flops", "+1%").allowed(None) is None


@pytest.mark.parametrize(
    ("metric", "text", "said"),
    [
        ("flops", "1%", r"growth has a sign; write \+1%"),
        ("flops", "many", "is not a limit; expected, for example"),
        ("flops", "", "is not a limit"),
        ("flops", "10GB", "GB is not one of its units"),
        ("bytes", "10G", "G is not one of its units"),
        ("bytes", "10GFLOP", "GFLOP is not one of its units"),
        ("latency", "3", "a plain number is not one of its units"),
        ("latency", "3MB", "MB is not one of its units"),
        ("peak_memory", "64MiBs", "MiBs is not one of its units"),
        ("kernels", "1e400x", "is not a limit|is not one of"),
        ("colour", "+1%", "'colour' cannot be limited; choose from: flops"),
    ],
)
def test_bad_limits_are_named(metric: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_limit(metric, text)


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
        (f"a = {'[' * 5000}", FormatError, "is not TOML"),
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
