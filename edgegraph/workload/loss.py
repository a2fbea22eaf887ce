"""What a training step minimises, and the labels that it compares with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph.errors import InputError
from edgegraph.workload.values import Shape, parse_dtypes, parse_shapes

CROSS_ENTROPY = "cross_entropy"

LossFunction = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """Shape of one label and its dtype, each None where the outputs decide."""

    shape: Shape | None
    dtype: str | None


def parse_labels(shape: Any, dtype: Any) -> LabelSpec:
    """Read shape and dtype of one label.

    Raises:
        InputError: One is not what it should be.

    Example:
        >>> parse_labels((10,), "int8")
        LabelSpec(shape=(10,), dtype='int8')
    """
    return LabelSpec(
        shape=None if shape is None else parse_shapes(shape)[0],
        dtype=None if dtype is None else parse_dtypes(dtype, 1)[0],
    )


def cross_entropy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean softmax cross-entropy of logits with class numbers, computed in float32."""
    import optax

    logits = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
    losses: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def mean_squared_error(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over all elements of the squared difference."""
    return jnp.mean(jnp.square(outputs - labels))


_LOSSES: dict[str, LossFunction] = {CROSS_ENTROPY: cross_entropy, "mse": mean_squared_error}


def loss_function(loss: str | LossFunction) -> LossFunction:
    """Find a loss by its name, or take a function as it is.

    Raises:
        InputError: There is no such loss.
    """
    if callable(loss):
        return loss
    if loss not in _LOSSES:
        raise InputError(
            f"loss {loss!r} is unknown; expected {', '.join(map(repr, _LOSSES))} or a function of"
            " outputs and labels"
        )
    return _LOSSES[loss]


def label_struct(outputs: Any, loss: str | LossFunction, labels: LabelSpec) -> Any:
    """Return shape and dtype of the labels for a batch.

    Args:
        outputs: Abstract outputs of the model, a tree.
        loss: Name of the loss, or a function.
        labels: What the user wants.

    Raises:
        InputError: ``cross_entropy`` was asked for, and the outputs are not one array of logits.
    """
    leaves = jax.tree.leaves(outputs)
    if labels.shape is not None:
        default = "int32" if loss == CROSS_ENTROPY else leaves[0].dtype
        return jax.ShapeDtypeStruct((leaves[0].shape[0], *labels.shape), labels.dtype or default)
    if loss != CROSS_ENTROPY:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, labels.dtype or x.dtype), outputs
        )
    if len(leaves) != 1 or leaves[0].ndim < 2:
        raise InputError(
            "loss 'cross_entropy' needs a model that returns one array of logits, batch first and"
            f" classes last, not {[leaf.shape for leaf in leaves]}; use another loss"
        )
    return jax.ShapeDtypeStruct(leaves[0].shape[:-1], labels.dtype or "int32")


def class_count(outputs: Any, loss: str | LossFunction) -> int:
    """Return the number of classes, below which integer labels stay."""
    leaves = jax.tree.leaves(outputs)
    return int(leaves[0].shape[-1]) if loss == CROSS_ENTROPY else 2
