"""Keras 3 models on JAX as a `Model`, with the paths that Keras gives their variables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import jax

from edgegraph.errors import InputError
from edgegraph.workload.flax_model import Model, Variables
from edgegraph.workload.inputs import PLAIN_FORM, Form, Inputs


def is_keras(value: Any) -> bool:
    """Return whether a value is a Keras model or layer; where there is one, Keras is imported."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.layers.Layer)


def keras_inputs(model: Any) -> tuple[list[tuple[int, ...]], list[str]]:
    """Return shapes, without batch, and dtypes of a model's inputs.

    Raises:
        InputError: They are not fixed.
    """
    tensors = jax.tree.leaves(getattr(model, "inputs", None) or [])
    shapes = [tuple(tensor.shape[1:]) for tensor in tensors]
    if not shapes or any(size is None for shape in shapes for size in shape):
        raise InputError(
            f"{model.name} does not say what its inputs are like ({shapes}); give input_shape"
        )
    return shapes, [str(tensor.dtype) for tensor in tensors]


def keras_model(model: Any, *, form: Form = PLAIN_FORM) -> Model:
    """Wrap a Keras model or layer that is built.

    Raises:
        InputError: Keras runs on another backend than JAX, the model is not built, or another
            method than the call is asked for.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise InputError(
            f"Keras runs on {keras.backend.backend()!r}; set KERAS_BACKEND=jax before it is"
            " imported"
        )
    if not model.built:
        raise InputError(f"{model.name} is not built; call model.build, or the model once")
    if form.method != PLAIN_FORM.method:
        raise InputError(f"{model.name} is called as a whole; leave method={form.method!r} out")
    trained, held = _paths(model.trainable_variables), _paths(model.non_trainable_variables)

    def concrete(inputs: Inputs, train: bool) -> Variables:
        values = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]
        return _nested(trained, values), _nested(held, others)

    def apply(params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        args, keywords = form.arguments(inputs)
        given = args if len(args) == 1 else (list(args),)
        outputs, after = model.stateless_call(
            _flat(trained, params), _flat(held, state), *given, training=train, **keywords
        )
        return outputs, _nested(held, after)

    return Model(
        name=model.name,
        abstract=lambda inputs, train: jax.eval_shape(lambda: concrete(inputs, train)),
        concrete=concrete,
        apply=apply,
    )


_Path = tuple[str, str]


def _paths(variables: Sequence[Any]) -> list[_Path]:
    """Return the layer and the name of each variable; those of one path are numbered."""
    found: list[_Path] = []
    for variable in variables:
        layer, _, name = variable.path.rpartition("/")
        count = sum(known[0] == layer and known[1].split("#")[0] == name for known in found)
        found.append((layer, f"{name}#{count}" if count else name))
    return found


def _nested(paths: Sequence[_Path], values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    for (layer, name), value in zip(paths, values, strict=True):
        tree.setdefault(layer, {})[name] = value
    return tree


def _flat(paths: Sequence[_Path], tree: Any) -> list[Any]:
    return [tree[layer][name] for layer, name in paths]
