"""A Flax model as plain functions of plain dicts; linen modules as such a `Model`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen

from edgegraph.workload.values import run_once

RNGS = "rngs"
"""Where the state of a model that draws random numbers in training holds the key."""


def linen_model(module: Any, *, seed: int) -> Model:
    """Wrap a linen module.

    Args:
        module: The `linen.Module`, not bound to variables.
        seed: Seed of the initial weights.
    """

    def collections(inputs: Inputs) -> Any:
        example = [jnp.zeros(x.shape, x.dtype) for x in inputs]
        mode = mode_arguments(module, train=False)
        return linen.meta.unbox(module.init(jax.random.key(seed), *example, **mode))

    @cache
    def draws_random_numbers(inputs: Inputs) -> bool:
        mode = mode_arguments(module, train=True)
        variables = jax.eval_shape(collections, inputs)
        try:
            jax.eval_shape(
                lambda variables, *inputs: module.apply(
                    variables, *inputs, mutable=list(variables), **mode
                ),
                variables,
                *inputs,
            )
        except flax.errors.InvalidRngError:
            return True
        return False

    def split(variables: Any, inputs: Inputs, train: bool) -> Variables:
        state = {name: tree for name, tree in variables.items() if name != "params"}
        if train and draws_random_numbers(inputs):
            state[RNGS] = jax.random.key(seed)
        return variables.get("params", {}), state

    @cache
    def concrete(inputs: Inputs, train: bool) -> Variables:
        made: Variables = run_once(lambda: split(collections(inputs), inputs, train))
        return made

    def abstract(inputs: Inputs, train: bool) -> Variables:
        shapes: Variables = jax.eval_shape(lambda: split(collections(inputs), inputs, train))
        return shapes

    def apply(params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        mode = mode_arguments(module, train=train)
        held = {name: tree for name, tree in state.items() if name != RNGS}
        variables = {"params": params, **held}
        if not train:
            return module.apply(variables, *inputs, **mode), state
        after: dict[str, Any] = {}
        rngs = None
        if RNGS in state:
            after[RNGS], key = jax.random.split(state[RNGS])
            # Streams of another name than "params" fall back to it.
            rngs = {"params": key, "dropout": key}
        outputs, changed = module.apply(variables, *inputs, mutable=list(held), rngs=rngs, **mode)
        return outputs, {**after, **changed}

    return Model(
        name=module.name or type(module).__name__,
        abstract=abstract,
        concrete=concrete,
        apply=apply,
    )


Inputs = tuple[Any, ...]
Variables = tuple[Any, Any]
"""The trainable parameters and all other state, each a nested dict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A Flax model, linen or NNX.

    Attributes:
        name: The module's class name.
        abstract: From inputs (abstract) and whether to train, the variables as
            `jax.ShapeDtypeStruct`s; no weight is ever made.
        concrete: The same with values.
        apply: From parameters, state, inputs and whether to train, the outputs and the state
            after the call.
    """

    name: str
    abstract: Callable[[Inputs, bool], Variables]
    concrete: Callable[[Inputs, bool], Variables]
    apply: Callable[[Any, Any, Inputs, bool], tuple[Any, Any]]


_TRUE_IN_TRAINING = ("train", "training", "is_training")
_FALSE_IN_TRAINING = ("deterministic", "use_running_average")


def mode_arguments(module: Any, *, train: bool) -> dict[str, bool]:
    """Return the keyword arguments that tell a module's ``__call__`` whether it trains.

    Example:
        >>> from flax import linen
        >>> mode_arguments(linen.BatchNorm(), train=False)
        {'use_running_average': True}
    """
    parameters = inspect.signature(type(module).__call__).parameters
    return {name: train for name in _TRUE_IN_TRAINING if name in parameters} | {
        name: not train for name in _FALSE_IN_TRAINING if name in parameters
    }
