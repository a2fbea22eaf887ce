"""How `scripts.whole_output` holds one output against another: piece by piece.

A file is cut into pieces that say what stands where, but not at which number of row: the values of
JSON by their path, those of CSV by their column, the cells of tables, sentences, the texts of a
figure. What one file has and the other has not is a change, ``- piece`` or ``+ piece``; what both
have stands in the same order in both, or the order is a change too.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DATA = re.compile(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', re.DOTALL)
CODE = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL)
TABLE_HEAD = re.compile(r"\w*(,[\w./()-]+){2,}")
CELLS = re.compile(r"\s{2,}|\s*[│|&]\s*")
DTYPE = re.compile(r"\S+\s+([iI]nt64|float64|string|str|object|bool|boolean)")
SHORTEST_WRAPPED = 55
"""Characters of a line that may be continued on the next one."""

LINES = re.compile(r"[─━┄╌╭╮╰╯┌┐└┘├┤-]+")


def changes(name: str, before: Path, after: Path) -> list[str]:
    """Return what differs between the files of one name, each change once."""
    if not (before.exists() and after.exists()):
        return ["- the file"] if before.exists() else ["+ the file"]
    old, new = before.read_bytes(), after.read_bytes()
    if old == new:
        return []
    if name.endswith((".png", ".pdf")):
        return ["~ drawing"]
    one, other = (list(pieces(name, text.decode())) for text in (old, new))
    less, more = Counter(one) - Counter(other), Counter(other) - Counter(one)
    found = [*(f"- {piece}" for piece in less), *(f"+ {piece}" for piece in more)]
    differ = {*less, *more}
    kept = [[each for each in every if each not in differ] for every in (one, other)]
    return [*found, "~ order"] if kept[0] != kept[1] else found


def pieces(name: str, text: str) -> Iterator[str]:
    """Yield the pieces of a text, as the ending of its name or what it begins with says."""
    if name.endswith(".html"):
        yield from _page(text)
    elif name.endswith(".svg"):
        yield from re.findall(r"<!-- (.*?) -->", text)
        yield "drawing " + re.sub(r"<!-- .*? -->", "", text)
    elif name.endswith(".graphml"):
        yield from _graph(text)
    elif text.startswith(("{", "[")):
        text = re.sub(r":(\s*)TIME\b", r':\1"TIME"', text)  # as it was masked
        for line in [text] if name.endswith("json") else text.splitlines():
            try:
                yield from flat(json.loads(line))
            except ValueError:
                yield line
    else:
        yield from _text(text)


def flat(value: Any, path: str = "") -> Iterator[str]:
    """Yield the values in JSON by their path.

    Example:
        >>> list(flat({"rows": [{"time_s": 1.0}, {"time_s": None}]}))
        ['rows[].time_s=1', 'rows[].time_s=None']
    """
    if isinstance(value, dict) and set(value) == {"words", "of"}:  # each word once, on pages
        yield from flat([value["words"][number] for number in value["of"]], path)
    elif isinstance(value, dict) and value:
        for name, each in sorted(value.items()):
            yield from flat(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for each in value:
            yield from flat(each, f"{path}[]")
    else:
        yield f"{path}={_number(value)}"


def _number(value: Any) -> str:
    """Write a value; 32 and 32.0 are the same number."""
    if isinstance(value, bool):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
    whole = number.is_integer() and abs(number) < 1 << 53
    return str(int(number)) if whole else str(value)


def _page(text: str) -> Iterator[str]:
    """Yield what stands on a page; of its own scripts and styles only that they are the same."""
    for name, data in DATA.findall(text):
        yield from flat(json.loads(data), name)
    text = DATA.sub("", text)
    for kind, code in CODE.findall(text):
        yield f"{kind} {code}"
    for line in re.split(r"<[^>]*>|\n", CODE.sub("", text)):
        if line.strip():
            yield " ".join(line.split())


def _graph(text: str) -> Iterator[str]:
    names = dict(re.findall(r'<key id="(\w+)"[^>]* attr.name="(\w+)"', text))
    for line in text.splitlines():
        data = re.match(r'\s*<data key="(\w+)">(.*)</data>', line)
        if data:
            yield f"{names[data[1]]}={_number(data[2])}"
        elif not line.strip().startswith("<key"):
            yield line.strip()


def _text(text: str) -> Iterator[str]:
    """Yield the values of tables by their column, cells of tables at the terminal, sentences."""
    lines, sentence, long = text.splitlines(), "", False
    number = 0
    while number < len(lines):
        line = lines[number]
        if TABLE_HEAD.match(line):
            end = next((n for n in range(number, len(lines)) if not lines[n]), len(lines))
            yield from _cells(sentence)
            yield from _table(lines[number:end])
            number, sentence = end, ""
            continue
        number += 1
        said = line.strip()
        words = said != "" and not re.search(r"\s\s|[│|]|^Try:|^edgegraph:", said)
        if words and (long or line.startswith("   ")):
            sentence += f" {said}"
        else:
            yield from _cells(sentence)
            sentence = said
        long = words and len(said) > SHORTEST_WRAPPED
    yield from _cells(sentence)


def _table(lines: Sequence[str]) -> Iterator[str]:
    head, *rows = csv.reader(io.StringIO("\n".join(lines)))
    yield from (f"column {name}" for name in head)
    for row in rows:
        yield from (
            f"{name}={_number(value)}" for name, value in zip(head, row, strict=False) if value
        )


def _cells(line: str) -> Iterator[str]:
    if DTYPE.fullmatch(line):
        yield "dtype " + " ".join(line.split())
        return
    for cell in CELLS.split(line):
        if cell and not LINES.fullmatch(cell):
            yield cell
