"""Equinox modules as a `Model`: their arrays of floats are the parameters."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import jax

from edgegraph.errors import InputError
from edgegraph.workload.flax_model import RNGS, Model, Variables
from edgegraph.workload.inputs import PLAIN_FORM, Form, Inputs
from edgegraph.workload.values import random_values


def is_equinox(value: Any) -> bool:
    """Return whether a value is an Equinox module; where there is one, Equinox is imported."""
    equinox = sys.modules.get("equinox")
    return equinox is not None and isinstance(value, equinox.Module)


def equinox_model(module: Any, *, seed: int, form: Form = PLAIN_FORM) -> Model:
    """Wrap an Equinox module, which takes one example and is mapped over the batch.

    Its arrays may be `jax.ShapeDtypeStruct`s, as `equinox.filter_eval_shape` makes them.

    Raises:
        InputError: It has no such method, or takes and returns a state (`equinox.nn.State`).
    """
    import equinox

    name, method = type(module).__name__, getattr(module, form.method, None)
    if method is None:
        raise InputError(f"{name} has no method {form.method!r}")
    takes = inspect.signature(method).parameters
    if "state" in takes and takes["state"].default is inspect.Parameter.empty:
        raise InputError(
            f"{name} takes a state beside its input; give eg.analyze the function that hands it on"
        )

    def is_parameter(leaf: Any) -> bool:
        return equinox.is_inexact_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)

    params, static = equinox.partition(module, is_parameter)

    def concrete(inputs: Inputs, train: bool) -> Variables:
        return random_values(params, seed=seed), _state(train and "key" in takes, seed)

    def apply(params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        whole = equinox.nn.inference_mode(equinox.combine(params, static), value=not train)

        def one(example: Inputs, key: Any) -> Any:
            args, keywords = form.arguments(example)
            drawn = {} if key is None else {"key": key}
            return getattr(whole, form.method)(*args, **keywords, **drawn)

        if RNGS not in state:
            return jax.vmap(lambda example: one(example, None))(inputs), state
        following, key = jax.random.split(state[RNGS])
        keys = jax.random.split(key, jax.tree.leaves(inputs)[0].shape[0])
        return jax.vmap(one)(inputs, keys), {RNGS: following}

    return Model(name=name, abstract=_shapes(concrete), concrete=concrete, apply=apply)


def _state(draws: bool, seed: int) -> dict[str, Any]:
    return {RNGS: jax.random.key(seed)} if draws else {}


def _shapes(concrete: Callable[[Inputs, bool], Variables]) -> Callable[[Inputs, bool], Variables]:
    return lambda inputs, train: jax.eval_shape(lambda: concrete(inputs, train))
