"""Makes the calls of a workload: inference, training step, plain function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import isclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen, nnx

from edgegraph.errors import (
    USER_ERRORS,
    CompileError,
    EdgeGraphError,
    InputError,
    first_line,
)
from edgegraph.hlo.op_name import LOSS_SCOPE, OPTIMIZER_SCOPE
from edgegraph.hlo.parameters import PARAMETERS
from edgegraph.workload.cast import check_castable
from edgegraph.workload.equinox_model import equinox_model, is_equinox
from edgegraph.workload.flax_model import Model, linen_model
from edgegraph.workload.haiku_model import haiku_model, is_haiku
from edgegraph.workload.inputs import Inputs, input_form
from edgegraph.workload.keras_model import is_keras, keras_model
from edgegraph.workload.nnx_model import nnx_model
from edgegraph.workload.transformers_model import is_transformers, transformers_model
from edgegraph.workload.values import (
    Shape,
    input_structs,
    parse_dtypes,
    parse_shapes,
    random_values,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call at one batch size.

    Attributes:
        function: The function to compile; its parameter names appear in the HLO.
        abstract: Its positional arguments as trees of `jax.ShapeDtypeStruct`.
        concrete: Makes the arguments with values, on the default device, deterministically.
        original: The model's own function, where `function` computes the same another way.
        held: How many of the first arguments the model keeps: weights, state, an optimiser's.
        updates: Whether a call changes these, as a training step does.
        donate: Positions of the arguments whose memory a call may take for its results.
        keywords: Names of the last arguments, which the executable takes by keyword.
        stage: Makes the `jax.stages.Traced` or `Lowered` of what has been jitted, traced or lowered
            already and keeps its own donation, shardings and options; None for all else.
        arguments: Names of the arrays that `stage` takes (``m.a.weight``), where it lost them.
        params: The argument, or the path in one, that is the tree of the model's parameters, where
            that is said; it is found otherwise. A number is a position among the arguments that
            hold arrays.
    """

    function: Callable[..., Any]
    abstract: tuple[Any, ...]
    concrete: Callable[[], tuple[Any, ...]]
    original: Callable[..., Any] | None = None
    held: int = 0
    updates: bool = False
    donate: tuple[int, ...] = ()
    keywords: tuple[str, ...] = ()
    stage: Callable[[], Any] | None = None
    arguments: tuple[str, ...] = ()
    params: str | int | None = None


CROSS_ENTROPY = "cross_entropy"

LossFunction = Callable[[Any, Any], Any]


def cross_entropy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean softmax cross-entropy of logits with class numbers, computed in float32."""
    logits = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
    losses: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def mean_squared_error(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over all elements of the squared difference."""
    return jnp.mean(jnp.square(outputs - labels))


_LOSSES: dict[str, LossFunction] = {CROSS_ENTROPY: cross_entropy, "mse": mean_squared_error}


def loss_function(loss: str | LossFunction) -> LossFunction:
    """Find a loss by its name, or take a function as it is."""
    if callable(loss):
        return loss
    if loss not in _LOSSES:
        raise InputError(
            f"loss {loss!r} is unknown; expected {', '.join(map(repr, _LOSSES))} or a function of"
            " outputs and labels"
        )
    return _LOSSES[loss]


def label_struct(
    outputs: Any, loss: str | LossFunction, shape: Shape | None, dtype: str | None
) -> Any:
    """Return shape and dtype of the labels for a batch; where None, the model's outputs decide.

    `shape` is that of one label, without batch.
    """
    leaves = jax.tree.leaves(outputs)
    if shape is not None:
        default = "int32" if loss == CROSS_ENTROPY else leaves[0].dtype
        return jax.ShapeDtypeStruct((leaves[0].shape[0], *shape), dtype or default)
    if loss != CROSS_ENTROPY:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype or x.dtype), outputs)
    if len(leaves) != 1 or leaves[0].ndim < 2:
        raise InputError(
            "loss 'cross_entropy' needs a model that returns one array of logits, batch first and"
            f" classes last, not {[leaf.shape for leaf in leaves]}; use another loss"
        )
    return jax.ShapeDtypeStruct(leaves[0].shape[:-1], dtype or "int32")


