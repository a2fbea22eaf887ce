"""How figures of a sweep grow, as a table."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from edgegraph.base.axes import BATCH, sizes_in_words
from edgegraph.base.units import percent
from edgegraph.reporting.table_kit import plain_table
from edgegraph.studies.sweep.choice import curve_name
from edgegraph.studies.sweep.result import Sweep

_MOST_CURVES = 3
"""That are shown; of more, the first and the last."""


def growth_tables(sweep: Sweep) -> list[RenderableType]:
    """Show the growth along every axis besides the batch: a row a figure."""
    shown: list[RenderableType] = []
    for axis in sweep.varied:
        found = [each for each in sweep.growth if each.axis == axis]
        curves = list(
            dict.fromkeys((each.dtype, each.options, *each.at.values()) for each in found)
        )
        if len(curves) > _MOST_CURVES:
            curves = [curves[0], curves[-1]]
        if axis == BATCH or not curves:
            continue
        table = plain_table("figure", "at", "growth", "off", f"formula, n = {axis}",
                            words={"at", "growth", f"formula, n = {axis}"})  # fmt: skip
        table.columns[-1].no_wrap = False
        for each in found:
            if (each.dtype, each.options, *each.at.values()) not in curves:
                continue
            names = [curve_name(each.dtype, each.options)] if len(sweep.series) > 1 else []
            at = ", ".join([*names, sizes_in_words(each.at)])
            off = percent(each.off) if each.checked or each.order is None else "unchecked"
            table.add_row(each.name, at, each.order or "?", off, each.formula)
        shown += [Text(f"growth along {axis}", style="bold"), table]
    return shown
