"""Module names for NNX: while a function is traced, every call of a module opens its scope.

Flax linen writes the path of its modules into the graph, NNX does not. Here the methods of all
NNX module classes are wrapped for the time of a trace, so that a call runs under
`jax.named_scope`: the class name for the outermost module, below it the names that linen would
give (``SmallCNN/conv1``, ``Net/blocks_0/attention``). Nothing else about the trace changes.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
from flax import linen, nnx

from edgegraph.workload.nnx_model import named_members

_PATH = "_edgegraph_path"
"""Static attribute in which a module carries its path through Flax's transformations."""

# Keeps functions that were traced without scopes from being taken out of JAX's caches here, and
# those that were traced here from being left to others.
_traced = jax.make_user_context(None)


class _Trace(threading.local):
    """What is being traced in this thread, `depth` times inside of `module_scopes`.

    `active` are the paths of the modules that run, outermost first; `paths` those of the modules
    below these, by identity. `carry` says whether modules carry their path.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.carry = True
        self.active: list[str] = []
        self.paths: dict[int, str] = {}


_trace = _Trace()


@contextmanager
def module_scopes(*, carry: bool = True) -> Iterator[None]:
    """Name the modules of Flax in all that this thread traces inside.

    A module is found by its identity. The transformations of Flax and JAX (`nnx.jit`,
    `nnx.scan`, `nnx.remat`, ...) hand new instances to the function that they transform; these
    are found by a static attribute that every module carries while its outermost one runs.

    Without `carry` they do not carry it: it makes the tree structures of two like modules differ,
    which a model notices if it maps over several at once. What can be found by identity is named
    all the same, and new instances by their class.
    """
    with ExitStack() as stack:
        stack.enter_context(_traced("carry" if carry else "identity"))
        stack.enter_context(linen.override_named_call(True))
        stack.enter_context(_wrapped_methods())
        before = _trace.carry
        _trace.depth, _trace.carry = _trace.depth + 1, carry
        try:
            yield
        finally:
            _trace.depth, _trace.carry = _trace.depth - 1, before


_lock = threading.Lock()
_users = 0
_originals: list[tuple[type, str, Any]] = []


@contextmanager
def _wrapped_methods() -> Iterator[None]:
    """Wrap the methods of all NNX module classes; the last to leave restores them."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _wrap_all()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                while _originals:
                    owner, name, original = _originals.pop()
                    setattr(owner, name, original)


def _wrap_all() -> None:
    waiting = type.__subclasses__(nnx.Module)
    seen: set[type] = set()
    while waiting:
        owner = waiting.pop()
        if owner in seen:
            continue
        seen.add(owner)
        waiting += type.__subclasses__(owner)
        if owner in (nnx.List, nnx.Dict):
            continue  # they hold modules and compute nothing
        for name, member in list(vars(owner).items()):
            if _is_method(name, member):
                _originals.append((owner, name, member))
                setattr(owner, name, _scoped(member))


def _is_method(name: str, member: Any) -> bool:
    """Return whether a member of a class is a public method, jitted or not."""
    if name.startswith("_") and name != "__call__":
        return False
    return callable(member) and hasattr(member, "__get__") and not isinstance(member, staticmethod)


def _scoped(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        # A function in a class may also be called through the class, without an instance.
        if not _trace.depth or not args or not isinstance(args[0], nnx.Module):
            return method(*args, **kwargs)
        with _scope(args[0]):
            return method(*args, **kwargs)

    return scoped


@contextmanager
def _scope(module: Any) -> Iterator[None]:
    """Open the scope of a module, relative to the one that runs."""
    with ExitStack() as stack:
        path = _known_path(module)
        if path is None:
            path = stack.enter_context(_outermost(module))
        current = _trace.active[-1] if _trace.active else ""
        if path != current:
            # A module that is shared with another branch of the model shows under its caller.
            below = path.removeprefix(f"{current}/") if current else path
            relative = path.rpartition("/")[2] if current and below == path else below
            stack.enter_context(jax.named_scope(relative))
        _trace.active.append(path)
        stack.callback(_trace.active.pop)
        yield


@contextmanager
def _outermost(module: Any) -> Iterator[str]:
    """Name all modules below an unknown one by their paths, for as long as it runs."""
    name = type(module).__name__
    path = f"{_trace.active[-1]}/{name}" if _trace.active else name
    below = [
        (f"{path}/{'/'.join(names)}" if names else path, member)
        for names, member in named_members(module)
        if isinstance(member, nnx.Module) and _known_path(member) is None
    ]
    for member_path, member in below:
        _trace.paths[id(member)] = member_path
        if _trace.carry:
            vars(member)[_PATH] = member_path
    try:
        yield path
    finally:
        for _, member in below:
            _trace.paths.pop(id(member), None)
        # The call may have put other instances into the places of these.
        for member in (*(m for _, m in below), *(m for _, m in named_members(module))):
            carried = vars(member).get(_PATH) if isinstance(member, nnx.Module) else None
            if carried is not None and f"{carried}/".startswith(f"{path}/"):
                del vars(member)[_PATH]


def _known_path(module: Any) -> str | None:
    found: str | None = _trace.paths.get(id(module)) or vars(module).get(_PATH)
    return found
