import json
from pathlib import Path

import pytest

from edgegraph.cli import main

ROOT = Path(__file__).parent.parent.parent


def test_the_zoo_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows["models.cnn:small_cnn"]) >= {"name", "params", "macs", "input", "source"}
    # conv 9*1*32+32, conv 9*32*64+64, dense 3136*256+256, dense 256*10+10
    assert rows["models.cnn:small_cnn"]["params"] == 824_458
    # MACs at batch 32 by layer over 32: 225,792 + 3,612,672 + 802,816 + 2,560
    assert rows["models.cnn:small_cnn"]["macs"] == 4_643_840
    assert main(["models"]) == 0
    assert "4,643,840" in capsys.readouterr().out


def test_outside_of_the_checkout_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 2
    assert "source checkout" in capsys.readouterr().err
