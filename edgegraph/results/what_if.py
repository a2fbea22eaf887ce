"""What if a layer ran at its roofline: how much the whole would gain, after Amdahl."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edgegraph.results.analysis import LayerRecord

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "layer", "phase", "time_s", "roof_time_s", "gain_s", "gain_share", "speedup", "bound",
    "time_source",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One layer, and the program if that layer alone ran at its roofline.

    Attributes:
        layer, phase: Which.
        time_s: Its time; None if unknown.
        roof_time_s: the largest of its roofline times: what the device needs at least.
        gain_s: The time that would be gained, 0 where it is at the roof; None unless measured.
        gain_share: The same as a share of the sum of all layers' times.
        speedup: Of the program, 1 / (1 - gain_share).
        bound: What binds it.
        time_source: Where `time_s` comes from.
    """

    layer: str
    phase: str
    time_s: float | None
    roof_time_s: float | None
    gain_s: float | None
    gain_share: float | None
    speedup: float | None
    bound: str | None
    time_source: str | None


def what_if(layers: Sequence[LayerRecord]) -> tuple[WhatIf, ...]:
    """Return for every layer what the program would gain if it ran at its roofline.

    Args:
        layers: Of a whole program; the leaves among them, which add up to it, are looked at.

    Returns:
        Those with the largest gain first, those of unknown gain last.
    """
    leaves = [row for row in layers if row.leaf]
    whole_s = sum(row.time_s for row in leaves if row.time_s is not None)
    found = [_at_roof(row, whole_s) for row in leaves]
    return tuple(
        sorted(found, key=lambda each: -1.0 if each.gain_s is None else each.gain_s, reverse=True)
    )


def what_if_frame(layers: Sequence[LayerRecord]) -> pd.DataFrame:
    """Return `what_if` as a table, one row per layer and phase."""
    import pandas as pd

    frame = pd.DataFrame([asdict(each) for each in what_if(layers)], columns=list(COLUMNS))
    floats = ("time_s", "roof_time_s", "gain_s", "gain_share", "speedup")
    words = ("layer", "phase", "bound", "time_source")
    return frame.astype({**dict.fromkeys(floats, "float64"), **dict.fromkeys(words, "string")})


def _at_roof(row: LayerRecord, whole_s: float) -> WhatIf:
    roof_s = None
    if row.compute_time_s is not None and row.memory_time_s is not None:
        roof_s = max(row.compute_time_s, row.memory_time_s, row.network_time_s or 0.0)
    gain_s = None
    if row.time_source == "measured" and row.time_s is not None and roof_s is not None:
        gain_s = max(0.0, row.time_s - roof_s)
    share = gain_s / whole_s if gain_s is not None and whole_s else None
    return WhatIf(
        layer=row.layer,
        phase=row.phase,
        time_s=row.time_s,
        roof_time_s=roof_s,
        gain_s=gain_s,
        gain_share=share,
        # A layer that costs nothing at its roof, and is all there is, would leave nothing over.
        speedup=None if share is None or share >= 1 else 1 / (1 - share),
        bound=row.bound,
        time_source=row.time_source,
    )
