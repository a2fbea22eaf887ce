"""Short names of layers, for figures and boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from edgegraph.results.analysis import LayerRecord

MOST_CHARACTERS = 28


def short_names(rows: Iterable[LayerRecord]) -> dict[tuple[str, str], str]:
    """Return for every layer the shortest end of its path that no other of its phase has.

    Args:
        rows: The layer records of one analysis.

    Returns:
        Names by layer and phase; those of later phases say so, and long ones keep their end.
    """
    rows = list(rows)
    paths = {row.layer for row in rows}
    ends = Counter(end for path in paths for end in _ends(path))
    names: dict[tuple[str, str], str] = {}
    for row in rows:
        name = next((end for end in _ends(row.layer) if ends[end] == 1), row.layer)
        names[row.layer, row.phase] = shorten(name) + (
            "" if row.phase == "forward" else f" {row.phase}"
        )
    return names


def shorten(name: str, most: int = MOST_CHARACTERS) -> str:
    """Cut a name from the front; its end tells more.

    Example:
        >>> shorten("encoder/block_11/attention/query", 21)
        '…k_11/attention/query'
    """
    return name if len(name) <= most else "…" + name[1 - most :]


def _ends(path: str) -> list[str]:
    """Return the ends of a path, shortest first."""
    scopes = path.split("/")
    # "(own)" says nothing without the layer whose it is, unless there is only one.
    return ["/".join(scopes[-count:]) for count in range(1, len(scopes) + 1)]
