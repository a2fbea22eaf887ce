"""Decisions as data: which rule replaces which sites, in a file that names nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import msgspec

from edgegraph.base.files import replacing
from edgegraph.errors import FormatError, InputError
from edgegraph.rewrites.rewriter import Decisions, rewritten
from edgegraph.rewrites.rule import rules
from edgegraph.workload import Call, Workload

FORMAT = "edgegraph rewrites"
VERSION = 1
MOST_BYTES = 16 << 20
"""A file of decisions has some kilobytes."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    decisions: dict[str, str]


def save_decisions(decisions: Decisions, path: str | Path) -> Path:
    """Write decisions to a file, atomically.

    Args:
        decisions: Names of rules by signature.
        path: Usually ``*.rewrites``.

    Raises:
        InputError: The folder does not exist or cannot be written.
    """
    target = Path(path)
    content = _File(format=FORMAT, version=VERSION, decisions=dict(decisions))
    with replacing(target) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))
    return target


def load_decisions(path: str | Path) -> Mapping[str, str]:
    """Read decisions from a file.

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
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise FormatError(f"{source} is not a file of decisions: {error}") from error
    if (found.format, found.version) != (FORMAT, VERSION):
        raise FormatError(
            f"{source} is {found.format!r}, version {found.version}; expected {FORMAT!r}, version"
            f" {VERSION}"
        )
    unknown = sorted(set(found.decisions.values()) - set(rules()))
    if unknown:
        raise InputError(
            f"{source} names the rewrite {unknown[0]!r}, which is not registered; known are"
            f" {', '.join(sorted(rules()))}"
        )
    return found.decisions


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

    Sites of other shapes than those that were decided on stay as they are.

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
        return partial(_decided, _read(function))
    assert callable(function)
    return rewritten(function, _read(decisions))


def _read(decisions: str | Path | Decisions) -> Decisions:
    return load_decisions(decisions) if isinstance(decisions, str | Path) else decisions


def _decided(decisions: Decisions, function: Callable[..., Any]) -> Callable[..., Any]:
    return rewritten(function, decisions)


def rewritten_workload(workload: Workload, decisions: Decisions) -> Workload:
    """Return a workload whose function has some of its equations replaced.

    Its MACs stay those of the plain one, layer by layer.
    """

    def call(batch: int) -> Call:
        plain = workload.call(batch)
        return replace(
            plain,
            function=rewritten(plain.function, decisions),
            original=plain.original or plain.function,
        )

    return replace(workload, name=f"{workload.name}_improved", call=call)
