"""What can be limited, how limits are written, and where a project keeps them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgegraph.compare.diff import whole
from edgegraph.errors import FormatError, InputError
from edgegraph.results.analysis import Analysis

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
    """The most that a figure may come to: as such, or over the baseline by a share or an amount."""

    text: str
    share: float | None = None
    growth: float | None = None
    most: float | None = None

    @property
    def needs_baseline(self) -> bool:
        """Whether it means nothing without a baseline."""
        return self.most is None

    def allowed(self, before: float | None) -> float | None:
        """Return the most that is allowed; None where the baseline is not known."""
        if self.most is not None:
            return self.most
        if before is None:
            return None
        # 100 * 1.1 is more than 110; so little does not count.
        return round(before * (1 + (self.share or 0.0)) + (self.growth or 0.0), 12)


def parse_limit(metric: str, text: str) -> Limit:
    """Read a limit: ``64MiB`` is the most; ``+1%``, ``-5%``, ``+64MiB`` are over the baseline."""
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
    return Limit(text=text.strip(), **{"growth" if sign else "most": value * scale})


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


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that can be limited: its first known name counts; some layers have a part in it."""

    unit: str
    title: str
    figures: tuple[str, ...]
    of_layer: str | None = None

    def value(self, analysis: Analysis) -> int | float | None:
        """Return it of an analysis; None where unknown."""
        found = whole(analysis)
        return next((found[name] for name in self.figures if found[name] is not None), None)


LATENCY = "latency"

METRICS: Mapping[str, Metric] = {
    "flops": Metric("FLOP", "FLOPs", ("flops",), "flops"),
    "macs": Metric("MAC", "MACs", ("macs",), "macs"),
    "bytes": Metric("B", "bytes", ("bytes",), "bytes"),
    # What XLA sets aside; of a module from a file what is alive at most.
    "peak_memory": Metric(
        "B", "peak memory", ("peak_memory_bytes", "live_peak_bytes"), "peak_bytes"
    ),
    "temp_memory": Metric("B", "temporary memory", ("temp_bytes",)),
    "params": Metric("", "parameters", ("params",), "params"),
    "param_bytes": Metric("B", "parameter bytes", ("param_bytes",), "param_bytes"),
    "ops": Metric("", "ops", ("ops",), "ops"),
    "kernels": Metric("", "kernels", ("kernels",)),
    "wire_bytes": Metric("B", "bytes sent", ("wire_bytes",)),
    LATENCY: Metric("s", "latency", ("latency_s",), "time_s"),
}
"""By name; ``peak_memory`` is ``--max-peak-memory`` on the command line."""

DEFAULT_LIMITS: Mapping[str, str] = {"flops": "+1%", "bytes": "+2%", "peak_memory": "+5%"}
"""What is held against a baseline where no limit is given."""


_FILE = "pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What a project has set: `limits` by name, as `check` takes them, and the baseline's file."""

    limits: Mapping[str, str] = field(default_factory=dict)
    baseline: Path | None = None


def read_settings(folder: Path) -> GateSettings:
    """Read ``[tool.edgegraph]`` of the nearest pyproject.toml, in the folder or above it."""
    folder = folder.resolve()
    path = next(
        (each / _FILE for each in (folder, *folder.parents) if (each / _FILE).is_file()), None
    )
    if path is None:
        return GateSettings()
    try:
        table: object = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    for name in ("tool", "edgegraph"):
        table = table.get(name, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise FormatError(f"{path}: tool.edgegraph is no table; write it as [tool.edgegraph]")
    limits: dict[str, str] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name == "baseline" and isinstance(value, str):
            continue
        metric = name.removeprefix("max_")
        if not name.startswith("max_") or metric not in METRICS:
            known = ", ".join(["baseline", *(f"max-{each.replace('_', '-')}" for each in METRICS)])
            raise InputError(f"{path}: [tool.edgegraph] has no key {key!r}; it has: {known}")
        try:
            limits[name] = parse_limit(metric, str(value)).text
        except InputError as error:
            raise InputError(f"{path}: [tool.edgegraph]: {error}") from error
    baseline = table.get("baseline")
    return GateSettings(
        limits=limits, baseline=None if baseline is None else path.parent / baseline
    )
