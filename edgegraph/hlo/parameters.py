"""Which arguments of a program are the parameters of a model.

An argument keeps its name in op_name, and its path in the tree that was handed in
(``m.layers[0].weight``). No list of names says what a parameter is: a tree is one of parameters as
a whole, or it is none. What stands below ``params`` is, as Flax has it. Of other trees those are
that hold numbers to compute with and nothing else, and that are no batch: arrays of a batch have
their first dimension in common. Where its name says nothing, a product reads one of its arrays as
it is: what moves in a simulation is handed in as a tree, too. An optimiser's state repeats the tree
of the parameters.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edgegraph.errors import InputError
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import BITS_BY_DTYPE, Shape, dtype_family
from edgegraph.hlo.sources import Sources

_ARGUMENT = re.compile(r"[^\W\d]\w*")
_STEP = re.compile(
    r"""\[(\d{1,19})\]|\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]|\.([^\W\d]\w*)""", re.DOTALL
)

PARAMETERS = "params"
"""How Flax calls the tree of the parameters; what is said to be that is called so."""

_ARGUMENT_LISTS = frozenset({"args", "kwargs"})
_STATISTICS = frozenset({"mean", "var", "count", "key"})
_OPTIMIZER = re.compile(r"opt.*|mu|nu|trace|ema.*")
_NOT_PARAMETERS = re.compile(rf"{_OPTIMIZER.pattern}|grads?|gradients|.*_stats|rngs")
_STATE = frozenset({"state", "opt_state", "variables", "batch_stats"})
_NAMED = re.compile(r".*(param|weight|model).*")
_INPUTS = re.compile(r"x|xs|y|ys|.*batch|inputs?|data|images?|tokens|labels?|targets?|.*mask|cache")

_NARROW = 8
"""Bits of integers that may be weights; wider ones count or name something."""

_DEEPEST = 8
"""Steps down to a tree of parameters; a damaged file may have any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterName:
    """Which parameter of the model an HLO parameter is.

    `path` is that of the module that owns it (``conv1``), without the model's own name and empty
    for the model itself; `leaf` is its name in that module (``kernel``).
    """

    path: str
    leaf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArguments:
    """What of a program's arguments a model keeps, by the names of their nodes.

    `held` are the parameters, and other state of the model or its optimiser.
    """

    parameters: Mapping[str, ParameterName] = field(default_factory=dict)
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One array in an argument's tree; `steps` begin with the argument's name."""

    name: str
    steps: tuple[str | int, ...]
    shape: Shape
    is_nnx: bool

    def lies_in(self, kind: re.Pattern[str], depth: int) -> bool:
        """Return whether one of the steps down to a depth is of a kind."""
        return any(isinstance(step, str) and kind.fullmatch(step) for step in self.steps[:depth])


@dataclass(frozen=True, slots=True)
class _Tree:
    """The leaves of an argument, or of a part of it that stands at `depth`."""

    depth: int
    leaves: Sequence[_Leaf]

    @property
    def name(self) -> str:
        return str(self.leaves[0].steps[self.depth - 1])

    @property
    def is_said(self) -> bool:
        """Whether its name, or NNX, says that it is one of parameters."""
        return _NAMED.fullmatch(self.name) is not None or any(leaf.is_nnx for leaf in self.leaves)

    @property
    def is_batch(self) -> bool:
        """Whether its arrays may be those of a batch: they have their first dimension in common."""
        first = {leaf.shape.dimensions[:1] for leaf in self.leaves}
        return len(first) == 1 and first != {()}

    @property
    def is_tuple(self) -> bool:
        return all(
            len(leaf.steps) == self.depth + 1 and isinstance(leaf.steps[-1], int)
            for leaf in self.leaves
        )

    def repeats(self, other: _Tree) -> bool:
        """Return whether it has arrays of the same names and shapes."""
        pairs = [
            {(leaf.steps[tree.depth :], leaf.shape.dimensions) for leaf in tree.leaves}
            for tree in (self, other)
        ]
        return pairs[0] <= pairs[1]


def model_arguments(nodes: Sequence[Node]) -> ModelArguments:
    """Find the parameters among the arguments of a program.

    ``params['blocks'][0]['dense']['kernel']`` is the ``kernel`` of ``blocks_0/dense``: integer
    indices join the name before them, as Flax names the members of lists.
    """
    leaves = _leaves(nodes)
    found: dict[str, ParameterName] = {}
    others: list[_Leaf] = []
    for leaf in leaves:
        start = _collection(leaf)
        if start is None:
            others.append(leaf)
        elif len(leaf.steps) > start and not leaf.lies_in(_NOT_PARAMETERS, start):
            found[leaf.name] = _parameter_name(leaf.steps, start)
    trees = [tree for tree in _trees(others) if not _INPUTS.fullmatch(tree.name)]
    repeated: list[_Tree] = []
    if any("transpose(" in node.instruction.op_name for node in nodes):
        repeated = [tree for at, tree in enumerate(trees) if any(map(tree.repeats, trees[:at]))]
    chosen = _of_parameters([tree for tree in trees if tree not in repeated], nodes)
    several = len(chosen) + bool(found) > 1
    for tree in chosen:
        for leaf in tree.leaves:
            found[leaf.name] = _parameter_name(leaf.steps, tree.depth - several)
    held = {leaf.name for tree in repeated for leaf in tree.leaves} | {
        leaf.name
        for leaf in leaves
        if leaf.steps[0] in _STATE or leaf.lies_in(_OPTIMIZER, len(leaf.steps) - 1)
    }
    return ModelArguments(parameters=found, held=frozenset(held | found.keys()))


def parameters_first(names: Sequence[str], params: str) -> tuple[str, ...]:
    """Return names of arrays in which those in the tree `params` are called so."""
    rests = [_below(name, params) for name in names]
    return tuple(
        name if rest is None else PARAMETERS + (rest or f"[{name!r}]")
        for name, rest in zip(names, rests, strict=True)
    )


def parameter_tree(names: Sequence[str], params: str | int) -> str:
    """Return the name of the tree of parameters among the `names` of arrays.

    It is given by name, or by the position of the argument among those that hold arrays.

    Raises:
        InputError: There is no array in an argument, or at a path in one, of that name.
    """
    known = list(dict.fromkeys(re.split(r"[.\[]", name)[0] for name in names if name))
    tree = params
    if isinstance(params, int):
        tree = known[params] if 0 <= params < len(known) else ""
    if tree != PARAMETERS and all(_below(name, str(tree)) is None for name in names):
        raise InputError(
            f"params={params!r} names no argument with arrays, nor a path in one; the arguments are"
            f" {', '.join(known) or 'not named'}"
        )
    return str(tree)


def _below(name: str, tree: str) -> str | None:
    """Return the rest of an array's name below a path in an argument; None where it is not in it.

    ``state.net`` and ``state['net']`` are one path.
    """
    wanted = _steps(tree)
    if not wanted or _steps(name)[: len(wanted)] != wanted:
        return None
    return name[_ends(name)[len(wanted) - 1] :]


def module_paths(parameters: Iterable[ParameterName]) -> frozenset[str]:
    """Return the paths of modules if one is called like a scope that JAX opens; else none."""
    found = {each.path for each in parameters}
    if not any("checkpoint" in path.split("/") for path in found):
        return frozenset()
    return frozenset(
        path[: end if end >= 0 else None]
        for path in found
        for end in [-1, *(place for place, letter in enumerate(path) if letter == "/")]
    )


def _leaves(nodes: Iterable[Node]) -> list[_Leaf]:
    """Return the arguments that stand in trees, in their order."""
    arguments = [node for node in nodes if node.parent is None and node.opcode == "parameter"]
    arguments.sort(key=lambda node: node.instruction.parameter_number or 0)
    found = []
    for node in arguments:
        steps = _steps(node.instruction.op_name)
        is_nnx = steps[-1:] in (("value",), ("raw_value",))
        steps = steps[: len(steps) - is_nnx]
        if len(steps) > 1:
            found.append(_Leaf(node.name, steps, node.instruction.shape, is_nnx))
    return found


def _steps(op_name: str) -> tuple[str | int, ...]:
    """Read an argument's path; empty if it is none."""
    return _path(op_name)[0]


