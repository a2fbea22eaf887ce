"""Flax linen modules as a `Model`."""

from __future__ import annotations

from functools import cache
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen

from edgegraph.workload.model import Inputs, Model, Variables, mode_arguments
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