CallAt = Callable[[int], Call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A Flax model and what its inputs are like; their shapes are without batch.

    `seed` is that of all values; integer inputs are uniform in [0, `integers_below`).
    """

    model: Model
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    seed: int
    integers_below: int

    def inputs(self, batch: int) -> Inputs:
        """Return shapes and dtypes of the inputs, the batch in front."""
        return input_structs(self.shapes, self.dtypes, batch)

    def values(self, inputs: Inputs) -> Any:
        """Return inputs with values."""
        return random_values(inputs, seed=self.seed, integers_below=self.integers_below)

    def variables(self, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        """Return shapes of the parameters and of all other state."""
        with _refusals(self.model, inputs):
            return self.model.abstract(inputs, train)

    def apply(self, params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        """Return the outputs, and the state after the call."""
        with _refusals(self.model, inputs):
            return self.model.apply(params, state, inputs, train)


@contextmanager
def _refusals(model: Model, inputs: Inputs) -> Iterator[None]:
    """Say in one line, as a CompileError, why a model does not take its inputs."""
    try:
        yield
    except EdgeGraphError:
        raise
    except USER_ERRORS as error:
        shapes = ", ".join(f"{x.dtype.name}[{','.join(map(str, x.shape))}]" for x in inputs)
        raise CompileError(
            f"{model.name} does not take the input {shapes}: {first_line(error)}"
        ) from error


def network(
    module: Any,
    input_shape: Any,
    dtype: Any,
    *,
    seed: int,
    integers_below: int,
    kwargs: Mapping[str, Any] | None = None,
    method: Any = None,
    computing_in: str | None = None,
) -> Network:
    """Wrap a Flax module, a class of them, what makes an NNX module, or another library's model.

    Its inputs are as `edgegraph.workload.inputs.input_form` takes them. One of Flax computes in
    another dtype where that is given.
    """
    if computing_in is not None:
        _check_cast(module, computing_in)
    shapes, dtypes, form = input_form(input_shape, dtype, kwargs, method)
    kind = module if isclass(module) else type(module)
    if issubclass(kind, linen.Module):
        model = linen_model(module, seed=seed, form=form, computing_in=computing_in)
    elif is_equinox(module):
        model = equinox_model(module, seed=seed, form=form)
    elif is_haiku(module):
        model = haiku_model(module, seed=seed, form=form)
    elif is_keras(module):
        model = keras_model(module, form=form)
    elif is_transformers(module):
        model = transformers_model(module, seed=seed, form=form)
    elif issubclass(kind, nnx.Module) or (callable(module) and not isclass(module)):
        model = nnx_model(module, seed=seed, form=form, computing_in=computing_in)
    else:
        raise InputError(
            f"{module!r} is not a Flax module; give a linen module, an NNX module, or a function or"
            " class that makes an NNX module from nothing or from rngs; or a model of Equinox,"
            " Haiku, Keras or transformers"
        )
    return Network(
        model=model,
        shapes=shapes,
        dtypes=dtypes,
        seed=seed,
        integers_below=integers_below,
    )


def _check_cast(module: Any, dtype: str) -> None:
    check_castable(dtype)
    foreign = (is_equinox, is_haiku, is_keras, is_transformers)
    if any(is_one(module) for is_one in foreign):
        raise InputError(
            f"computing_in={dtype!r} is for models of Flax; make this one in that dtype"
        )


def inference(net: Network) -> CallAt:
    """Return the calls of a model's forward pass in evaluation mode."""

    def forward(params: Any, state: Any, *inputs: Any) -> Any:
        return net.apply(params, state, inputs, False)[0]

    def call(batch: int) -> Call:
        inputs = net.inputs(batch)
        return Call(
            function=forward,
            abstract=(*net.variables(inputs, False), *inputs),
            concrete=lambda: (*net.model.concrete(inputs, False), *net.values(inputs)),
            held=2,
            params=PARAMETERS,
        )

    return call


def training(
    net: Network, optimizer: Any, *, loss: str | LossFunction, label_shape: Any, label_dtype: Any
) -> CallAt:
    """Return the calls of a model's training step."""
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise InputError(
            f"optimizer {optimizer!r} is not an optax gradient transformation, such as"
            " optax.adam(1e-3)"
        )
    shape = None if label_shape is None else parse_shapes(label_shape)[0]
    dtype = None if label_dtype is None else parse_dtypes(label_dtype, 1)[0]
    step = _step(net, optimizer, loss_function(loss))

    def call(batch: int) -> Call:
        inputs = net.inputs(batch)
        params, state = net.variables(inputs, True)
        outputs, _ = jax.eval_shape(partial(net.apply, train=True), params, state, inputs)
        targets = label_struct(outputs, loss, shape, dtype)
        classes = jax.tree.leaves(outputs)[0].shape[-1] if loss == CROSS_ENTROPY else 2

        def concrete() -> tuple[Any, ...]:
            # Copies, since a call may take what it is given for its results.
            weights, held = jax.tree.map(jnp.copy, net.model.concrete(inputs, True))
            wanted = random_values(targets, seed=net.seed + 1, integers_below=classes)
            optimizer_state = jax.jit(optimizer.init)(weights)
            return weights, held, optimizer_state, _bundle(net.values(inputs)), wanted

        optimizer_state = jax.eval_shape(optimizer.init, params)
        return Call(
            function=step,
            abstract=(params, state, optimizer_state, _bundle(inputs), targets),
            concrete=concrete,
            held=3,
            updates=True,
            params=PARAMETERS,
        )

    return call


def _bundle(inputs: Sequence[Any]) -> Any:
    return inputs[0] if len(inputs) == 1 else tuple(inputs)


def _step(net: Network, optimizer: Any, loss: LossFunction) -> Callable[..., Any]:
    def train_step(params: Any, state: Any, opt_state: Any, inputs: Any, labels: Any) -> Any:
        def loss_of(params: Any) -> tuple[Any, Any]:
            bundle = inputs if isinstance(inputs, tuple) else (inputs,)
            outputs, state_after = net.apply(params, state, bundle, True)
            with jax.named_scope(LOSS_SCOPE):
                return loss(outputs, labels), state_after

        (value, state_after), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        with jax.named_scope(OPTIMIZER_SCOPE):
            updates, opt_state = optimizer.update(gradients, opt_state, params)
            params = optax.apply_updates(params, updates)
        return params, state_after, opt_state, value

    return train_step
