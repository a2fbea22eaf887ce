"""What an instruction's op_name says: the layer, the phase, the primitive.

JAX writes the stack of named scopes into op_name, with every transformation it applied as a
wrapper: ``jit(step)/transpose(jvp(Net))/conv1/dot_general`` is a dot in layer ``Net/conv1``, in
the backward pass. The forms read here are those that jax 0.10 to 0.12 and Flax really write;
the tests hold examples of each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, pairwise

OPTIMIZER_SCOPE = "optimizer"
"""Named scope of the optimiser in a train step; what is in it is the phase ``update``."""

LOSS_SCOPE = "loss"
"""Named scope of the loss in a train step."""

UNATTRIBUTED = "(unattributed)"
"""Stands for the layer of ops that are in no scope."""

OWN = "(own)"
"""Last part of the name of what a layer does itself, beside the layers below it."""

_WRAPPER = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_AROUND_SCOPES = frozenset({"jvp", "transpose", "vmap", "linearize", "remat", "checkpoint"})
_DIFFERENTIATES = frozenset({"jvp", "transpose", "linearize"})
_AROUND_FUNCTION = frozenset({"jit", "pjit", "pmap", "core_call", "custom_partitioning"})

_PAIRS = {"while": re.compile(r"body|cond|body_pred"), "cond": re.compile(r"branch_\d+_fun")}
"""Control flow is written as two scopes; ``cond`` or ``body`` alone may be a user's layer."""

_RANDOM = re.compile(r"(?:\w+\()*jit\(_threefry\w*\)+")

_INSIDE_FUNCTION = "<locals>"
"""Stands in the name of a Python function that was made by another one, and in no layer's."""

_OUT_OF_LINE = frozenset({"reduce", "reduce_window"})
"""What JAX makes of argmax, beside an iota, and of cumulative sums, in functions of their own."""

_BODY = "eval_jaxpr"
"""How jax 0.12 calls the body of a loop; jax 0.10 says ``closed_call``."""

_REMATERIALISED = "rematted_computation"
"""Scope of what the backward pass computes once more, instead of having kept it."""

_CHECKPOINT = "checkpoint"
"""Scope of what `jax.checkpoint` runs; it may be a user's layer."""

_MOST_CHECKPOINTS = 4
"""Nested ones for which all readings are tried."""

_CALLS = frozenset(
    {
        "closed_call", "core_call", _CHECKPOINT, "remat2", "pjit", "shard_map",
        _REMATERIALISED, "call_exported", "custom_jvp_call", "custom_vjp_call",
        "custom_vjp_call_jaxpr",
    }
)  # fmt: skip

_EINSUM = re.compile(r"[\w.,]*->[\w.]*")
"""``jnp.einsum`` opens a scope that is called like its subscripts."""

_MAX_NESTING = 100
"""Parentheses in an op_name; no program nests as deep, a damaged file may."""

MOST_SCOPES = 500
"""Scopes in the path of a layer; what lies deeper belongs to the last of these. Real programs stay
below 50."""

_METHOD = re.compile(r"([^\W\d]\w*)\.[^\W\d]\w*")
_PARAMETER = re.compile(r"""[^\W\d]\w*(?:\[(?:\d+|'[^']*'|"[^"]*")\]|\.[^\W\d]\w*)+""")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpName:
    """What an op_name says.

    Attributes:
        phase: ``forward``, ``backward``, ``rematerialised`` or ``update``.
        layer: Path of named scopes (``Net/conv1``), or None where there is none.
        primitive: The last component: the JAX primitive (``dot_general``), or "".
        differentiated: Whether it stands in a function that JAX differentiates.
    """

    phase: str
    layer: str | None
    primitive: str
    differentiated: bool = False


@dataclass(frozen=True, slots=True)
class _Scope:
    """One scope: its name, or "" for a jitted function, and the wrappers around it."""

    name: str
    wrappers: frozenset[str]


@lru_cache(maxsize=1 << 16)
def parse_op_name(op_name: str, modules: frozenset[str] = frozenset()) -> OpName:
    """Read the op_name of an instruction.

    Where XLA has merged instructions it joins their names with ``;``; the first that names a
    layer counts. `modules` are paths of modules, one of which is called ``checkpoint``, without
    the network's own name: JAX opens a scope of that name, too.
    """
    if _PARAMETER.fullmatch(op_name):
        return OpName(phase="forward", layer=None, primitive="")
    names = [_parse(part, modules) for part in op_name.split(";")]
    return next((name for name in names if name.layer is not None), names[0])


