"""Limits that a project keeps in ``[tool.edgegraph]`` of its pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgegraph.errors import FormatError, InputError
from edgegraph.gate.limits import parse_limit
from edgegraph.gate.metrics import METRICS

_FILE = "pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What a project has set.

    Attributes:
        limits: By name, as `check` takes them: ``max_flops``.
        baseline: The file of the baseline; None where none is named.
    """

    limits: Mapping[str, str] = field(default_factory=dict)
    baseline: Path | None = None


def read_settings(folder: Path) -> GateSettings:
    """Read the settings of the nearest pyproject.toml, in the folder or above it.

    Args:
        folder: Where to begin.

    Returns:
        What it says in ``[tool.edgegraph]``; nothing where there is none.

    Raises:
        FormatError: The file is not TOML.
        InputError: A key or limit in it is unknown.
    """
    folder = folder.resolve()
    path = next(
        (each / _FILE for each in (folder, *folder.parents) if (each / _FILE).is_file()), None
    )
    if path is None:
        return GateSettings()
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("edgegraph", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
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
