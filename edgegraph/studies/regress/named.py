"""The name by which every version imports what was handed over."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from edgegraph.errors import InputError


def spec_of(given: Any) -> str:
    """Return a SPEC: a name as it is, or that of a function that a module has at its top.

    Raises:
        InputError: No other process could import it: a function within another one, a lambda, a
            Workload or another object.

    Example:
        >>> spec_of("./net.py:loss")
        './net.py:loss'
        >>> import edgegraph
        >>> spec_of(edgegraph.base.units.seconds)
        'edgegraph.base.units:seconds'
    """
    if isinstance(given, str):
        return given
    name, module = getattr(given, "__qualname__", None), getattr(given, "__module__", None)
    found: Any = sys.modules.get(module or "")
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    if name is None or module is None or found is not given:
        raise InputError(
            f"{name or type(given).__name__} has no name that another version of jax could import;"
            " write it into a module and give 'package.module:attribute' or './file.py:attribute'"
        )
    if "." in module:
        return f"{module}:{name}"
    file = inspect.getsourcefile(inspect.unwrap(given))
    if file is None or not Path(file).is_file():
        raise InputError(f"{name} stands in no file; write it into one and give './file.py:{name}'")
    return f"{Path(file).resolve()}:{name}"