def qualify_op_name(op_name: str, caller: str) -> str:
    """Complete the op_name of an instruction inside a computation that a ``call`` runs.

    Before optimisation, JAX writes the op_names inside a function relative to its call; when
    XLA inlines the call it puts the two together in the same way.
    """
    root = caller.partition("/")[0]
    if not op_name or not caller or op_name == root or op_name.startswith(root + "/"):
        return op_name
    return f"{caller}/{op_name}"


def without_functions(op_names: Sequence[str]) -> Sequence[str]:
    """Take names of Python functions out of the op_names of a program.

    Some primitives become functions of their own, which are called like the Python function that
    uses them: an argmax in ``Net`` is ``Net/rollout/reduce``, and nothing else is in ``rollout``.
    """
    following: dict[str, set[str]] = {}
    for op_name in set(op_names):
        for one in op_name.split(";"):
            for scope, after in pairwise(one.split("/")):
                following.setdefault(scope, set()).add(after)
    functions = {
        scope
        for scope, after in following.items()
        if (more := after - {scope, "iota"}) and more <= _OUT_OF_LINE and _may_be_function(scope)
    }
    if not functions:
        return op_names
    return [
        "/".join(part for part in op_name.split("/") if part not in functions)
        for op_name in op_names
    ]


def _may_be_function(scope: str) -> bool:
    named = scope.replace(".", "").isidentifier()
    return named and not _in_a_pair(scope) and scope not in _CALLS


def _in_a_pair(scope: str) -> bool:
    return any(pair.fullmatch(scope) for pair in _PAIRS.values())


_ANY = "primitive"
"""Stands for every primitive whose name is of no matter to what is said before it."""


def _parse(op_name: str, modules: frozenset[str]) -> OpName:
    """Read a name alone; what stands before the primitive is read once for all in one scope."""
    path, _, primitive = op_name.rpartition("/")
    if path and primitive.isidentifier() and not _in_a_pair(primitive):
        alike = _parse_whole(f"{path}/{_ANY}", modules)
        if alike.primitive == _ANY:  # no parenthesis is open before it
            return replace(alike, primitive=primitive)
    return _parse_whole(op_name, modules)


@lru_cache(maxsize=1 << 14)
def _parse_whole(op_name: str, modules: frozenset[str]) -> OpName:
    if op_name.count("(") > _MAX_NESTING:
        return OpName(phase="forward", layer=None, primitive="")
    *scopes, primitive = _split(op_name)
    scopes = _without_echo(scopes)
    read = [scope for text in scopes for scope in _component(text)]
    last = [scope for scope in _component(primitive) if not scope.name]
    path = max(
        (_layer_path([*kept, *last[-1:]]) for kept in _readings(read, primitive, modules)),
        key=lambda path: len(path) if _is_module(path, modules) else 0,
    )
    phase = "forward"
    wrappers = frozenset().union(*(scope.wrappers for scope in (*read, *last)))
    if "transpose" in wrappers:
        phase = "rematerialised" if _REMATERIALISED in scopes else "backward"
    if path and path[0] == OPTIMIZER_SCOPE:
        phase = "update"
    return OpName(
        phase=phase,
        layer="/".join(path[:MOST_SCOPES]) or None,
        primitive=primitive,
        differentiated=not wrappers.isdisjoint(_DIFFERENTIATES),
    )


def _without_echo(scopes: list[str]) -> list[str]:
    """Cut off what stands behind a path that is complete.

    Inside JAX's random number generator the name of the Python function that called it follows
    (``jit(_threefry_split)/Dropout.__call__/while``), behind some loops the whole path again
    (``jit(f)/Net/jit(_uniform)/while/jit(f)/Net``).
    """
    for position, text in enumerate(scopes):
        if _RANDOM.fullmatch(text):
            return scopes[: position + 1]
        if text == "while" and scopes[0] in scopes[position + 1 :][:1]:
            return scopes[:position]
    return scopes


def _split(text: str) -> list[str]:
    """Split at the slashes that stand outside of parentheses."""
    if "(" not in text and ")" not in text:
        return text.split("/")
    parts = [""]
    depth = 0
    for piece in re.split(r"([/()])", text):
        if piece == "/" and depth == 0:
            parts.append("")
            continue
        depth = max(0, depth + (piece == "(") - (piece == ")"))
        parts[-1] += piece
    return parts


@lru_cache(maxsize=1 << 14)
def _component(text: str) -> tuple[_Scope, ...]:
    """Read one component, the same of which stand in many op_names."""
    return tuple(_read_scope(text, frozenset()))


