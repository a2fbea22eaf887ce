"""Numbers as people read them: three digits and an SI prefix."""

from __future__ import annotations

UNKNOWN = "?"

_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def si(value: float | None, unit: str = "") -> str:
    """Write a count or a rate with three digits and an SI prefix (k is 1000).

    Example:
        >>> si(278_659_392, "FLOP"), si(3_402_024, "B"), si(10), si(None)
        ('279 MFLOP', '3.4 MB', '10', '?')
    """
    if value is None:
        return UNKNOWN
    for scale, prefix in _LARGE:
        if abs(value) >= 0.9995 * scale:
            return f"{_digits(value / scale)} {prefix}{unit}"
    return f"{_digits(value)} {unit}".rstrip()


def seconds(value: float | None) -> str:
    """Write a time with three digits.

    Example:
        >>> seconds(0.0031365), seconds(1.2e-05), seconds(0), seconds(None)
        ('3.14 ms', '12 µs', '0 s', '?')
    """
    if value is None:
        return UNKNOWN
    for scale, unit in _TIMES:
        if abs(value) >= 0.9995 * scale:
            return f"{_digits(value / scale)} {unit}"
    return "0 s" if value == 0 else f"{_digits(value / 1e-9)} ns"


def percent(value: float | None) -> str:
    """Write a share.

    Example:
        >>> percent(0.1234), percent(0.004), percent(9e-9), percent(None)
        ('12 %', '0.4 %', '<0.1 %', '?')
    """
    if value is None:
        return UNKNOWN
    if value == 0 or value >= 0.0095:
        return f"{100 * value:.0f} %"
    return "<0.1 %" if value < 0.0005 else f"{100 * value:.1f} %"


def ratio(value: float | None) -> str:
    """Write a plain number with three digits.

    Example:
        >>> ratio(81.93), ratio(0.4987), ratio(None)
        ('81.9', '0.499', '?')
    """
    return UNKNOWN if value is None else _digits(value)


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.1e}"
