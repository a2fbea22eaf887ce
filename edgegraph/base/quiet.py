"""Libraries that greet on stderr when they are loaded, kept quiet while they are.

The GPU plugins of JAX say in every process that there is no driver, in C, and no setting of
theirs has an effect so early.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_GREETING = ("jax_cuda12_plugin.", "jax_cuda13_plugin.", "jax_plugins.xla_cuda")
_ERR = 2


def quieten_plugins() -> None:
    """Have the plugins loaded without their greetings, from now on in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the modules of the plugins as Python does, and loads them quietly."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_GREETING):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Quiet(spec.loader)
        return spec


class _Quiet(Loader):
    """Loads with another loader while nothing reaches stderr."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        with _without_stderr():
            return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _without_stderr():
            self._loader.exec_module(module)
        initialize = getattr(module, "initialize", None)
        if initialize is not None:  # JAX calls it to load the plugin itself

            def quietly() -> None:
                with _without_stderr():
                    initialize()

            module.initialize = quietly  # type: ignore[attr-defined]


_stderrs: list[int] = []
"""What stderr was before, while nothing reaches it."""


def end_quiet() -> None:
    """Let all reach stderr again at once, for a last word."""
    if _stderrs:
        os.dup2(_stderrs[0], _ERR)


@contextmanager
def _without_stderr() -> Iterator[None]:
    try:
        kept = os.dup(_ERR)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        _stderrs.append(kept)
        os.dup2(nowhere, _ERR)
        yield
    finally:
        _stderrs.remove(kept)
        os.dup2(kept, _ERR)
        os.close(kept)
        os.close(nowhere)
