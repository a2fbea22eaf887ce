"""The script that prints our figures beside the published ones."""

from __future__ import annotations

import dataclasses

import pytest

from models.published import NETWORKS
from scripts import reference_tables


def test_it_prints_both_and_succeeds_where_they_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference_tables, "NETWORKS", NETWORKS[:3])
    assert reference_tables.main() == 0
    printed = capsys.readouterr().out
    assert "4,643,840" in printed
    assert printed.count("105,415,200") == 2


def test_it_fails_where_they_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = dataclasses.replace(NETWORKS[1], macs=668_673)
    monkeypatch.setattr(reference_tables, "NETWORKS", (wrong,))
    assert reference_tables.main() == 1
    assert "668,673" in capsys.readouterr().out
