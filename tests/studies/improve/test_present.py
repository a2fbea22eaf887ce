from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edgegraph.errors import InputError
from edgegraph.studies.improve.present import improvement_table
from edgegraph.studies.improve.trials import Donation, Estimate, OptionTrial
from tests.studies.improve.improvements import improvement


def shown(width: int = 80, **changed: object) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(improvement_table(improvement(**changed)))
    return console.export_text()


def test_the_table_keeps_within_80_columns() -> None:
    text = shown()
    assert max(map(len, text.splitlines())) <= 80
    assert "8x" in text
    assert "4 times as fast" in text


def test_page_and_figure(tmp_path: Path) -> None:
    page = improvement().to_html(tmp_path / "page.html").read_text("utf-8")
    assert "4 times as fast" in page
    # 4 times 4 ms before, 4 times 0.5 ms after; a result of 4 may move by 4e-6 and 4 times 1e-6.
    assert all(said in page for said in ("Net/conv", "16", "8e-06"))
    assert "eg.rewrite(function, &#39;fast.rewrites&#39;)" in page
    axes = improvement().plot()
    assert "depthwise -> other" in [text.get_text().strip() for text in axes.texts]
    assert [patch.get_width() for patch in axes.patches] == pytest.approx([0.016, 0.002])


def test_what_was_tried_on_the_whole_stands_on_the_page(tmp_path: Path) -> None:
    donation = Donation(
        arguments=(0,), before_bytes=2_000_000, after_bytes=1_000_000, ratio=0.97, kept=True
    )
    option = OptionTrial(name="o", value=False, ratio=1.1, reason="does not help the whole")
    study = improvement(changes=(), donation=donation, options=(option,))
    page = study.to_html(tmp_path / "page.html").read_text("utf-8").replace("&#160;", " ")
    assert all(
        said in page
        for said in ("o=False", "1.1x", "no: does not help the whole", "donate_argnums=(0,)",
                     "0.97x", "2 MB -&gt; 1 MB", "fast = jax.jit(fast, donate_argnums=(0,))")
    )  # fmt: skip


def test_there_is_nothing_to_draw_where_nothing_was_kept() -> None:
    with pytest.raises(InputError, match="nothing was kept"):
        improvement(changes=()).plot()


def test_gains_elsewhere_and_here_stand_side_by_side() -> None:
    one, other = improvement().changes
    changes = (replace(one, time_source="compiler", gain_here=0.5), other)
    estimate = Estimate(before_s=0.02, after_s=0.01, source="compiler")
    text = shown(target="tpu:v5e", timing=None, estimate=estimate, changes=changes)
    assert "here" in text
    assert "0.5x" in text
    assert "?" in text
    assert "20 ms -> 10 ms on tpu:v5e, 2 times as fast by its compiler; nothing was" in text
    assert "slower on this host: depthwise -> other, 0.5x" in text
