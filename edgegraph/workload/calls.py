"""Makes the calls of a workload: inference, training step, plain function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph.errors import CompileError, EdgeGraphError, InputError, first_line
from edgegraph.hlo.op_name import LOSS_SCOPE, OPTIMIZER_SCOPE
from edgegraph.workload.call import Call
from edgegraph.workload.flax_model import Inputs, Model, linen_model
from edgegraph.workload.nnx_model import nnx_model
from edgegraph.workload.values import (
    Shape,
    input_structs,
    parse_dtypes,
    parse_shapes,
    random_values,
)

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


CallAt = Callable[[int], Call]


def inference(
    module: Any, input_shape: Any, dtype: Any, *, seed: int, integers_below: int
) -> tuple[str, CallAt]:
    """Return the model's name, and the calls of its forward pass in evaluation mode."""
    model = _model_of(module, seed=seed)
    shapes = parse_shapes(input_shape)
    dtypes = parse_dtypes(dtype, len(shapes))

    def forward(params: Any, state: Any, *inputs: Any) -> Any:
        return _apply(model, params, state, inputs, False)[0]

    def call(batch: int) -> Call:
        inputs = input_structs(shapes, dtypes, batch)
        params, state = _variables(model, inputs, False)
        return Call(
            function=forward,
            abstract=(params, state, *inputs),
            concrete=lambda: (
                *model.concrete(inputs, False),
                *random_values(inputs, seed=seed, integers_below=integers_below),
            ),
        )

    return model.name, call


def _variables(model: Model, inputs: Inputs, train: bool) -> tuple[Any, Any]:
    with _refusals(model, inputs):
        return model.abstract(inputs, train)


