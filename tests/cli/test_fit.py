"""``edgegraph fit``: what cannot be planned is one line, and a saved fit is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.cli import main
from tests.studies.fits import MADE


def test_a_saved_fit_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = MADE.save(tmp_path / "net.edgegraph")
    assert main(["fit", str(path)]) == 0
    assert "best: batch 8 on one chip, plan" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "sixteen"], "is not a size; expected, for example, 16GB"),
        (["--batch", "8"], "takes no derivative by jax.grad"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "models.cnn:small_cnn", "--target", "device:rpi5", *options]) == 2
    assert said in capsys.readouterr().err
