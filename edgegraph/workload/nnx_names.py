"""Names of NNX submodules and variables, the same that linen would give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
from flax import nnx

Names = tuple[str, ...]

_OWN_ATTRIBUTE = "_pytree__"
"""How Flax's own bookkeeping attributes begin."""


def canonical_names(root: nnx.Module) -> dict[int, Names]:
    """Name every module, variable and array that hangs under `root`, by its ``id``.

    An attribute names what it holds; a position in a list or a key of a dict is joined to the
    attribute's name (``blocks_0``), as in linen. What is reachable in several ways takes the
    shortest, and of these the first by alphabet.

    Example:
        >>> from flax import nnx
        >>> class Net(nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.blocks = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
        >>> net = Net(nnx.Rngs(0))
        >>> names = canonical_names(net)
        >>> names[id(net)], names[id(net.blocks[1])], names[id(net.blocks[1].kernel)]
        ((), ('blocks_1',), ('blocks_1', 'kernel'))
    """
    return {id(member): names for names, member in named_members(root)}


def named_members(root: nnx.Module) -> Iterator[tuple[Names, Any]]:
    """Yield `root` and all that hangs under it once, each with its canonical name."""
    seen = {id(root)}
    level: list[tuple[Names, Any]] = [((), root)]
    while level:
        yield from level
        below = []
        for path, parent in level:
            if not isinstance(parent, nnx.Pytree):
                continue
            for name, member in _members(parent):
                if id(member) not in seen:
                    seen.add(id(member))
                    below.append(((*path, name), member))
        level = below


def _members(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what `node` holds, looking through lists and dicts."""
    for key, value in _items(node):
        name = f"{prefix}_{key}" if prefix else str(key)
        if _is_container(value):
            yield from _members(value, name)
        elif isinstance(value, (nnx.Pytree, nnx.Variable, jax.Array)):
            yield name, value


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, Mapping, nnx.List, nnx.Dict))


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, (list, tuple, nnx.List)):
        return enumerate(node)
    items = node.items() if isinstance(node, Mapping) else vars(node).items()
    return (item for item in sorted(items, key=lambda item: str(item[0])) if not _is_own(item[0]))


def _is_own(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(_OWN_ATTRIBUTE)


def leaf_names(root: nnx.Module, state: Any) -> tuple[Names, ...]:
    """Name the leaves of a state that was split from `root`, in the order of `jax.tree.leaves`."""
    names = canonical_names(root)
    return tuple(
        _leaf_name(root, [_key(entry) for entry in path], names)
        for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]
    )


def _leaf_name(root: Any, path: list[Any], names: Mapping[int, Names]) -> Names:
    """Follow `path` to the variable or array, whose name is known; add what lies inside it."""
    node = root
    for position, key in enumerate(path):
        if isinstance(node, nnx.Variable):
            inside = tuple(str(key) for key in path[position + 1 :])
            return names[id(node)] + inside
        node = node[key] if _is_container(node) else getattr(node, str(key))
    return names[id(node)]


def _key(entry: Any) -> Any:
    """Return the plain key behind an entry of a JAX key path."""
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return str(entry)


def nest(names: tuple[Names, ...], leaves: list[Any]) -> dict[str, Any]:
    """Put leaves into a nested dict by their names.

    Example:
        >>> nest((("conv1", "kernel"), ("conv1", "bias")), [1, 2])
        {'conv1': {'kernel': 1, 'bias': 2}}
    """
    tree: dict[str, Any] = {}
    for (*path, last), leaf in zip(names, leaves, strict=True):
        branch = tree
        for name in path:
            branch = branch.setdefault(name, {})
        branch[last] = leaf
    return tree


def pick(names: tuple[Names, ...], tree: Any) -> list[Any]:
    """Undo `nest`.

    Example:
        >>> pick((("conv1", "kernel"), ("conv1", "bias")), {"conv1": {"kernel": 1, "bias": 2}})
        [1, 2]
    """
    leaves = []
    for path in names:
        branch = tree
        for name in path:
            branch = branch[name]
        leaves.append(branch)
    return leaves
