"""What is told of changes whose effect is known."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.errors import FormatError, InputError
from tests.compare.networks import analysis

CORPUS = Path(__file__).parent.parent / "corpus"


def test_the_other_way_round_is_the_reverse() -> None:
    forth = eg.diff(analysis(), analysis(kernel=5))
    back = eg.diff(analysis(kernel=5), analysis())
    assert forth.totals["difference"].sum() == -back.totals["difference"].sum()
    assert len(forth.op_changes) == len(back.op_changes)
    assert forth.same_ops == back.same_ops


def test_devices_that_are_not_here_are_compared(tmp_path: Path) -> None:
    read = []
    for target in ("a100", "tpu_v5e"):
        packed = CORPUS / "ahead_of_time" / f"cnn.{target}.txt.gz"
        path = tmp_path / f"{target}.txt"
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        read.append(eg.analyze(eg.read_hlo(path)))
    found = eg.diff(*read)
    assert not found.empty
    assert {row.aligned_by for row in found.layer_changes if row.before and row.after} == {"path"}


def test_other_versions_compare_what_is_decoded() -> None:
    other = analysis()
    newer = replace(other, environment=replace(other.environment, jaxlib="99.0"))
    found = eg.diff(other, newer)
    assert found.empty
    assert [each.name for each in found.settings] == ["jaxlib"]
    assert "write attributes differently" in found.notes[0]


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot compare 3; expected an Analysis"):
        eg.diff(3, analysis())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no file at"):
        eg.diff(tmp_path / "none.edgegraph", analysis())
    path = eg.diff(analysis(), analysis()).save(tmp_path / "diff.edgegraph")
    with pytest.raises(FormatError, match="holds a diff; expected a saved analysis"):
        eg.diff(path, analysis())


def test_figures_of_the_whole_have_their_units() -> None:
    units = eg.diff(analysis(), analysis()).totals["unit"]
    names = ("macs", "flops", "param_bytes", "ops", "kernels", "intensity_flops_per_byte")
    assert [units[name] for name in names] == ["MAC", "FLOP", "B", "", "", "FLOP/B"]
