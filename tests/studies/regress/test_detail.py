"""Details of two versions: without times no case is cut, and nothing is claimed."""

from __future__ import annotations

from pathlib import Path

from edgegraph.studies.regress.detail import Asked, _case
from edgegraph.studies.regress.turns import concluded
from edgegraph.studies.regress.versions import Pair, Version
from edgegraph.studies.regress.workers import Side, Source
from tests.studies.regressions import seen


def test_a_case_is_cut_only_where_the_time_changed(tmp_path: Path) -> None:
    side = Side(label="a", python=tmp_path / "python")
    version = Version(label="a", options={}, side=side)
    pair = Pair(before=version, after=version, probes=(), began=None)
    asked = Asked(
        source=Source(spec="a:b"), folder=tmp_path, report=lambda message, fraction: None, notes=[]
    )
    assert _case(pair, asked, "XLA", (), ()) is None
    pair.timing = concluded(("a", "a"), [seen(1.0), seen(1.001), seen(0.999)])
    assert _case(pair, asked, "XLA", (), ()) is None
    assert not asked.notes
