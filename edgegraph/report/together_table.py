"""What compiling layers together gained or cost, as a table."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.report.names import shorten
from edgegraph.results.analysis import Analysis
from edgegraph.results.compiled_together import (
    COST,
    GAINED,
    NOISY,
    CompiledTogether,
    compare_together,
)
from edgegraph.units import percent, seconds

_STYLE = {GAINED: "green", COST: "red", NOISY: "dim"}
_NAME = 40


def together_table(analysis: Analysis) -> RenderableType | None:
    """Show layers that were timed as one piece beside the sum of their parts.

    Args:
        analysis: Measured with several cuts; else there is nothing to compare but the whole,
            which a finding tells.

    Returns:
        A table readable at 80 columns, or None without several cuts.
    """
    compared = compare_together(analysis.latency, analysis.layer_latencies)
    if not any(each.layer is not None for each in compared):
        return None
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("compiled as one", overflow="ellipsis", no_wrap=True, min_width=10)
    for heading in ("parts", "as one", "in parts", "noise"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for each in compared:
        table.add_row(
            shorten(_name(each), _NAME),
            str(each.parts),
            seconds(each.together_s),
            seconds(each.alone_s),
            f"± {seconds(each.noise_s)}",
            _verdict(each),
        )
    return table


def _name(each: CompiledTogether) -> str:
    if each.layer is None:
        cut = "every scope" if each.depth is None else f"depth {each.depth}"
        return f"the whole, by {cut}"
    return each.layer if each.phase == "forward" else f"{each.layer} ({each.phase})"


def _verdict(each: CompiledTogether) -> Text:
    told = each.verdict in (GAINED, COST) and each.change is not None
    share = f"{percent(abs(each.change or 0.0))} " if told else ""
    return Text(share + each.verdict, style=_STYLE.get(each.verdict, ""))
