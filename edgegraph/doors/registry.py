"""Decide by content what an input is, and what opens it, for all commands.

A door is one entry: how it recognises an input, and what opens it. The root of the package
registers every door by names alone, in the order in which they are tried, so that nothing is
imported before it is needed. A recogniser is quick, raises nothing, and imports no jax.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edgegraph.base.files import is_there, kind_of
from edgegraph.errors import FormatError, InputError
from edgegraph.results.kinds import resolve

LONGEST_MESSAGE = 200

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Characters that text does not have; colour codes in logs are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One kind of input that can be opened; places are written ``module:name``.

    Attributes:
        word: What messages call such an input.
        recognises: The place of a function from a `Given` to whether it is one.
        opens: The place of a function from a `Given`, and the `choices` that were made, to a
            Workload, a Program, or a result.
        choices: Names of the choices that it takes: ``module``, ``batch``.
        saved: Whether it is a saved result.
        compiled: Whether EdgeGraph compiles it, for any target and any batch size that it takes.
    """

    word: str
    recognises: str
    opens: str
    choices: tuple[str, ...] = ()
    saved: bool = False
    compiled: bool = False


DOORS: list[Door] = []
"""Every door, in the order in which they are tried."""


def register_door(word: str, recognises: str, opens: str, **more: Any) -> None:
    """Make a door known; the attributes of a `Door`."""
    DOORS.append(Door(word=word, recognises=recognises, opens=opens, **more))


class Given:
    """An input, in the forms in which doors examine it.

    Attributes:
        value: As it came: an object, text, a path, bytes.
        path: The file or folder that it names; None where there is none.
        name: What messages call it.
    """

    def __init__(self, value: object) -> None:
        self.value = value
        self.path = _path(value)
        self.name = _name(value)

    @cached_property
    def raw(self) -> bytes | None:
        """The content of a file, text, or bytes; None for everything else, folders included.

        Raises:
            InputError: The file cannot be read.
        """
        if isinstance(self.value, bytes | bytearray):
            return bytes(self.value)
        if self.path is not None:
            return None if self.path.is_dir() else _read(self.path)
        if isinstance(self.value, str) and _is_content(self.value):
            return self.value.encode("utf-8", "surrogatepass")
        return None

    @cached_property
    def data(self) -> bytes | None:
        """The same, decompressed.

        Raises:
            FormatError: It is truncated or damaged.
        """
        from edgegraph.base.archives import unpacked  # which few commands need

        try:
            return None if self.raw is None else unpacked(self.raw)
        except FormatError as error:
            raise FormatError(f"{self.name}: {error}") from error

    @cached_property
    def text(self) -> str | None:
        """The same as text; None where it is not text."""
        if self.data is None:
            return None
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None
        from edgegraph.hlo.dump_text import is_hlo_text  # names in HLO may hold anything

        binary = _CONTROL.search(text, 0, 4096) is not None and not is_hlo_text(text)
        return None if binary else text


def _is_content(text: str) -> bool:
    """Return whether text is the content of a file rather than its name."""
    return "\n" in text or text.lstrip().startswith(("HloModule", "module @", "module {"))


def _path(value: object) -> Path | None:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or _is_content(value):
        return None
    return Path(value) if is_there(value) else None


def _name(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return f"the {len(value):,} bytes"
    if isinstance(value, str) and _is_content(value):
        first = next((line.strip() for line in value.splitlines() if line.strip()), "")
        return f"the text {_cut(first, 40)!r}"
    return (
        str(value) if isinstance(value, str | Path) else f"a value of type {type(value).__name__}"
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"cannot read {path}: {reason}") from error


def find_door(given: Given) -> Door:
    """Return the first door that recognises an input.

    Raises:
        InputError: No such file exists, or no door does; the message says what it is.
    """
    for door in DOORS:
        if resolve(door.recognises)(given):
            return door
    raise _unknown(given)


def open(thing: object, **choices: Any) -> Any:
    """Open an input of any kind, whatever its name: its content tells what it is.

    Args:
        thing: A saved result; HLO, a folder of XLA's dumps, StableHLO, a file of `jax.export`; a
            profile; ``package.module:attribute``. As a path, as the text itself, or as bytes;
            compressed or not. A function, jitted or not, or what JAX made of one.
        **choices: ``module``, the one to take where there are several; of functions ``args`` and
            ``kwargs``, as `edgegraph.analyze` takes them.

    Returns:
        What `edgegraph.analyze` takes: a Workload or a Program; of a saved result, the result.

    Raises:
        InputError: It is nothing that can be opened, or a choice has no effect on it.
        FormatError: It is truncated or damaged.

    Example:
        >>> import edgegraph as eg
        >>> eg.open("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }").name
        'm'
    """
    given = Given(thing)
    door = find_door(given)
    made = {name: value for name, value in choices.items() if value is not None}
    for name in made:
        if name not in door.choices:
            raise InputError(f"{name} has no effect on {door.word}, {given.name}; leave it out")
    return resolve(door.opens)(given, **made)


def kinds() -> str:
    """Return the words of all doors, for messages."""
    return ", ".join(door.word for door in DOORS)


def _unknown(given: Given) -> InputError:
    """Describe in one line what an unrecognised input is, and what to do."""
    if given.raw is None and given.path is None:
        if isinstance(given.value, str):
            message = (
                f"SPEC {_cut(given.value, 80)!r} is neither a file nor package.module:attribute,"
                " such as models.cnn:small_cnn"
            )
        else:
            message = f"cannot open {given.name}; expected {kinds()}"
        return InputError(_cut(message, LONGEST_MESSAGE))
    if given.path is not None and not given.path.exists():
        return InputError(f"there is no file {given.path}")
    what = _what(given)
    expected = "" if ";" in what else f"; expected {kinds()}"
    return FormatError(f"{given.name}: {_cut(what + expected, LONGEST_MESSAGE)}")


def _what(given: Given) -> str:
    if given.data is None:
        return "this folder holds nothing that EdgeGraph reads"
    if not given.data.strip():
        return "the file is empty"
    if given.path is not None and given.path.suffix == ".py":
        return f"this is Python; name what to analyse, such as {given.name}:FUNCTION"
    found = kind_of(given.data)
    if found is not None:
        return f"this is {found}"
    if given.text is None:
        return "it is cut off, damaged or not HLO"
    return "this is text, but no line starts with 'HloModule'"
