"""What a name refers to: ``package.module:attribute``, or ``./file.py:attribute``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgegraph.errors import USER_ERRORS, EdgeGraphError, InputError


def find_object(spec: str) -> Any:
    """Import what a name refers to.

    Modules are looked for in the current directory first, as ``python -m`` does; they need not be
    identifiers (``my-nets:small``).

    Raises:
        InputError: It is no such name, there is nothing of that name, or importing it fails.
    """
    module_name, colon, path = spec.rpartition(":")
    is_file = module_name.endswith(".py") or os.sep in module_name
    names = [] if is_file else module_name.split(".")
    if (
        not colon
        or any(not name or len(name.split()) != 1 for name in names)
        or not all(name.isidentifier() for name in path.split("."))
    ):
        raise InputError(
            f"SPEC {spec!r} is not package.module:attribute, such as models.cnn:small_cnn, nor"
            " ./file.py:attribute"
        )
    found: Any = _import_file(Path(module_name)) if is_file else _import(module_name)
    where = module_name
    for name in path.split("."):
        if not hasattr(found, name):
            known = [n for n in dir(found) if not n.startswith("_")]
            raise InputError(f"{where} has no attribute {name!r}{_did_you_mean(name, known)}")
        found = getattr(found, name)
        where = f"{where}:{name}" if where == module_name else f"{where}.{name}"
    return found


def _import(name: str) -> ModuleType:
    directory = _look_first_in(Path.cwd())
    try:
        return importlib.import_module(name)
    except EdgeGraphError:
        raise
    except USER_ERRORS as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise InputError(
                f"there is no module {missing!r} in {directory} or among the installed"
                f" packages{_did_you_mean(missing, _sibling_modules(missing))}"
            ) from error
        raise InputError(f"importing {name} failed: {describe(error)}") from error


def _look_first_in(folder: Path) -> str:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return str(folder)


def _import_file(path: Path) -> ModuleType:
    """Import a file, whose neighbours it can import as if it were run."""
    if not path.is_file():
        files = [str(each) for each in sorted(path.parent.glob("*.py"))]
        raise InputError(f"there is no file {path}{_did_you_mean(str(path), files)}")
    _look_first_in(path.resolve().parent)
    known = sys.modules.get(path.stem)
    same = getattr(known, "__file__", None) == str(path.resolve())
    name = path.stem if known is None or same else f"edgegraph_file_{path.stem}"
    if known is not None and same:
        return known
    found = importlib.util.spec_from_file_location(name, path.resolve())
    if found is None or found.loader is None:
        raise InputError(f"{path} is not a Python file; name one that ends in .py")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # as dataclasses and pickles look it up there
    try:
        found.loader.exec_module(module)
    except EdgeGraphError:
        raise
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, USER_ERRORS):
            raise
        raise InputError(f"importing {path} failed: {describe(error)}") from error
    return module


def describe(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def _sibling_modules(name: str) -> list[str]:
    parent, _, _ = name.rpartition(".")
    paths = getattr(sys.modules.get(parent), "__path__", None) if parent else [str(Path.cwd())]
    prefix = f"{parent}." if parent else ""
    return [prefix + module.name for module in pkgutil.iter_modules(paths or [])]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
