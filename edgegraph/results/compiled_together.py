"""What compiling layers together gained, and what a layer at its roof would gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from edgegraph.base.units import percent
from edgegraph.hlo.op_name import lies_in
from edgegraph.results.columns import Column, columns_of
from edgegraph.results.records import LayerRecord
from edgegraph.results.timing import Latency, LayerLatency, finest_cut
from edgegraph.results.verdicts import COST, GAINED, OK, noise, verdict_of

MOST_NOISY_SHARE = 0.1
"""Parts that were timed badly may take up this share of the sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTogether:
    """A piece of the program, compiled as one and in parts; times are per call of the program.

    All times are net of the dispatch floor, so that a part is not charged for being launched.

    Attributes:
        layer: The layer that was compiled as one; None for the whole program.
        phase: Its phase; None for the whole program.
        depth: Where the parts were cut: None where every scope was compiled alone.
        parts: Number of parts.
        together_s: Time compiled as one.
        alone_s: Sum of the parts' times.
        noise_s: How far the difference may be off: the uncertainties of all that was timed,
            added in squares, since what disturbs one does not disturb the other.
        verdict: ``gained`` (faster together), ``cost``, ``no difference`` (within the noise, or
            1 %), or ``NOISY`` where the measurement allows no verdict.
    """

    layer: str | None
    phase: str | None
    depth: int | None
    parts: int
    together_s: float
    alone_s: float
    noise_s: float
    verdict: str

    @property
    def difference_s(self) -> float:
        """Together less alone: negative where compiling together gained."""
        return self.together_s - self.alone_s

    @property
    def change(self) -> float | None:
        """The difference over the sum of the parts; None where that is 0."""
        return self.difference_s / self.alone_s if self.alone_s else None


TOGETHER_COLUMNS = columns_of(
    CompiledTogether, "layer", "phase", "depth", "parts", "together_s", "alone_s", "difference_s",
    "change", "noise_s", "verdict",
)  # fmt: skip
"""Of the frame."""


def compare_together(
    whole: Latency | None, latencies: Sequence[LayerLatency]
) -> tuple[CompiledTogether, ...]:
    """Hold the whole against every cut, and every layer cut as one against its parts."""
    if whole is None or whole.net_s is None:
        return ()
    cuts: dict[int | None, list[LayerLatency]] = {}
    for each in latencies:
        cuts.setdefault(each.depth, []).append(each)
    found = [
        compared
        for depth, parts in cuts.items()
        if (compared := _compare(None, None, depth, [(whole, 1)], parts)) is not None
    ]
    found.extend(_layers_against_parts(latencies))
    return tuple(found)


def _layers_against_parts(latencies: Sequence[LayerLatency]) -> Iterator[CompiledTogether]:
    """Compare layers of the coarser cuts with what the finest cut made of them."""
    finest = finest_cut(latencies)
    pieces: dict[tuple[int | None, str, str], list[LayerLatency]] = {}
    for each in latencies:
        pieces.setdefault((each.depth, each.layer, each.phase), []).append(each)
    for (depth, layer, phase), piece in pieces.items():
        if depth == finest[0].depth or not any(each.covers for each in piece):
            continue
        parts = [part for part in finest if part.phase == phase and lies_in(part.layer, layer)]
        as_one = [(each.latency, each.executions) for each in piece]
        compared = _compare(layer, phase, finest[0].depth, as_one, parts)
        if compared is not None:
            yield compared


def _compare(
    layer: str | None,
    phase: str | None,
    depth: int | None,
    together: Sequence[tuple[Latency, int]],
    parts: Sequence[LayerLatency],
) -> CompiledTogether | None:
    """Compare; None where a dispatch floor was not taken."""
    alone = [(part.latency, part.executions) for part in parts]
    times = [[_net(*each) for each in side] for side in (together, alone)]
    if not parts or any(time is None for side in times for time in side):
        return None
    together_s, alone_s = (sum(time or 0.0 for time in side) for side in times)
    noise_s = noise([*together, *alone])
    return CompiledTogether(
        layer=layer,
        phase=phase,
        depth=depth,
        parts=len(parts),
        together_s=together_s,
        alone_s=alone_s,
        noise_s=noise_s,
        verdict=verdict_of(
            alone_s,
            together_s,
            noise_s,
            sound=not (_noisy(together) or _noisy(alone)),
            words=(GAINED, COST),
        ),
    )


def _net(latency: Latency, executions: int) -> float | None:
    net = latency.net_s
    return None if net is None else net * executions


def _noisy(timed: Sequence[tuple[Latency, int]]) -> bool:
    """Return whether badly timed parts take up so much that the sum cannot be trusted."""
    sure = sum(_net(*each) or 0.0 for each in timed if each[0].verdict == OK)
    unsure = sum(_net(*each) or 0.0 for each in timed if each[0].verdict != OK)
    return unsure > MOST_NOISY_SHARE * (sure + unsure)


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
    gain_share: Annotated[float | None, Column(heading="gain", write=percent)]
    speedup: float | None
    bound: str | None
    time_source: str | None


WHAT_IF_COLUMNS = columns_of(WhatIf)
"""Of the frame."""


def what_if(layers: Sequence[LayerRecord]) -> tuple[WhatIf, ...]:
    """Return for every leaf layer what the program would gain if it ran at its roofline.

    Those with the largest gain come first, those of unknown gain last.
    """
    leaves = [row for row in layers if row.leaf]
    whole_s = sum(row.time_s for row in leaves if row.time_s is not None)
    found = [_at_roof(row, whole_s) for row in leaves]
    return tuple(
        sorted(found, key=lambda each: -1.0 if each.gain_s is None else each.gain_s, reverse=True)
    )


def _at_roof(row: LayerRecord, whole_s: float) -> WhatIf:
    roof_s, gain_s = row.roof_time_s, None
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