def _apply(model: Model, params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
    with _refusals(model, inputs):
        return model.apply(params, state, inputs, train)


@contextmanager
def _refusals(model: Model, inputs: Inputs) -> Iterator[None]:
    """Explain in one line why a model does not take its inputs.

    Raises:
        CompileError: Instead of the error that the user's module raised.
    """
    try:
        yield
    except EdgeGraphError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{x.dtype.name}[{','.join(map(str, x.shape))}]" for x in inputs)
        raise CompileError(
            f"{model.name} does not take the input {shapes}: {first_line(error)}"
        ) from error


def training(
    module: Any,
    optimizer: Any,
    input_shape: Any,
    dtype: Any,
    *,
    loss: str | LossFunction,
    labels: LabelSpec,
    seed: int,
    integers_below: int,
) -> tuple[str, CallAt]:
    """Return the model's name, and the calls of its training step."""
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise InputError(
            f"optimizer {optimizer!r} is not an optax gradient transformation, such as"
            " optax.adam(1e-3)"
        )
    model = _model_of(module, seed=seed)
    shapes = parse_shapes(input_shape)
    dtypes = parse_dtypes(dtype, len(shapes))
    step = _step(model, optimizer, loss_function(loss))

    def call(batch: int) -> Call:
        inputs = input_structs(shapes, dtypes, batch)
        params, state = _variables(model, inputs, True)
        outputs, _ = jax.eval_shape(partial(_apply, model, train=True), params, state, inputs)
        targets = label_struct(outputs, loss, labels)

        def concrete() -> tuple[Any, ...]:
            weights, held = model.concrete(inputs, True)
            values = random_values(inputs, seed=seed, integers_below=integers_below)
            wanted = random_values(
                targets, seed=seed + 1, integers_below=class_count(outputs, loss)
            )
            return weights, held, jax.jit(optimizer.init)(weights), _bundle(values), wanted

        return Call(
            function=step,
            abstract=(
                params,
                state,
                jax.eval_shape(optimizer.init, params),
                _bundle(inputs),
                targets,
            ),
            concrete=concrete,
        )

    return model.name, call


def _bundle(inputs: Sequence[Any]) -> Any:
    return inputs[0] if len(inputs) == 1 else tuple(inputs)


def _step(model: Model, optimizer: Any, loss: LossFunction) -> Callable[..., Any]:
    import optax

    def train_step(params: Any, state: Any, opt_state: Any, inputs: Any, labels: Any) -> Any:
        def loss_of(params: Any) -> tuple[Any, Any]:
            bundle = inputs if isinstance(inputs, tuple) else (inputs,)
            outputs, state_after = _apply(model, params, state, bundle, True)
            with jax.named_scope(LOSS_SCOPE):
                return loss(outputs, labels), state_after

        (value, state_after), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        with jax.named_scope(OPTIMIZER_SCOPE):
            updates, opt_state = optimizer.update(gradients, opt_state, params)
            params = optax.apply_updates(params, updates)
        return params, state_after, opt_state, value

    return train_step


def plain(
    function: Callable[..., Any], make_args: Callable[[], tuple[Any, ...]], *, seed: int
) -> Call:
    """Return the call of any function.

    Raises:
        InputError: `make_args` gives no tuple.
    """

    def args() -> tuple[Any, ...]:
        made = make_args()
        if not isinstance(made, tuple):
            raise InputError(
                f"the arguments came as a {type(made).__name__}; give a tuple of the positional"
                " arguments, such as (x,)"
            )
        return made

    return Call(
        function=function,
        abstract=_abstract(args),
        concrete=lambda: random_values(args(), seed=seed),
    )


def _abstract(make_args: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the arguments' shapes, by tracing what makes them where it can be traced."""
    trees: list[Any] = []

    def arrays() -> list[Any]:
        leaves, treedef = jax.tree.flatten(make_args())
        trees.append((leaves, treedef))
        return [leaf for leaf in leaves if not isinstance(leaf, jax.ShapeDtypeStruct)]

    try:
        made = iter(jax.eval_shape(arrays))
    except EdgeGraphError:
        raise
    except Exception:  # such as NumPy working on JAX's arrays; then they have to be made
        return abstract_arguments(make_args())
    leaves, treedef = trees[-1]
    shapes = [leaf if isinstance(leaf, jax.ShapeDtypeStruct) else next(made) for leaf in leaves]
    tree: tuple[Any, ...] = jax.tree.unflatten(treedef, shapes)
    return tree


def abstract_arguments(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the shapes of arguments that may be arrays, numbers or shapes already."""
    leaves, treedef = jax.tree.flatten(args)
    for leaf in leaves:
        if not isinstance(leaf, jax.ShapeDtypeStruct) and not _is_array_like(leaf):
            raise InputError(
                f"the argument {leaf!r} is a {type(leaf).__name__}, which JAX does not take;"
                " give arrays, numbers or jax.ShapeDtypeStruct, and bind all else with"
                " functools.partial"
            )
    arrays = [leaf for leaf in leaves if not isinstance(leaf, jax.ShapeDtypeStruct)]
    made = iter(jax.eval_shape(lambda *leaves: leaves, *arrays))
    tree: tuple[Any, ...] = jax.tree.unflatten(
        treedef,
        [leaf if isinstance(leaf, jax.ShapeDtypeStruct) else next(made) for leaf in leaves],
    )
    return tree


def _is_array_like(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, complex)) or (
        hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    )


def _model_of(module: Any, *, seed: int) -> Model:
    """Wrap a linen module, an NNX module, or a factory for one.

    Args:
        module: A linen module; an NNX module; a class of either; or a function that makes an
            NNX module and takes nothing or ``rngs``.
        seed: Seed of the initial weights.

    Raises:
        InputError: It is none of these.
    """
    from flax import linen, nnx

    if inspect.isclass(module) and issubclass(module, linen.Module):
        module = _instantiate(module)
    if isinstance(module, linen.Module):
        return linen_model(module, seed=seed)
    if isinstance(module, nnx.Module) or _is_factory(module):
        return nnx_model(module, seed=seed)
    raise InputError(
        f"{module!r} is not a Flax module; give a linen module, an NNX module, or a function or"
        " class that makes an NNX module from nothing or from rngs"
    )


def _is_factory(candidate: Any) -> bool:
    from flax import nnx

    if inspect.isclass(candidate):
        return issubclass(candidate, nnx.Module)
    return callable(candidate)


def _instantiate(module_class: type) -> Any:
    try:
        return module_class()
    except TypeError as error:
        raise InputError(
            f"the linen module {module_class.__name__} cannot be made without arguments"
            f" ({error}); give an instance"
        ) from error
