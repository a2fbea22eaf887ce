"""What was tried to make a program faster: at the terminal, as a figure, on the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgegraph.base.units import seconds, si, times
from edgegraph.errors import InputError
from edgegraph.hlo.op_name import UNATTRIBUTED, parse_op_name
from edgegraph.reporting.figure import (
    COLUMN_INCHES,
    FONT_POINTS,
    MOST_BARS,
    ROW_INCHES,
    SMALL_POINTS,
    column_axes,
    tidy,
    write_title,
    write_values,
)
from edgegraph.reporting.palette import BOUND_COLOURS, INK, MUTED, NEUTRAL
from edgegraph.reporting.presenters import Summary, at_batch, study_presenter
from edgegraph.reporting.table_kit import cells, column_table, plain_table
from edgegraph.results.columns import columns_of
from edgegraph.studies.improve.result import Improvement, RuleChanges, by_rule
from edgegraph.studies.improve.roofline import moves
from edgegraph.studies.improve.trials import Donation, OptionTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MOST_OUTPUTS = 12
"""Results shown; a train step has hundreds."""


def improvement_table(study: Improvement, wide: bool | None = None) -> Group:
    """Show what the whole gained, and every rule that was tried.

    Args:
        study: Any.
        wide: Whether to show every layer, every result, and the code to use, too.

    Returns:
        A renderable that is readable at 80 columns.
    """
    title = f"{study.workload}{at_batch(study.batch)}, {study.target}"
    parts: list[RenderableType] = [Text(title, "bold")]
    if study.changes:
        parts.append(_rules_table(by_rule(study)))
    parts += [Text(line) for line in study.conclusions]
    if wide and study.decisions:
        parts += [Text("Layer by layer", "bold"), _layers_table(study)]
    if wide and moves(study):
        parts += [Text("Under the roofs", "bold"), _moves_table(study)]
    if wide and (study.options or study.donation):
        parts += [Text("Tried on the whole", "bold"), _whole_table(study)]
    if wide and study.kept:
        parts += [Text("How far each result moved", "bold"), _outputs_table(study)]
        parts += [Text("To use it", "bold"), Text(_code(study), "cyan")]
    return Group(*parts)


def _rules_table(rows: Sequence[RuleChanges]) -> Table:
    elsewhere = any(row.gain_here for row in rows)
    columns = columns_of(
        RuleChanges, "title", "executions", "plain_s", "form_s", "gain",
        *["gain_here"] * elsewhere, "difference", "verdict",
    )  # fmt: skip
    table = column_table(columns, min_width=24)
    for shown, column in list(zip(table.columns, columns.values(), strict=True))[1:-1]:
        shown.min_width = 7 if column.unit == "s" else 5  # a long reason takes no number's place
    for row in rows:
        table.add_row(*cells(row, columns), style="" if row.kept else "dim")
    return table


def _layers_table(study: Improvement) -> Table:
    """Show the changed sites of every layer before and after, those that save most at the top."""
    before: dict[tuple[str, str], float] = defaultdict(float)
    after: dict[tuple[str, str], float] = defaultdict(float)
    titles: dict[tuple[str, str], dict[str, None]] = {}
    for change in study.changes:
        # Equal sites run equally often, unless one of them stands in a loop.
        runs = change.executions / max(1, len(change.scopes))
        for scope in change.scopes if change.kept else ():
            said = parse_op_name(f"{scope}/site")
            place = said.layer or UNATTRIBUTED, said.phase
            before[place] += change.plain_s * runs
            after[place] += change.form_s * runs
            titles.setdefault(place, {})[change.title] = None
    phases = len({phase for _, phase in before}) > 1
    headings = [*["phase"] * phases, "change", "before", "after", "gain"]
    table = plain_table("layer", *headings, words=("phase", "change"))
    for place in sorted(before, key=lambda place: after[place] - before[place]):
        layer, phase = place
        table.add_row(
            layer,
            *[phase] * phases,
            "; ".join(titles[place]),
            seconds(before[place]),
            seconds(after[place]),
            times(before[place] / after[place] if after[place] else None),
        )
    table.caption = "Changed sites, each timed alone; equal ones were timed once."
    return table


def _moves_table(study: Improvement) -> Table:
    """Show where every kind of changed sites stood and stands in the roofline."""
    headings = ("layers", "gain", "FLOP/byte before", "after", "FLOP/s before", "after", "error")
    table = plain_table("first layer", *headings)
    for move in moves(study):
        (x, y), (new_x, new_y) = move.before, move.after
        error = f"{move.change.difference:.0e}" if move.change.difference else "0"
        layers, gain = str(len(move.change.scopes)), times(move.change.gain)
        places = (f"{x:.3g}", f"{new_x:.3g}", si(y), si(new_y))
        table.add_row(move.layer, layers, gain, *places, error)
    table.caption = "FLOPs are those of the plain form in both places; bytes are each form's own."
    return table


def _whole_table(study: Improvement) -> Table:
    """Show what was tried on the program with all kept changes: compiler options, donation."""
    words = ("peak memory", "kept")
    table = plain_table("tried", "time", *words, words=words, no_wrap=False, overflow="fold")

    def row(name: str, tried: OptionTrial | Donation, memory: str) -> None:
        time = f"{tried.ratio:.3g}x" if tried.ratio else "?"
        table.add_row(name, time, memory, "yes" if tried.kept else f"no: {tried.reason}")

    for option in study.options:
        row(f"{option.name}={option.value!r}", option, "")
    if study.donation is not None:
        each = study.donation
        memory = " -> ".join(si(peak, "B") for peak in (each.before_bytes, each.after_bytes))
        row(f"donate_argnums={each.arguments}", each, memory)
    return table


def _outputs_table(study: Improvement) -> Table:
    """Show the results that moved furthest, as a share of what is allowed."""
    table = plain_table(
        "result", "largest number", "moved", "may move", "with inputs", words=("with inputs",)
    )
    worst = sorted(study.outputs, key=lambda output: -output.share)[:MOST_OUTPUTS]
    for output in worst:
        numbers = (output.largest, output.difference, output.allowed)
        table.add_row(output.name, *(f"{each:.2g}" for each in numbers), output.inputs)
    left = len(study.outputs) - len(worst)
    table.caption = (
        "Four times what the plain program moves by the last bit of its inputs is allowed."
    )
    table.caption += f" {left} more results moved less." if left else ""
    return table


def _code(study: Improvement) -> str:
    """Return the lines of code that apply the decisions."""
    asked = {
        "compiler_options": dict(study.compiler_options),
        "donate_argnums": study.donate_argnums,
    }
    jitted = ", ".join(["fast", *(f"{name}={value}" for name, value in asked.items() if value)])
    return (
        "# edgegraph improve SPEC --save fast.rewrites, or study.save('fast.rewrites')\n"
        "import jax, edgegraph as eg\n"
        "fast = eg.rewrite(function, 'fast.rewrites')  # differentiate it, vmap it, export it\n"
        f"fast = jax.jit({jitted})"
    )


def draw(study: Improvement, ax: Axes | None = None, *, width: float = COLUMN_INCHES) -> Axes:
    """Draw the time of all changed sites before and after, rule by rule.

    Args:
        study: A study in which something was kept.
        ax: Where to draw; a new figure where None.
        width: Of a new figure, in inches.

    Returns:
        The axes drawn on; times in seconds, of one call, each site timed alone.

    Raises:
        InputError: Nothing was kept.
    """
    rows = [row for row in by_rule(study) if row.kept][:MOST_BARS]
    if not rows:
        raise InputError(f"nothing was kept that makes {study.workload!r} faster")
    if ax is None:
        ax = column_axes(0.9 + 2.4 * ROW_INCHES * len(rows), left=0.15, top=0.3, width=width)
        write_title(ax, f"{study.workload}: changed sites, timed alone")
    for place, row in enumerate(rows):
        ax.barh(place + 0.05, row.plain_s, 0.26, color=NEUTRAL)
        ax.barh(place + 0.33, row.form_s, 0.26, color=BOUND_COLOURS["compute"])
        # Above its bars, where a long name leaves them their length.
        ax.annotate(
            row.title, (0, place - 0.12), (2, 0), textcoords="offset points", va="bottom",
            fontsize=FONT_POINTS, color=INK, parse_math=False,
        )  # fmt: skip
        ax.annotate(
            times(row.gain), (row.plain_s, place + 0.05), (4, 0), va="center",
            textcoords="offset points", fontsize=SMALL_POINTS, color=MUTED, annotation_clip=False,
        )  # fmt: skip
    ax.set_xlim(0, max(row.plain_s for row in rows) * 1.15)
    write_values(ax.xaxis, seconds)
    ax.set_ylim(len(rows) - 0.4, -0.5)
    ax.set_yticks([])
    ax.set_xlabel("time of all its sites in one call: before (grey), after", fontsize=FONT_POINTS)
    tidy(ax)
    return ax


def _summary(study: Improvement) -> Summary:
    at = at_batch(study.batch, " at batch")
    return Summary(
        name=f"improved{at_batch(study.batch)}",
        workloads=(study.workload,),
        target=study.target,
        environment=study.environment,
        headline=(f"{study.workload}{at}: ", study.found, "."),
        found=study.found,
        lead=study.conclusions,
        figure=(
            "Changed sites before and after, timed alone"
            if study.decisions and study.speedup is not None
            else None
        ),
        more={"roofline": "Changed sites under the roofs, old and new place"}
        if moves(study)
        else {},
    )


PRESENTER = study_presenter(improvement_table, _summary)
