"""Executables as calls that can be timed: arguments on the device, results waited for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph import xla
from edgegraph.allocator import warm_malloc
from edgegraph.compiler.program import Program
from edgegraph.errors import EdgeGraphError, InputError, UnsupportedVersionError


class ExecutableCall:
    """One call of an executable that blocks until the whole output tree is there.

    An executable may consume (donate) arguments. Each of those is then replaced after the call:
    by the result that took over its buffer, or by a fresh copy where no result did.

    Attributes:
        arguments: What the next call is handed.
        after: Replaces what the last call consumed; None if it consumes nothing.
    """

    def __init__(self, executable: Any, arguments: Sequence[Any]) -> None:
        warm_malloc()
        self._executable = executable
        self.arguments = tuple(arguments)
        self.after: Callable[[object], None] | None = None
        donated = [info.donated for info in jax.tree.leaves(executable.args_info[0])]
        if any(donated):
            self._donated = [position for position, gone in enumerate(donated) if gone]
            self._structure = jax.tree.structure(self.arguments)
            leaves = jax.tree.leaves(self.arguments)
            self._spare = {position: leaves[position] for position in self._donated}
            self._aliased_results = _aliased_results(executable, self._donated)
            self._replace({})
            jax.block_until_ready(self.arguments)
            self.after = self._feed_back

    def __call__(self) -> object:
        """Call it once and wait."""
        return jax.block_until_ready(self._executable(*self.arguments))

    def enqueue(self) -> Any:
        """Call it once without waiting.

        Returns:
            The results, to be waited for; those that the next call consumes are left out.
        """
        result = self._executable(*self.arguments)
        if self.after is None:
            return result
        leaves = jax.tree.leaves(result)
        self._hand_on(leaves)
        return [
            leaf for index, leaf in enumerate(leaves) if index not in self._aliased_results.values()
        ]

    def _feed_back(self, result: object) -> None:
        self._hand_on(jax.tree.leaves(result))
        jax.block_until_ready(self.arguments)

    def _hand_on(self, results: Sequence[Any]) -> None:
        self._replace({taken: results[result] for taken, result in self._aliased_results.items()})

    def _replace(self, successors: dict[int, Any]) -> None:
        leaves = jax.tree.leaves(self.arguments)
        for position in self._donated:
            fresh = successors.get(position)
            leaves[position] = jnp.copy(self._spare[position]) if fresh is None else fresh
        self.arguments = jax.tree.unflatten(self._structure, leaves)


def _aliased_results(executable: Any, donated: Sequence[int]) -> dict[int, int]:
    """Pair every donated argument with the first result of its type that is still free."""
    arguments = jax.tree.leaves(executable.in_avals[0])
    results = [(out.shape, out.dtype) for out in jax.tree.leaves(executable.out_info)]
    pairs: dict[int, int] = {}
    for position in donated:
        wanted = (arguments[position].shape, arguments[position].dtype)
        for index, result in enumerate(results):
            if result == wanted and index not in pairs.values():
                pairs[position] = index
                break
    return pairs


def program_arguments(program: Program) -> tuple[Any, ...]:
    """Return a program's arguments, the same every time, on the device.

    Raises:
        InputError: The program cannot run here: it was read from a file or only lowered.
    """
    if program.executable is None or program.concrete is None:
        raise InputError(
            f"{program.name!r} (target {program.target!r}, stage {program.stage!r}) has nothing"
            " that could be run here and timed; compile a workload for target 'cpu'"
        )
    arguments: tuple[Any, ...] = jax.block_until_ready(jax.device_put(tuple(program.concrete())))
    return arguments


def null_call(arguments: Sequence[Any], results: Any) -> Callable[[], object]:
    """Return a call with the signature of another that computes nothing: the dispatch floor.

    Python's way into the executable costs time by the number and nesting of arguments and
    results, not by their size, so the null executable takes the same arguments and gives a tree
    of scalars of the same structure.

    Args:
        arguments: Positional arguments, as trees of arrays.
        results: Anything with the structure of the results.
    """

    def null(*_: Any) -> Any:
        return jax.tree.map(lambda _: jnp.zeros((), jnp.float32), results)

    executable = jax.jit(null, keep_unused=True).lower(*arguments).compile()
    return ExecutableCall(executable, arguments)


def prefer_synchronous_dispatch() -> None:
    """Choose synchronous dispatch if it is not too late; to be called before JAX is used."""
    with suppress(EdgeGraphError):
        xla.set_synchronous_dispatch()


def use_synchronous_dispatch() -> bool:
    """Make CPU calls run in the calling thread where that can still be chosen.

    Returns:
        Whether they do. Where JAX is up already they run in another thread, whose wake-up is
        then part of every time; a warning says so.
    """
    try:
        xla.set_synchronous_dispatch()
    except UnsupportedVersionError:
        raise
    except EdgeGraphError as error:
        warnings.warn(
            f"times include the wake-up of a thread: {error}", RuntimeWarning, stacklevel=3
        )
        return False
    return True