def _ends(op_name: str) -> tuple[int, ...]:
    """Return where each step of an argument's path ends in its text."""
    return _path(op_name)[1]


@lru_cache(maxsize=2**14)
def _path(op_name: str) -> tuple[tuple[str | int, ...], tuple[int, ...]]:
    argument = _ARGUMENT.match(op_name)
    if argument is None:
        return (), ()
    steps: list[str | int] = [argument.group()]
    ends = [argument.end()]
    while step := _STEP.match(op_name, ends[-1]):
        index, key, attribute = step.groups()
        steps.append(int(index) if index else _unquote(key) if key else attribute)
        ends.append(step.end())
    return (tuple(steps), tuple(ends)) if ends[-1] == len(op_name) else ((), ())


def _unquote(text: str) -> str:
    """Read a key as Python wrote it; text that is no literal is taken as it stands."""
    if text[1:-1].isidentifier():
        return text[1:-1]
    try:
        key = str(ast.literal_eval(text))
        key.encode()  # A lone surrogate could be neither shown nor saved.
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text[1:-1]
    return key


def _collection(leaf: _Leaf) -> int | None:
    """Return the depth below ``params``."""
    if PARAMETERS not in leaf.steps[:-1]:
        return None
    start = leaf.steps.index(PARAMETERS)
    while leaf.steps[start : start + 1] == (PARAMETERS,):
        start += 1
    return start


