"""Numbers as people read them: three digits and an SI prefix."""

from __future__ import annotations

import re

from edgegraph.errors import InputError

UNKNOWN = "?"

_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = {
    "": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def si(value: float | None, unit: str = "") -> str:
    """Write a count or a rate with three digits and an SI prefix (k is 1000): ``279 MFLOP``."""
    if value is None:
        return UNKNOWN
    for scale, prefix in _LARGE:
        if abs(value) >= 0.9995 * scale:
            return f"{_digits(value / scale)} {prefix}{unit}"
    return f"{_digits(value)} {unit}".rstrip()


def memory_size(value: float | None) -> str:
    """Write the size of a memory as vendors do, in powers of 1024: ``8 GB``; others by `si`."""
    for scale, prefix in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k")):
        if value and value % scale == 0 and value < 1024 * scale:
            return f"{value / scale:,.0f} {prefix}B"
    return si(value, "B")


def parse_memory(text: str | int) -> int:
    """Read the size of a memory in bytes: a number, or one with a unit.

    Raises:
        InputError: It is no positive size.

    Example:
        >>> parse_memory("16GB"), parse_memory("1.5 GiB"), parse_memory(4096)
        (16000000000, 1610612736, 4096)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(text).strip())
    scale = None if found is None else _BYTES.get(found[2])
    if found is None or scale is None or not float(found[1]) * scale >= 1:
        raise InputError(
            f"memory {text!r} is not a size; expected, for example, 16GB, 64GiB or 4096 (bytes)"
        )
    return int(float(found[1]) * scale) if "." in found[1] else int(found[1]) * scale


def seconds(value: float | None) -> str:
    """Write a time with three digits: ``3.14 ms``."""
    if value is None:
        return UNKNOWN
    for scale, unit in _TIMES:
        if abs(value) >= 0.9995 * scale:
            return f"{_digits(value / scale)} {unit}"
    return "0 s" if value == 0 else f"{_digits(value / 1e-9)} ns"


def seconds_in(interval: tuple[float, float]) -> str:
    """Write an interval of times, with the unit once where both have the same.

    Example:
        >>> seconds_in((2.9e-4, 3.06e-4)), seconds_in((9.9e-4, 1.1e-3))
        ('290 to 306 µs', '990 µs to 1.1 ms')
    """
    low, high = map(seconds, interval)
    unit = high.partition(" ")[2]
    return f"{low.removesuffix(f' {unit}')} to {high}"


def percent(value: float | None) -> str:
    """Write a share: ``12 %``, ``0.4 %``, ``<0.1 %``."""
    if value is None:
        return UNKNOWN
    if value == 0 or value >= 0.0095:
        return f"{100 * value:.0f} %"
    return "<0.1 %" if value < 0.0005 else f"{100 * value:.1f} %"


def ratio(value: float | None) -> str:
    """Write a plain number with three digits: ``81.9``."""
    return UNKNOWN if value is None else _digits(value)


def times(value: float | None) -> str:
    """Write how many times as much: ``2.5x``."""
    return UNKNOWN if value is None else f"{_digits(value)}x"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.1e}"
