"""Functions that Haiku has transformed as a `Model`."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph.workload.flax_model import RNGS, TRUE_IN_TRAINING, Model, Variables
from edgegraph.workload.inputs import PLAIN_FORM, Form, Inputs
from edgegraph.workload.values import run_once

_KINDS = ("Transformed", "TransformedWithState")
_STATE = "state"


def is_haiku(value: Any) -> bool:
    """Return whether a value is what `haiku.transform` or `transform_with_state` returns."""
    kind = type(value)
    return kind.__module__.startswith("haiku.") and kind.__name__ in _KINDS


def haiku_model(transformed: Any, *, seed: int, form: Form = PLAIN_FORM) -> Model:
    """Wrap what Haiku has transformed.

    A flag for training among the keywords (``is_training``), whatever its value, is set as it is
    asked for; it is true while the parameters are made, as Haiku's batch normalisation needs it.
    """
    flags = [name for name in TRUE_IN_TRAINING if name in form.constants]
    holds_state = type(transformed).__name__ == _KINDS[1]
    draws = "rng" in inspect.signature(transformed.apply).parameters

    def variables(inputs: Inputs, train: bool) -> Variables:
        example = tuple(jnp.zeros(each.shape, each.dtype) for each in inputs)
        args, keywords = form.arguments(example)
        keywords |= dict.fromkeys(flags, True)
        made = transformed.init(jax.random.key(seed), *args, **keywords)
        params, held = made if holds_state else (made, None)
        state = {_STATE: held} if holds_state else {}
        return params, state | ({RNGS: jax.random.key(seed)} if draws else {})

    def apply(params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        args, keywords = form.arguments(inputs)
        keywords |= dict.fromkeys(flags, train)
        following, key = jax.random.split(state[RNGS]) if draws else (None, None)
        given = [params, *([state[_STATE]] if holds_state else []), *([key] if draws else [])]
        outputs = transformed.apply(*given, *args, **keywords)
        outputs, held = outputs if holds_state else (outputs, None)
        after = {_STATE: held} if holds_state else {}
        return outputs, after | ({RNGS: following} if draws else {})

    return Model(
        name="haiku",
        abstract=lambda inputs, train: jax.eval_shape(lambda: variables(inputs, train)),
        concrete=functools.cache(lambda inputs, train: run_once(lambda: variables(inputs, train))),
        apply=apply,
    )
