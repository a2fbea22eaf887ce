"""What a training step differentiates: found, and changed, while the step is traced.

A step holds its own gradient, and its loss is a function somewhere inside it. While it is traced,
every function that `jax.grad`, `jax.value_and_grad` or `jax.vjp` takes the derivative of passes
through here: to look at it, or to put another in its place.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any
from unittest.mock import patch

import jax
from jax.extend import core

from edgegraph import xla
from edgegraph.compiler.scopes import module_scopes
from edgegraph.errors import USER_ERRORS, CompileError, EdgeGraphError, InputError, first_line
from edgegraph.workload import Call, Workload

Change = Callable[["Differentiated"], Callable[..., Any]]
"""From what is differentiated to the function that is to be differentiated in its place."""

# Keeps what is traced here from being taken out of JAX's caches, and from being left to others.
_traced = jax.make_user_context(None)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differentiated:
    """A function whose derivative a step takes, while the step is traced.

    Attributes:
        number: Which one of the step's it is, from 0 on.
        function: The function.
        primals: Its arguments, as the trace has them.
        has_aux: Whether it returns a pair whose second part is not differentiated.
    """

    number: int
    function: Callable[..., Any]
    primals: tuple[Any, ...]
    has_aux: bool

    def forward(self) -> core.ClosedJaxpr:
        """Return what it computes."""
        return jax.make_jaxpr(self.function)(*self.primals)

    def residuals(self) -> core.ClosedJaxpr:
        """Return its forward pass with what that saves for the backward pass as its results.

        JAX's own account of these is `jax.ad_checkpoint.print_saved_residuals`.
        """

        def saved(*primals: Any) -> Any:
            if self.has_aux:
                return jax.vjp(self.function, *primals, has_aux=True)[1]
            return jax.vjp(self.function, *primals)[1]

        return jax.make_jaxpr(saved)(*self.primals)


def look_at_derivatives(
    workload: Workload, batch: int, look: Callable[[Differentiated], None]
) -> None:
    """Trace a workload, and hand over every function that it differentiates.

    Raises:
        InputError: It takes no derivative by `jax.grad`, `value_and_grad` or `vjp` in its trace.
        CompileError: It does not trace.
    """
    seen = 0

    def change(found: Differentiated) -> Callable[..., Any]:
        nonlocal seen
        seen += 1
        look(found)
        return found.function

    call = _changed(workload.call(batch), change, workload.name)
    try:
        with module_scopes():
            jax.make_jaxpr(call.function)(*call.abstract)
    except EdgeGraphError:
        raise
    except USER_ERRORS as error:
        what = f"{workload.name} at batch {batch} does not trace: {first_line(error)}"
        raise CompileError(what) from error
    if not seen:
        raise InputError(
            f"{workload.name} takes no derivative by jax.grad, value_and_grad or vjp; give a"
            " training step, such as Workload.train_step makes"
        )


def with_derivatives_of(workload: Workload, change: Change) -> Workload:
    """Return a workload that differentiates what `change` returns of its losses."""

    def call(batch: int) -> Call:
        return _changed(workload.call(batch), change, workload.name)

    return replace(workload, call=call)


def _changed(call: Call, change: Change, name: str) -> Call:
    if call.stage is not None and not call.keywords:
        raise InputError(
            f"{name} was traced or lowered already, and what it differentiates cannot be told; give"
            " the function"
        )
    function = call.function

    @wraps(function)
    def changed(*arguments: Any) -> Any:
        count = itertools.count()

        def one(function: Callable[..., Any], primals: Sequence[Any], has_aux: bool) -> Any:
            return change(
                Differentiated(
                    number=next(count), function=function, primals=tuple(primals), has_aux=has_aux
                )
            )

        with _traced(next(_numbers)), _differentiating(one):
            return function(*arguments)

    return replace(call, function=changed, stage=None)


_one_thread = threading.RLock()


@contextmanager
def _differentiating(one: Callable[..., Any]) -> Iterator[None]:
    """Differentiate what `one` returns, wherever this thread takes a derivative backwards.

    Derivatives inside of that, and inside of `one`, are left as they are.
    """
    module = xla.derivatives()
    thread, inside = threading.get_ident(), [False]
    with _one_thread:
        plain = module.vjp

        def vjp(function: Any, *primals: Any, **more: Any) -> Any:
            if inside[0] or threading.get_ident() != thread:
                return plain(function, *primals, **more)
            inside[0] = True
            try:
                changed = one(function, primals, bool(more.get("has_aux")))
                return plain(changed, *primals, **more)
            finally:
                inside[0] = False

        with patch.object(module, "vjp", vjp), patch.object(jax, "vjp", vjp):
            yield
