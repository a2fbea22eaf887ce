"""Decisions as data: which rule replaces which sites, and the file that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp
import msgspec

from edgegraph.base.files import replacing
from edgegraph.errors import FormatError, InputError
from edgegraph.rewrites.folding import folded
from edgegraph.rewrites.prepared import Split, split
from edgegraph.rewrites.rewriter import Decisions, rewritten
from edgegraph.rewrites.rule import rules
from edgegraph.workload import Call, Workload

FORMAT = "edgegraph rewrites"
VERSION = 3
VERSIONS = (1, 2, VERSION)
"""Version 1 had no compiler options, version 2 no donation."""

MOST_BYTES = 16 << 20
"""A file of decisions has some kilobytes."""


Options = Mapping[str, str | int | float | bool]
"""XLA compiler options by name."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    decisions: dict[str, str]
    compiler_options: dict[str, str | int | float | bool] = {}
    donate_argnums: tuple[int, ...] = ()


class Decided(NamedTuple):
    """The content of a decisions file: rules by signature, XLA options, arguments to donate."""

    decisions: Decisions
    compiler_options: Options = MappingProxyType({})
    donate_argnums: tuple[int, ...] = ()


def save_decisions(
    decisions: Decisions,
    path: str | Path,
    compiler_options: Options | None = None,
    donate_argnums: Sequence[int] = (),
) -> Path:
    """Write decisions to a file, atomically.

    Args:
        decisions: Names of rules by signature.
        path: Usually ``*.rewrites``.
        compiler_options: XLA options that the function is to be compiled with.
        donate_argnums: Arguments that it is to donate.

    Raises:
        InputError: The folder does not exist or cannot be written.
    """
    target = Path(path)
    content = _File(
        format=FORMAT,
        version=VERSION,
        decisions=dict(decisions),
        compiler_options=dict(compiler_options or {}),
        donate_argnums=tuple(donate_argnums),
    )
    with replacing(target) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))
    return target


def load_decisions(path: str | Path) -> Decided:
    """Read decisions from a file, with XLA options and donated arguments.

    Raises:
        InputError: It cannot be read, or names a rule that is not registered.
        FormatError: It is not a file of decisions.
    """
    source = Path(path)
    try:
        size = source.stat().st_size
        data = source.read_bytes() if size <= MOST_BYTES else None
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error
    if data is None:
        raise FormatError(f"{source} has {size} bytes; decisions have {MOST_BYTES} at most")
    try:
        found = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{source} is not a file of decisions: {error}") from error
    if found.format != FORMAT or found.version not in VERSIONS:
        raise FormatError(
            f"{source} is {found.format!r}, version {found.version}; expected {FORMAT!r}, version"
            f" {' or '.join(map(str, VERSIONS))}"
        )
    unknown = sorted(set(found.decisions.values()) - set(rules()))
    if unknown:
        raise InputError(
            f"{source} names the rewrite {unknown[0]!r}, which is not registered; known are"
            f" {', '.join(sorted(rules()))}"
        )
    return Decided(found.decisions, found.compiler_options, found.donate_argnums)


@overload
def rewrite(
    function: Callable[..., Any], decisions: str | Path | Decisions
) -> Callable[..., Any]: ...


@overload
def rewrite(
    function: str | Path | Decisions,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def rewrite(
    function: Callable[..., Any] | str | Path | Decisions,
    decisions: str | Path | Decisions | None = None,
) -> Callable[..., Any]:
    """Apply saved decisions to a function; also as a decorator, ``@rewrite("fast.rewrites")``.

    Sites of other shapes than the decided ones stay as they are. XLA options and donated
    arguments are attributes of the function, as only `jax.jit` can take them; there may be none:
    ``jax.jit(fast, compiler_options=fast.compiler_options, donate_argnums=fast.donate_argnums)``.

    Args:
        function: Any JAX function, jitted or not; as a decorator, the decisions.
        decisions: The file that `edgegraph improve --save` wrote, or the decisions.

    Returns:
        A function of the same arguments and results; jit it, differentiate it, vmap it.

    Raises:
        InputError: The file cannot be read, or names an unknown rule.
        FormatError: It is not a file of decisions.

    Example:
        >>> import jax.numpy as jnp, edgegraph as eg
        >>> fast = eg.rewrite(jnp.tanh, {})
        >>> float(fast(jnp.zeros(())))
        0.0
    """
    if decisions is None:
        assert not callable(function)
        return partial(_applied, _read(function))
    assert callable(function)
    return _applied(_read(decisions), function)


def _read(decisions: str | Path | Decisions) -> Decided:
    return load_decisions(decisions) if isinstance(decisions, str | Path) else Decided(decisions)


def _applied(decided: Decided, function: Callable[..., Any]) -> Callable[..., Any]:
    fast: Any = rewritten(function, decided.decisions)
    fast.compiler_options = decided.compiler_options
    fast.donate_argnums = decided.donate_argnums
    return fast  # type: ignore[no-any-return]


def rewritten_workload(
    workload: Workload,
    decisions: Decisions,
    compiler_options: Options | None = None,
    donate: Sequence[int] = (),
) -> Workload:
    """Return a workload whose function has some of its equations replaced.

    Its MACs stay those of the plain one, layer by layer.

    Args:
        workload: What to rewrite.
        decisions: Names of rules by signature.
        compiler_options: XLA options that it is compiled with besides its own.
        donate: Positions of arguments that it donates besides its own.
    """

    def call(batch: int, **sizes: int) -> Call:
        plain = workload.call(batch, **sizes)
        return replace(
            plain,
            function=rewritten(plain.function, decisions),
            original=plain.original or plain.function,
            donate=(*plain.donate, *donate),
            keywords=(),
            stage=None,
        )

    return replace(
        workload,
        name=f"{workload.name}_improved",
        call=call,
        compiler_options={**workload.compiler_options, **(compiler_options or {})},
    )


def prepared_halves(call: Call, decisions: Decisions, fold: bool) -> Split:
    """Return the rewritten function of a call in two: of its weights alone, and the rest.

    Args:
        call: The plain one.
        decisions: Names of rules by signature.
        fold: Whether batch norms and their like are folded into the weights before them.
    """
    function = call.function
    if fold:
        function = folded(function, call.abstract, call.held).function
    return split(rewritten(function, decisions), call.abstract, call.held)


def prepared_workload(workload: Workload, decisions: Decisions, fold: bool = False) -> Workload:
    """Return a workload of the data alone, beside the values prepared from its weights.

    Its MACs stay those of the plain one, layer by layer.
    """

    def call(batch: int, **sizes: int) -> Call:
        plain = workload.call(batch, **sizes)
        held = plain.held
        halves = prepared_halves(plain, decisions, fold)
        model = plain.original or plain.function

        def original(prepared: Any, *data: Any) -> Any:
            zeros = jax.tree.map(
                lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), plain.abstract[:held]
            )
            return model(*zeros, *data)

        def concrete() -> tuple[Any, ...]:
            arguments = plain.concrete()
            return jax.jit(halves.prepare)(*arguments[:held]), *arguments[held:]

        return replace(
            plain,
            function=halves.run,
            donate=(),
            keywords=(),
            stage=None,
            abstract=(halves.values, *plain.abstract[held:]),
            concrete=concrete,
            original=original,
            held=1,
        )

    return replace(workload, name=f"{workload.name}_prepared", call=call)
