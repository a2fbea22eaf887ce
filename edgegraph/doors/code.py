"""Python: objects that JAX can run or made, and code that ``package.module:attribute`` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgegraph.doors.registry import Given


def is_code(given: Given) -> bool:
    """Return whether it is a name with a colon, and neither a file nor the content of one."""
    name = given.value
    return isinstance(name, str) and ":" in name and given.path is None and given.raw is None


def open_code(given: Given, *, args: Any = None, kwargs: Any = None, **choices: Any) -> Any:
    """Import what it names, and return its Workload.

    `args` of a function that is compiled as it is are a sequence, or a mapping by name.

    Raises:
        InputError: As `edgegraph.workload.spec.resolve_spec`.
    """
    from edgegraph.workload.spec import resolve_spec

    spec = str(given.value)
    called = args is not None or kwargs is not None
    if called:
        choices["called"] = True
    found = resolve_spec(spec, **choices)
    if not is_object(Given(found)):
        return found
    from edgegraph.compiler.objects import is_jitted, opened

    if isinstance(args, Mapping) or (not called and callable(found) and is_jitted(found)):
        from edgegraph.workload.arguments import bind_arguments

        args, kwargs = bind_arguments(spec, found, args or {}, constants=not is_jitted(found))
    return opened(found, args, kwargs)


def is_object(given: Given) -> bool:
    """Return whether it is callable, or an object of JAX."""
    value = given.value
    made_by_jax = type(value).__module__.partition(".")[0] in ("jax", "jaxlib")
    return callable(value) or made_by_jax or hasattr(value, "lowered")


def open_object(given: Given, **choices: Any) -> Any:
    """Return its Workload for the shapes of its arguments; its Program where it is compiled.

    Raises:
        InputError: As `edgegraph.compiler.objects.opened`.
    """
    from edgegraph.compiler.objects import opened

    return opened(given.value, **choices)
