"""Python: objects that JAX can run or made, and code that ``package.module:attribute`` names."""

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


def is_object(given: Given) -> bool:
    """Return whether it is something to call, or of JAX."""
    value = given.value
    made_by_jax = type(value).__module__.partition(".")[0] in ("jax", "jaxlib")
    return callable(value) or made_by_jax or hasattr(value, "lowered")


def open_object(given: Given, **choices: Any) -> Any:
    """Return its Workload, of the shapes of its arguments; of what is compiled, the Program.

    Raises:
        InputError: As `edgegraph.compiler.objects.opened`.
    """
    from edgegraph.compiler.objects import opened

    return opened(given.value, **choices)
