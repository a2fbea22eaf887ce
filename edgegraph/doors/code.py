"""Python code, as the command line names it: ``package.module:attribute``."""

from __future__ import annotations

from typing import Any

from edgegraph.doors.registry import Given


def is_code(given: Given) -> bool:
    """Return whether it is a name with a colon, and neither a file nor what a file holds."""
    name = given.value
    return isinstance(name, str) and ":" in name and given.path is None and given.raw is None


def open_code(given: Given, **choices: Any) -> Any:
    """Import what it names, and make its Workload.

    Raises:
        InputError: As `edgegraph.workload.spec.resolve_spec`.
    """
    from edgegraph.workload.spec import resolve_spec

    return resolve_spec(str(given.value), **choices)