def _trees(leaves: Iterable[_Leaf]) -> list[_Tree]:
    """Split arguments into the largest trees that hold nothing but numbers to compute with."""
    found: list[_Tree] = []
    waiting = [(1, [leaf for leaf in leaves if not _is_other_state(leaf)])]
    while waiting:
        depth, members = waiting.pop(0)
        groups: dict[tuple[str | int, ...], list[_Leaf]] = {}
        for leaf in members:
            groups.setdefault(leaf.steps[:depth], []).append(leaf)
        for prefix, group in groups.items():
            inside = [leaf for leaf in group if len(leaf.steps) > depth]
            computes = len(inside) == len(group) and all(_computes(leaf.shape) for leaf in group)
            if computes and prefix[-1] not in _ARGUMENT_LISTS:
                found.append(_Tree(depth, inside))
            elif inside and depth < _DEEPEST:
                waiting.append((depth + 1, inside))
    return found


def _is_other_state(leaf: _Leaf) -> bool:
    if leaf.lies_in(_NOT_PARAMETERS, len(leaf.steps) - 1):
        return True
    return leaf.steps[-1] in _STATISTICS if leaf.is_nnx else leaf.steps[0] in _STATE


def _computes(shape: Shape) -> bool:
    """Return whether an array holds floats, or integers as narrow as those of quantised weights."""
    family = dtype_family(shape.dtype)
    return family in "fc" or (family == "s" and BITS_BY_DTYPE[shape.dtype] <= _NARROW)


def _of_parameters(trees: Sequence[_Tree], nodes: Sequence[Node]) -> list[_Tree]:
    """Choose those of parameters: JAX differentiates the first argument, batches come behind."""
    said = [tree.is_said for tree in trees]
    multiplied = frozenset() if all(said) else _multiplied(nodes)
    return [
        tree
        for place, tree in enumerate(trees)
        if said[place]
        or (
            (not tree.is_batch or (not place and not tree.is_tuple))
            and any(leaf.name in multiplied for leaf in tree.leaves)
        )
    ]


def _multiplied(nodes: Sequence[Node]) -> frozenset[str]:
    """Name the values that products or library calls read, as they are or rearranged."""
    sources = Sources(nodes)
    found: set[int] = set()
    for at in reversed(range(len(nodes))):
        node = nodes[at]
        called = node.opcode == "custom-call" and node.instruction.custom_call_target
        if (
            called
            or node.opcode in opcodes.PRODUCTS
            or (at in found and node.opcode in opcodes.SAME_VALUES | {"dynamic-slice"})
        ):
            found.update(sources.of(at))
    return frozenset(nodes[at].name for at in found)


def _parameter_name(steps: Sequence[str | int], start: int) -> ParameterName:
    """Name a parameter by its path from a depth on."""
    if isinstance(steps[start], int):
        start -= 1
    names: list[str] = []
    for step in steps[start:]:
        if isinstance(step, int) and names:
            names[-1] += f"_{step}"
        else:
            names.append(str(step))
    *modules, leaf = names
    # Haiku names a module by its path in one key, with ~ for what its caller's constructor made.
    parts = [part for part in "/".join(modules).split("/") if part and not part.startswith("~")]
    return ParameterName(path="/".join(parts), leaf=leaf)
