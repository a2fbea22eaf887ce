"""Flax models of Hugging Face's transformers as a `Model`."""

from __future__ import annotations

import functools
from typing import Any

import jax
from flax.core import unfreeze

from edgegraph.errors import InputError
from edgegraph.workload.flax_model import RNGS, Model, Variables
from edgegraph.workload.inputs import PLAIN_FORM, Form, Inputs


def is_transformers(value: Any) -> bool:
    """Return whether a value is a Flax model of transformers, which has them up to version 4."""
    return any(
        kind.__name__ == "FlaxPreTrainedModel" and kind.__module__.startswith("transformers.")
        for kind in type(value).__mro__
    )


def transformers_model(model: Any, *, seed: int, form: Form = PLAIN_FORM) -> Model:
    """Wrap a Flax model of transformers, with its weights or made with ``_do_init=False``.

    Raises:
        InputError: Another method than the call is asked for.
    """
    name = type(model).__name__
    if form.method != PLAIN_FORM.method:
        raise InputError(f"{name} is called as a whole; leave method={form.method!r} out")

    @functools.cache
    def weights() -> Any:
        has_weights = getattr(model, "_is_initialized", False)
        made = model.params if has_weights else model.init_weights(
            jax.random.key(seed), model.input_shape
        )  # fmt: skip
        return unfreeze(made)

    def state(train: bool) -> dict[str, Any]:
        return {RNGS: jax.random.key(seed)} if train else {}

    def concrete(inputs: Inputs, train: bool) -> Variables:
        return weights(), state(train)

    def abstract(inputs: Inputs, train: bool) -> Variables:
        shapes = jax.tree.map(_struct, unfreeze(model.params_shape_tree))
        return shapes, jax.eval_shape(lambda: state(train))

    def apply(params: Any, held: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        args, keywords = form.arguments(inputs)
        if not train:
            return dict(model(*args, params=params, train=False, **keywords)), held
        following, key = jax.random.split(held[RNGS])
        outputs = model(*args, params=params, train=True, dropout_rng=key, **keywords)
        return outputs[0], {RNGS: following}

    return Model(name=name, abstract=abstract, concrete=concrete, apply=apply)


def _struct(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
