"""Values on the command line: shapes, batch sizes, times, KEY=VALUE pairs; completing a SPEC."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from edgegraph.errors import InputError


def parse_compiler_option(text: str) -> str | int | float | bool:
    """Read the value of an XLA compiler option: a truth, a number, else text.

    Example:
        >>> [parse_compiler_option(text) for text in ("True", "3", "1e-3", "O2")]
        [True, 3, 0.001, 'O2']
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def parse_assignments(option: str, pairs: Iterable[str]) -> dict[str, str]:
    """Split KEY=VALUE pairs; the values stay text.

    Args:
        option: The option that they were given with, for the message.
        pairs: The texts.

    Raises:
        InputError: One has no ``=`` or no key, or a key stands twice.

    Example:
        >>> parse_assignments("--set", ["flavor=linen", "width=64"])
        {'flavor': 'linen', 'width': '64'}
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not (key and equals):
            raise InputError(f"{option} {pair!r} is not KEY=VALUE, such as flavor=linen")
        if key in values:
            raise InputError(f"{option} gives {key!r} twice; give it once")
        values[key] = text.strip()
    return values


def parse_options_set(text: str) -> tuple[str, dict[str, str | int | float | bool]]:
    """Read a label and compiler options; a comma before a word without ``=`` belongs to a value.

    Raises:
        InputError: It has another form.

    Example:
        >>> parse_options_set("unfused:xla_disable_hlo_passes=fusion,cse,xla_cpu_use_x=false")
        ('unfused', {'xla_disable_hlo_passes': 'fusion,cse', 'xla_cpu_use_x': False})
    """
    name, colon, rest = text.partition(":")
    if not (name.strip() and colon and rest.strip()):
        raise InputError(
            f"--options-set {text!r} is not NAME:KEY=VALUE,..., such as"
            " unfused:xla_disable_hlo_passes=fusion"
        )
    pairs = re.split(r",(?=\s*\w+\s*=)", rest)
    values = parse_assignments("--options-set", pairs)
    return name.strip(), {key: parse_compiler_option(value) for key, value in values.items()}


def parse_batches(text: str) -> list[int]:
    """Read batch sizes: a list of numbers and of spans, whose steps double.

    Raises:
        InputError: It is something else.

    Example:
        >>> parse_batches("1:8"), parse_batches("1,3:20"), parse_batches("100:300")
        ([1, 2, 4, 8], [1, 3, 6, 12, 20], [100, 200, 300])
    """
    batches: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise InputError(
                f"--batches {text!r}: {part.strip()!r} is neither a batch size nor a span such as"
                " 1:256"
            )
        while first < last:
            batches.append(first)
            first *= 2
        batches.append(last)
    return sorted(set(batches))


_SECONDS_BY_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


def parse_time(option: str, text: str) -> float:
    """Read a time with its unit, in seconds.

    Raises:
        InputError: It is no time above 0, or has no unit.

    Example:
        >>> parse_time("--max-latency", "10ms"), parse_time("--max-latency", "250 us")
        (0.01, 0.00025)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|us|µs)\s*", text)
    value = float(match[1]) * _SECONDS_BY_UNIT[match[2]] if match else 0.0
    if not value > 0:
        raise InputError(
            f"{option} {text!r} is not a time; expected, for example, 10ms, 250us or 0.5s"
        )
    return value


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape such as ``28x28x1`` or ``28,28,1``.

    Raises:
        InputError: It is not a list of positive integers.

    Example:
        >>> parse_shape("28x28x1"), parse_shape("784")
        ((28, 28, 1), (784,))
    """
    parts = text.strip("()[] ").replace("x", ",").split(",")
    try:
        sizes = tuple(int(part) for part in parts if part.strip())
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise InputError(
            f"--input {text!r} is not a shape; write the sizes without batch, such as 28x28x1"
        )
    return sizes


def parse_depths(texts: Sequence[str]) -> tuple[int | None, ...] | Literal["all"]:
    """Read how finely layers are to be cut: numbers, ``leaves``, or ``all``; leaves by default.

    Raises:
        InputError: One is neither.

    Example:
        >>> parse_depths([]), parse_depths(["1", "leaves"]), parse_depths(["all"])
        ((None,), (1, None), 'all')
    """
    if "all" in texts:
        return "all"
    for text in texts:
        if text != "leaves" and not text.isdecimal():
            raise InputError(
                f"--depth {text!r} is not a depth; expected 0, 1, 2, ..., leaves or all"
            )
    return tuple(None if text == "leaves" else int(text) for text in texts) or (None,)


FILE_SUFFIXES = (".edgegraph", ".txt", ".hlo", ".pb")


def complete_spec(incomplete: str) -> list[str]:
    """Offer the networks of ``models/`` in this folder, and files that can be analysed."""
    here = Path()
    specs = [
        f"models.{path.stem}:{name}"
        for path in sorted(here.glob("models/*.py"))
        for name in _networks(path)
    ]
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    files = [
        str(path) + ("/" if path.is_dir() else "")
        for path in sorted(folder.glob("*"))
        if path.is_dir() or path.suffix in FILE_SUFFIXES
    ]
    return [text for text in specs + files if text.startswith(incomplete)]


def _networks(path: Path) -> list[str]:
    """Name the public functions of a source file that are annotated to return a Workload."""
    return [
        node.name
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.returns is not None
        and ast.unparse(node.returns).rpartition(".")[2] == "Workload"
    ]
