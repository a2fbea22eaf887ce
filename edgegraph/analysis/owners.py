"""Which layer a parameter belongs to.

A parameter says by its path which module owns it, and the ops of that module stand in its scope.
Where a module was made by one and is run by another (``nn.Sequential([...])``, ``nn.RNN(cell)``,
``nn.WeightNorm``), the scope is that of the one that runs it, with the same end; and where neither
tells, the parameter stands with the ops that read it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from edgegraph.hlo import opcodes
from edgegraph.hlo.op_name import LOSS_SCOPE, OPTIMIZER_SCOPE, lies_in
from edgegraph.hlo.parameters import ParameterName
from edgegraph.hlo.sources import Sources


def parameter_owners(
    sources: Sources,
    parameters: Mapping[int, ParameterName],
    layers: Sequence[str | None],
) -> Mapping[int, str]:
    """Name the layer that owns each parameter, as far as one does.

    Ops go by their place in `sources`; `layers` are those that they say they are in.
    """
    owners = _Owners(sources, parameters, layers)
    found = {at: owners.layer(at, each.path) for at, each in parameters.items()}
    return {at: layer for at, layer in found.items() if layer}


class _Owners:
    """Finds owners by the scopes of ops, whose paths begin with the network's own."""

    def __init__(
        self,
        sources: Sources,
        parameters: Mapping[int, ParameterName],
        layers: Sequence[str | None],
    ) -> None:
        self._sources = sources
        self._parameters = parameters
        self._layers = layers
        scopes = {layer for layer in layers if layer is not None}
        known = sorted(scopes, key=lambda scope: (scope.count("/"), scope), reverse=True)
        self._by_path = {scope.partition("/")[2]: scope for scope in known}
        self._by_path |= {scope: scope for scope in known}
        steps = (LOSS_SCOPE, OPTIMIZER_SCOPE)
        self._roots = {scope.partition("/")[0] for scope in known if scope not in steps}
        self._by_end: dict[str, set[str]] = {}
        for around in {around for scope in known for around in scopes_around(scope)}:
            self._by_end.setdefault(around.rpartition("/")[2], set()).add(around)

    def layer(self, parameter: int, path: str) -> str:
        """Return the owner of a parameter; below the network's own scope where nothing tells."""
        if path in self._by_path and path:
            return self._by_path[path]
        root = next(iter(self._roots)) if len(self._roots) == 1 else ""
        below_root = f"{root}/{path}".strip("/")
        if not self._roots or (root and not path):
            return below_root
        reader = self._readers.get(parameter)
        if reader is None:
            return below_root
        ends = self._by_end.get(path.rpartition("/")[2], ())
        alike = [scope for scope in ends if path and f"/{scope}".endswith(f"/{path}")]
        if len(alike) == 1:
            return alike[0]
        return max((scope for scope in alike if lies_in(reader, scope)), key=len, default=reader)

    @cached_property
    def _readers(self) -> Mapping[int, str]:
        """The deepest scope that holds all ops that read a parameter, as it is or rearranged."""
        readers = parameter_readers(self._sources, self._parameters, self._layers)
        return {at: shared for at, found in readers.items() if (shared := _shared(found))}


def parameter_readers(
    sources: Sources, parameters: Collection[int], layers: Sequence[str | None]
) -> Mapping[int, set[str]]:
    """Name the layers whose ops read each parameter, as it is or rearranged by ops of no layer."""
    origins = {parameter: {parameter} for parameter in parameters}
    readers: dict[int, set[str]] = {}
    for at, node in enumerate(sources.nodes):
        if node.opcode in opcodes.MAKERS_BEHIND:
            continue
        layer = layers[at]
        made = [origins.get(maker) for maker in sources.of(at)]
        read = set().union(*(each for each in made if each is not None))
        if layer is None and made and None not in made:
            origins[at] = read
        elif layer is not None:
            for parameter in read:
                readers.setdefault(parameter, set()).add(layer)
    return readers


def scopes_around(scope: str) -> list[str]:
    """Return a scope and those that hold it."""
    parts = scope.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _shared(scopes: set[str]) -> str:
    first, last = min(scopes).split("/"), max(scopes).split("/")
    count = 0
    while count < min(len(first), len(last)) and first[count] == last[count]:
        count += 1
    return "/".join(first[:count])
