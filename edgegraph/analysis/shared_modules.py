"""Modules that are entered by two paths, as one that is handed to another.

Its scope is that of whoever runs it, and what belongs to it would be two rows, of which one has all
the parameters. Its own scope is that of its parameters' path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from edgegraph.analysis.owners import parameter_readers, scopes_around
from edgegraph.hlo.op_name import lies_in
from edgegraph.hlo.parameters import ParameterName
from edgegraph.hlo.sources import Sources


def by_one_path(
    sources: Sources,
    layers: Sequence[str | None],
    parameters: Mapping[int, ParameterName],
) -> list[str | None]:
    """Return the layers of ops, those of a module that another runs, too, under its own path.

    It is taken for that where it is called so, reads parameters of that path and no others, and
    the module stands at its own path, too.
    """
    distinct = {layer for layer in layers if layer is not None}
    scopes = {around for layer in distinct for around in scopes_around(layer)}
    modules = {each for name in parameters.values() for each in scopes_around(name.path) if each}
    suspects = dict(_suspects(scopes, modules))
    if not suspects:
        return list(layers)
    read: dict[str, set[str]] = {}
    for at, readers in parameter_readers(sources, parameters, layers).items():
        for scope in {around for layer in readers for around in scopes_around(layer)}:
            read.setdefault(scope, set()).add(parameters[at].path)
    own = {
        scope: target
        for scope, (module, target) in suspects.items()
        if read.get(scope) and all(lies_in(path, module) for path in read[scope])
    }
    moved = {layer: _moved(layer, own) for layer in distinct}
    return [None if layer is None else moved[layer] for layer in layers]


def _suspects(
    scopes: Collection[str], modules: Collection[str]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield scopes at no module's path, with a module called so, and the scope at its path."""
    ends: dict[str, list[str]] = {}
    for module in sorted(modules):
        ends.setdefault(module.rpartition("/")[2], []).append(module)
    for scope in scopes:
        root, _, below = scope.partition("/")
        if scope in modules or below in modules:
            continue
        for module in ends.get(scope.rpartition("/")[2], ()):
            for target in (module, f"{root}/{module}"):
                if target in scopes and target != scope:
                    yield scope, (module, target)


def _moved(layer: str, own: Mapping[str, str]) -> str:
    for scope in reversed(scopes_around(layer)):
        if scope in own:
            return own[scope] + layer[len(scope) :]
    return layer
