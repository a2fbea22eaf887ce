"""A diff as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgegraph.report import diff_words as words
from edgegraph.report.exports.tables import markdown_row, markdown_text
from edgegraph.results.diff import Diff, LayerChange
from edgegraph.units import seconds, si

MOST_OPS = 50
"""Changes of ops that are listed; a comment on a pull request holds no more."""


def markdown(diff: Diff) -> str:
    """Return what changed as Markdown: the whole, the layers that differ, the ops."""
    lines = [f"**{markdown_text(words.headline(diff))}**", ""]
    if diff.settings:
        told = "; ".join(f"{each.name} {each.before} → {each.after}" for each in diff.settings)
        lines += [f"Set differently: {markdown_text(told)}", ""]
    lines += [f"Note: {markdown_text(note)}\n" for note in diff.notes]
    figures = words.shown_figures(diff)
    if figures:
        lines += _table(
            ("whole", "before", "after", "change"),
            (
                (
                    words.NAMES[figure.name], words.value(figure, "before"),
                    words.value(figure, "after"), words.change(figure),
                )
                for figure in figures
            ),
        )  # fmt: skip
    rows = words.shown_layers(diff)
    if rows:
        headings = ("layer", "", "FLOP", "bytes", "memory", "time", "bound")
        lines += _table(headings, (list(_cells(row)) for row in rows))
    if diff.op_changes:
        count = len(diff.op_changes)
        lines += ["<details>", f"<summary>{words.plural(count, 'change')} of ops</summary>", ""]
        lines += _table(
            ("", "layer", "op", "differs in"),
            (
                (
                    row.kind, markdown_text(row.layer or "(unattributed)"),
                    markdown_text(words.op_names(row)),
                    markdown_text("; ".join(map(words.facet, row.facets))),
                )
                for row in diff.op_changes[:MOST_OPS]
            ),
        )  # fmt: skip
        if count > MOST_OPS:
            lines += [f"and {count - MOST_OPS:,} more", ""]
        lines.append("</details>")
    return "\n".join(lines).rstrip() + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [markdown_row(headings), "|" + "---|" * len(headings), *map(markdown_row, rows), ""]


def _cells(row: LayerChange) -> Iterator[str]:
    former = words.aligned(row)
    name = row.layer.rpartition("/")[2] + ("" if row.phase == "forward" else f" ({row.phase})")
    yield "&nbsp;&nbsp;" * row.depth + markdown_text(f"{name} ({former})" if former else name)
    yield row.kind
    for quantity, unit in (("flops", ""), ("bytes", "B"), ("peak_bytes", "B")):
        before, after = (
            None if side is None else getattr(side, quantity) for side in (row.before, row.after)
        )
        said = words.relative(before, after)
        number = si(before if row.after is None else after, unit)
        yield number if said in ("", "=") else f"{number} ({said})"
    present = row.after or row.before
    time_s = None if present is None else present.time_s
    said = words.time_change(row)
    yield (
        "" if time_s is None else seconds(time_s) + (f" ({said})" if said not in ("", "=") else "")
    )
    yield words.bound_change(row)
