from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.errors import InputError
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.roofline import moves
from tests.studies.improve.improvements import improvement

DEVICE = Device(
    name="d", peak_flops_per_s={"f32": 1e11, "bf16": 4e11},
    memory=(MemoryLevel(name="DRAM", bandwidth_bytes_per_s=1e10, size_bytes=None),),
    origin="calibrated", source="by hand",
)  # fmt: skip


def known(device: Device | None = DEVICE, **changed: object) -> Improvement:
    """4 MFLOP in 4 ms, then 0.5 ms; 1 MB read and written, then 0.5 MB."""
    kept, other = improvement().changes
    kept = replace(kept, flops=4_000_000, plain_bytes=1_000_000, form_bytes=500_000)
    return improvement(changes=(kept, other), device=device, **changed)


def test_an_arrow_goes_from_the_old_place_to_the_new() -> None:
    [move] = moves(known())
    assert move.before == pytest.approx((4.0, 1e9))
    assert move.after == pytest.approx((8.0, 8e9))
    assert move.name == "conv 8x"
    ax = known().plot(kind="roofline")
    [arrow] = [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    assert tuple(arrow.xy) == move.after
    assert tuple(arrow.xyann) == move.before
    assert "f32 100 GFLOP/s" in [text.get_text() for text in ax.texts]
    assert "bf16 400 GFLOP/s" not in [text.get_text() for text in ax.texts]
    assert eg.plot.roofline(known()).get_xlabel() == ax.get_xlabel()


def test_roofs_of_narrow_dtypes_are_drawn_where_these_are_allowed() -> None:
    ax = known(allow=("bf16",)).plot(kind="roofline")
    assert "bf16 400 GFLOP/s" in [text.get_text() for text in ax.texts]


def test_without_a_device_there_are_arrows_and_no_roofs() -> None:
    ax = known(None).plot(kind="roofline")
    assert "conv 8x" in [text.get_text() for text in ax.texts]
    assert not any("FLOP/s" in text.get_text() for text in ax.texts)


def test_what_is_not_known_is_not_drawn(tmp_path: Path) -> None:
    assert moves(improvement()) == ()
    with pytest.raises(InputError, match="is known what it computes and moves"):
        improvement().plot(kind="roofline")
    heading = "Changed sites under the roofs"
    for study, shown in ((improvement(), False), (known(), True)):
        page = study.to_html(tmp_path / "page.html").read_text("utf-8")
        assert (heading in page) is shown
        assert ("FLOP/byte before" in page) is shown