def _read_scope(text: str, wrappers: frozenset[str]) -> Iterator[_Scope]:
    """Peel one component; what a transformation wraps may itself be a path."""
    wrapped = _WRAPPER.fullmatch(text)
    if wrapped is None or wrapped[1] not in _AROUND_SCOPES | _AROUND_FUNCTION:
        yield _Scope(text, wrappers)
    elif wrapped[1] in _AROUND_FUNCTION:
        yield _Scope("", wrappers)
    else:
        for inner in _split(wrapped[2]):
            yield from _read_scope(inner, wrappers | {wrapped[1]})


def _readings(
    scopes: list[_Scope], primitive: str, modules: frozenset[str]
) -> Iterator[list[_Scope]]:
    """Drop what names JAX's own calls; of those that may be modules, with and without them."""
    unclear = [at for at, scope in enumerate(scopes) if modules and scope.name == _CHECKPOINT]
    for count in range(min(len(unclear), _MOST_CHECKPOINTS) + 1):
        for layers in combinations(unclear, count):
            yield _without_control_flow(scopes, primitive, layers)


def _is_module(path: list[str], modules: frozenset[str]) -> bool:
    return "/".join(path[1:]) in modules or "/".join(path) in modules


def _without_control_flow(
    scopes: list[_Scope], primitive: str, layers: Collection[int]
) -> list[_Scope]:
    """Drop what names loops, branches and calls of JAX's own, but for some that are `layers`."""
    kept: list[_Scope] = []
    second_of_pair = False
    backward = any("transpose" in scope.wrappers for scope in scopes)
    body_start: int | None = None
    names = [*(scope.name for scope in scopes[1:]), primitive]
    for at, (scope, following) in enumerate(zip(scopes, names, strict=False)):
        if second_of_pair:
            second_of_pair = False
            continue
        pair = _PAIRS.get(scope.name)
        if pair is not None and pair.fullmatch(following):
            second_of_pair = True
            body_start = len(kept)
        elif scope.name not in _CALLS or at in layers or "jvp" in scope.wrappers:
            kept.append(scope)
            body_start = len(kept) if scope.name == _BODY else body_start
        elif scope.name == _CHECKPOINT and backward and body_start is not None:
            # In a loop, what is rematerialised has the path in the body twice in the backward pass:
            # transpose(jvp(Net))/while/body/closed_call/block/block/checkpoint/dot_general.
            _drop_repetition(kept, body_start)
    return kept


def _layer_path(scopes: list[_Scope]) -> list[str]:
    """Keep the scopes that are layers."""
    path: list[str] = []
    transposed: set[str] = set()
    differentiated = False
    body_start: int | None = None
    before = ""
    for scope in scopes:
        name = scope.name
        differentiated |= "jvp" in scope.wrappers
        if name == _BODY:
            body_start = len(path)
        elif name and _INSIDE_FUNCTION not in name and not _EINSUM.fullmatch(name):
            if "transpose" in scope.wrappers:
                transposed.add(name)
            elif "jvp" in scope.wrappers and name in transposed and name in path:
                # In the backward pass, rematerialised and custom rules start the path again:
                # transpose(jvp(Net))/block/jvp(Net)/block/checkpoint/dot_general.
                del path[path.index(name) :]
            _append_layer(path, name, before)
        elif differentiated and body_start is not None:
            _drop_repetition(path, body_start)
        before = name
    return path


def _append_layer(path: list[str], name: str, before: str) -> None:
    """Append a scope; Flax linen writes module.method where the method is not __call__.

    Where that calls the module itself, its name follows again: LSTMCell_0.scan_fn/LSTMCell_0/ii.
    """
    method = _METHOD.fullmatch(name)
    calls = _METHOD.fullmatch(before)
    if method is None:
        if calls is None or calls[1] != name:
            path.append(name)
    elif path[-1:] != [method[1]]:
        path.append(method[1])


def _drop_repetition(path: list[str] | list[_Scope], start: int) -> None:
    """Undo how jax names what is differentiated in a loop.

    In jax 0.12 also custom derivatives: eval_jaxpr/block/block/jit(relu).
    """
    half = (len(path) - start) // 2
    if half and path[start : start + half] == path[start + half :]:
        del path[start + half :]


def scope_of(layer: str | None) -> str:
    """Return the scope that a row of a layer, or what it does itself, stands for."""
    return UNATTRIBUTED if layer is None else layer.removesuffix(f"/{OWN}")


def is_own(layer: str) -> bool:
    """Return whether a row is only what a layer does itself, without the layers below it."""
    return layer.endswith(f"/{OWN}")


def lies_in(layer: str, scope: str) -> bool:
    """Return whether a layer is a scope, or lies below it."""
    return layer == scope or layer.startswith(f"{scope}/")
