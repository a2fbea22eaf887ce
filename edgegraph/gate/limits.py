"""Limits as they are written: ``+1%``, ``-5%``, ``+64MiB``, ``10GFLOP``, ``3ms``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgegraph.errors import InputError
from edgegraph.gate.metrics import METRICS

_WRITTEN = re.compile(r"([+-]?)\s*(\d+(?:\.\d+)?|\.\d+)\s*([^\d\s+.-][^\s]*)?")
_PREFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_EXAMPLES = {
    "FLOP": "+1%, 10GFLOP",
    "MAC": "+1%, 5GMAC",
    "B": "+2%, +1MiB, 64MiB",
    "s": "+5%, 3ms",
    "": "+0, 120",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The most that a figure may come to.

    Attributes:
        text: As it was written.
        share: Growth over the baseline that is allowed, as a share of it.
        growth: Growth that is allowed, in the figure's own unit.
        most: The most that is allowed, whatever the baseline.
    """

    text: str
    share: float | None = None
    growth: float | None = None
    most: float | None = None

    @property
    def needs_baseline(self) -> bool:
        """Whether it means nothing without a baseline."""
        return self.most is None

    def allowed(self, before: float | None) -> float | None:
        """Return the most that is allowed; None where the baseline is not known.

        Example:
            >>> parse_limit("flops", "+1%").allowed(200)
            202.0
        """
        if self.most is not None:
            return self.most
        if before is None:
            return None
        # 100 * 1.1 is more than 110; so little does not count.
        return round(before * (1 + (self.share or 0.0)) + (self.growth or 0.0), 12)


def parse_limit(metric: str, text: str) -> Limit:
    """Read a limit.

    Args:
        metric: What is limited, a name of `METRICS`.
        text: ``+1%`` or ``+64MiB``: growth over the baseline; ``64MiB``: the most, whatever the
            baseline. ``-5%`` asks for less.

    Raises:
        InputError: There is no such metric, or it is no limit of one.

    Example:
        >>> parse_limit("peak_memory", "64MiB").most, parse_limit("latency", "3ms").most
        (67108864.0, 0.003)
    """
    if metric not in METRICS:
        raise InputError(f"{metric!r} cannot be limited; choose from: {', '.join(METRICS)}")
    unit = METRICS[metric].unit
    option = f"--max-{metric.replace('_', '-')}"
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"{option} {text!r} is not a limit; expected, for example, {_EXAMPLES[unit]}"
        )
    sign, number, written = found.group(1), float(found.group(2)), found.group(3) or ""
    value = -number if sign == "-" else number
    if written == "%":
        if not sign:
            raise InputError(
                f"{option} {text!r}: growth has a sign; write +{text.strip()} for so much over"
                " the baseline"
            )
        return Limit(text=text.strip(), share=value / 100)
    scale = _scale(unit, written)
    if scale is None or (unit == "s" and not written and number):
        raise InputError(
            f"{option} {text!r}: {written or 'a plain number'} is not one of its units; expected,"
            f" for example, {_EXAMPLES[unit]}"
        )
    if sign:
        return Limit(text=text.strip(), growth=value * scale)
    return Limit(text=text.strip(), most=value * scale)


def _scale(unit: str, written: str) -> float | None:
    """Return what a written unit is worth; None where it is none of this one."""
    if unit == "s":
        return _SECONDS.get(written or "s")
    if not written:
        return 1
    prefix = written
    if unit:
        for name in (f"{unit}s", unit) if unit != "B" else ("B",):
            if written.endswith(name):
                prefix = written.removesuffix(name)
                break
    if unit == "B" and prefix in _BINARY:
        return _BINARY[prefix]
    if unit == "B" and prefix == written:
        return None
    return _PREFIXES.get(prefix)
