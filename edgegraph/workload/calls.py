"""Makes the calls of a workload: inference, training step, plain function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax

from edgegraph.errors import CompileError, EdgeGraphError, InputError
from edgegraph.hlo.op_name import LOSS_SCOPE, OPTIMIZER_SCOPE
from edgegraph.workload.loss import (
    LabelSpec,
    LossFunction,
    class_count,
    label_struct,
    loss_function,
)
from edgegraph.workload.model import Inputs, Model, model_of
from edgegraph.workload.refusals import first_line
from edgegraph.workload.values import (
    input_structs,
    parse_dtypes,
    parse_shapes,
    random_values,
)
from edgegraph.workload.workload import Call

CallAt = Callable[[int], Call]


def inference(
    module: Any, input_shape: Any, dtype: Any, *, seed: int, integers_below: int
) -> tuple[str, CallAt]:
    """Return the model's name, and the calls of its forward pass in evaluation mode."""
    model = model_of(module, seed=seed)
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
        CompileError: Instead of whatever the user's module raised.
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
    model = model_of(module, seed=seed)
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
