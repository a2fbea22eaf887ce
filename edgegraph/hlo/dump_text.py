"""HLO text as people have it: in logs and Markdown, several modules, constants left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgegraph.errors import FormatError

_PREFIX = re.compile(
    r"^(?:\d{4}-\d\d-\d\d [\d:.]+: )?[IWEF](?:\d{4})?(?: +[\d:.]+)* +[\w./-]+:\d+\] ?", re.MULTILINE
)
"""What XLA's logging writes before each line: ``I0000 00:00:1733000000.1 4242 service.cc:12] ``."""

_START = re.compile(r"^HloModule\s+([^\s,]+)", re.MULTILINE)
_FENCE = re.compile(r"^(?:```|~~~).*", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"\bENTRY\b[^\n]*\{")
_END = re.compile(r"^\s*\}", re.MULTILINE)
_UNBOUNDED = re.compile(r"\b[a-z][a-z0-9]*\[[\d,<=]*\?[^\]\n]*\]")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_ELIDED = re.compile(r"\bconstant\(\s*\{\s*\.\.\.\s*\}\s*\)")

_DEVICES = re.compile(r"\b(replica_count|num_partitions)=(\d+)")

MOST_DEVICES = 1 << 20
"""Ten times those of the largest systems."""

ELIDED_TARGET = "edgegraph.elided_constant"
"""Target of the call that stands for a constant while XLA reads the text."""


def is_hlo_text(text: str) -> bool:
    """Return whether a line of the text begins a module, whatever stands before it."""
    return _START.search(_without_prefixes(text)) is not None


def modules_in(text: str) -> list[tuple[str, str]]:
    r"""Return the modules in a text, each with its name, and without what stands around them.

    Example:
        >>> modules_in("Here it is:\n```\nHloModule m\nENTRY ...\n```\nThat was it.")
        [('m', 'HloModule m\nENTRY ...\n')]
    """
    text = _without_prefixes(text)
    starts = list(_START.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return [
        (start[1], _FENCE.sub("", text[start.start() : end]))
        for start, end in zip(starts, ends, strict=True)
    ]


def head_of(text: str) -> tuple[str, bool] | None:
    """Return name and whether it is scheduled of the module that begins in a text, or None."""
    text = _without_prefixes(text)
    start = _START.search(text)
    if start is None:
        return None
    return start[1], "is_scheduled=true" in text[start.end() : text.find("\n", start.end())]


def devices_of(text: str) -> tuple[int, int] | None:
    """Return how many replicas and partitions the first line of a module says; None if neither.

    Raises:
        FormatError: There is no system of so many.

    Example:
        >>> devices_of("HloModule m, is_scheduled=true, num_partitions=8")
        (1, 8)
    """
    head = _STRING.sub("", text.partition("\n")[0])
    said = {name: int(number) for name, number in _DEVICES.findall(head)}
    if not said:
        return None
    replicas, partitions = said.get("replica_count", 1), said.get("num_partitions", 1)
    if not 1 <= replicas * partitions <= MOST_DEVICES:
        raise FormatError(
            f"replica_count={replicas}, num_partitions={partitions}: expected 1 to"
            f" {MOST_DEVICES:,} devices"
        )
    return replicas, partitions


def _without_prefixes(text: str) -> str:
    return _PREFIX.sub("", text) if "] " in text and not _START.match(text) else text


def choose(names: Sequence[str], wanted: str | None) -> int:
    """Return the place of the module that is wanted: by its name, or its number from 1 on.

    Raises:
        FormatError: There are several and none is named, or there is none like it.

    Example:
        >>> choose(["forward", "backward"], "2"), choose(["forward"], None)
        (1, 0)
    """
    if wanted is None and len(names) == 1:
        return 0
    if wanted in names:
        return names.index(wanted)
    if wanted is not None and wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    listed = ", ".join(f"{number} {name[:20]}" for number, name in enumerate(names[:3], 1))
    more = ", ..." if len(names) > 3 else ""
    which = "" if wanted is None else f", and none is {wanted[:20]!r}"
    raise FormatError(
        f"it holds {len(names)} module{'s' * (len(names) > 1)}{which}; choose one with module= or"
        f" --module: {listed}{more}"
    )


def _stands_alone(text: str) -> bool:
    """Return whether it was written by hand as one computation, which XLA takes for the entry."""
    return len(_END.findall(text)) == 1 and "entry_computation_layout" not in text


def readable(text: str) -> str:
    """Return one module's text as XLA reads it in no time.

    A constant whose values were left out, ``constant({...})``, XLA fills with values at random,
    number by number; here a call stands for it, which `edgegraph.hlo.read` turns back.

    Raises:
        FormatError: A shape has no bound, or the text ends too early.
    """
    bare = _STRING.sub('""', text)
    if unbounded := _UNBOUNDED.search(bare):
        raise FormatError(
            f"the shape {unbounded[0][:60]} has a size without a bound; compile it for one size, or"
            " export it with fixed shapes"
        )
    depth = bare.count("{") - bare.count("}")
    if depth > 0 or not (_ENTRY.search(bare) or _stands_alone(bare)):
        lines = text.rstrip().count("\n") + 1
        raise FormatError(
            f"the text is cut off: it ends in line {lines}, before `ENTRY ... {{ ... }}` is"
            " complete; copy all of it"
        )
    return _ELIDED.sub(f'custom-call(), custom_call_target="{ELIDED_TARGET}"', text)
