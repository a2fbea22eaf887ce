"""What to run: a function and its arguments at any batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from edgegraph.base.axes import fixed_name
from edgegraph.workload.axes import (
    Axes,
    axes_of,
    checked_sizes,
    complete,
    named_sizes,
    with_sizes,
)
from edgegraph.workload.calls import Call, CallAt, inference, network, training
from edgegraph.workload.functions import argument_name, checked_donation, plain
from edgegraph.workload.keras_model import keras_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A named function plus example arguments as a function of the batch size.

    Attributes:
        name: Shown in tables and files (``small_cnn``).
        call: Returns the `Call` for a batch size, and sizes along its axes by keyword.
        prepare: The host's input pipeline: from the batch size and the number of a step, the
            arguments that change with every step, which are the last ones, as NumPy arrays;
            None where there is none. ``dataclasses.replace(workload, prepare=...)`` adds one.
        compiler_options: XLA options that it is compiled with for this host.
        batched: Whether its arguments depend on the batch size; where not, it has none.
        notes: What is to be said of it beside every result, in a sentence each.
        axes: Its axes besides the batch, such as ``length``, with the size of each where none is
            given; None where one has to be. `at` gives them.
    """

    name: str
    call: Callable[..., Call]
    prepare: Callable[[int, int], Sequence[Any]] | None = None
    compiler_options: Mapping[str, str | int | float | bool] = field(
        default_factory=dict, hash=False
    )
    batched: bool = True
    notes: tuple[str, ...] = ()
    axes: Axes = field(default_factory=dict, hash=False)

    def at(self, **sizes: int) -> Workload:
        """Return the workload with sizes fixed along some of its axes, which its name has then.

        Raises:
            InputError: It has no such axis, or a size is no positive integer.

        Example:
            >>> import jax
            >>> workload = Workload.from_function(
            ...     jax.numpy.tanh,
            ...     lambda batch, length: (jax.ShapeDtypeStruct((batch, length), "float32"),),
            ... )
            >>> fixed = workload.at(length=512)
            >>> fixed.name, fixed.call(8).abstract[0].shape, fixed.axes
            ('tanh(length=512)', (8, 512), {})
        """
        if not sizes:
            return self
        given = checked_sizes(self.name, self.axes, sizes)
        return replace(
            self,
            name=fixed_name(self.name, given),
            call=partial(self.call, **given),
            axes={axis: size for axis, size in self.axes.items() if axis not in given},
        )

    @classmethod
    def from_flax(
        cls,
        module: Any,
        input_shape: Sequence[Any] | Mapping[str, Any] | None = None,
        dtype: Any = "float32",
        *,
        kwargs: Mapping[str, Any] | None = None,
        method: str | Callable[..., Any] | None = None,
        name: str | None = None,
        seed: int = 0,
        integers_below: int = 2,
        computing_in: str | None = None,
    ) -> Workload:
        """Run a Flax model forward, in evaluation mode.

        What is compiled is ``forward(params, state, *inputs)``, where `params` is the nested
        dict of the trainable parameters and `state` that of all else (batch statistics), both
        named alike for linen and NNX: ``params['blocks_0']['conv']['kernel']``. The module
        itself is never changed, and its weights are made only when they are needed.

        Args:
            module: A linen module; an NNX module; a class of either; or a function that makes
                an NNX module and takes nothing or ``rngs``. A class or a function of an NNX
                module makes no weights until they are needed.
            input_shape: Shape of one example, without batch; a dict of such shapes for an input
                that is a dict; or a sequence of these, one for each input. None where all inputs
                stand in `kwargs`. A name in the place of a size is an axis: ``("length", 64)``.
            dtype: dtype of the inputs (``float32``, ``bfloat16``, ``int32`` for token ids), or
                one for each, formed like them. In which dtype the model computes is its affair.
            kwargs: Keyword arguments of the call; a `jax.ShapeDtypeStruct`, without batch, is an
                input, all else is handed on as it is.
            method: The method to call, or its name; ``__call__`` where None.
            name: Name for tables and files; the module's class name where None.
            seed: Seed of the weights and the inputs.
            integers_below: Integer inputs are uniform in [0, `integers_below`): the size of
                the vocabulary. The default is in range of any.
            computing_in: Floating dtype in which a Flax model is to compute (``bfloat16``): its
                parameters have it, and its modules, whatever `dtype` and `param_dtype` they ask
                for. What the code itself makes in another dtype stays there. None leaves it as is.

        Raises:
            InputError: An argument cannot be used.
            CompileError: The model refuses the shape (when `call` is called).

        Example:
            >>> from flax import nnx
            >>> def dense(rngs):
            ...     return nnx.Linear(784, 10, rngs=rngs)
            >>> workload = Workload.from_flax(dense, (784,))
            >>> params, state, inputs = workload.call(32).abstract
            >>> params["kernel"].shape, inputs.shape
            ((784, 10), (32, 784))
        """

        def made(shape: Any) -> tuple[str, CallAt]:
            net = network(
                module, shape, dtype, seed=seed, integers_below=integers_below, kwargs=kwargs,
                method=method, computing_in=computing_in,
            )  # fmt: skip
            return name or net.model.name, inference(net)

        return cls._of_shape(made, input_shape)

    @classmethod
    def _of_shape(cls, make: Callable[[Any], tuple[str, CallAt]], input_shape: Any) -> Workload:
        """Return the workload of a name and calls that are made for the shape of an example."""
        axes = named_sizes(input_shape)
        # Each holds a model's weights, so few are kept.
        made = lru_cache(maxsize=2)(lambda **sizes: make(with_sizes(input_shape, sizes)))
        name, _ = made(**dict.fromkeys(axes, 1))

        def call(batch: int, **sizes: int) -> Call:
            return made(**complete(name, axes, sizes))[1](batch)

        return cls(name=name, call=call, axes=axes)

    @classmethod
    def from_equinox(
        cls,
        module: Any,
        input_shape: Sequence[Any] | Mapping[str, Any] | None = None,
        dtype: Any = "float32",
        **more: Any,
    ) -> Workload:
        """Run an Equinox module, which takes one example, over a batch in inference mode.

        Args:
            module: The module; its arrays may be `jax.ShapeDtypeStruct`s.
            input_shape: As in `from_flax`, of which it takes all keywords (`kwargs`, `method`,
                `name`, `seed`, `integers_below`); so does `train_step` take the module.
            dtype: dtype of the inputs.
            **more: These keywords.

        Raises:
            InputError: An argument cannot be used.

        Example:
            >>> Workload.from_equinox(equinox.nn.MLP(64, 10, 128, 2, key=key), (64,))
            ... # doctest: +SKIP
        """
        return cls.from_flax(module, input_shape, dtype, **more)

    @classmethod
    def from_haiku(
        cls,
        transformed: Any,
        input_shape: Sequence[Any] | Mapping[str, Any] | None = None,
        dtype: Any = "float32",
        **more: Any,
    ) -> Workload:
        """Run what `haiku.transform` or `haiku.transform_with_state` returns.

        Args:
            transformed: The pair of functions.
            input_shape: As in `from_flax`, of which it takes all keywords; so does `train_step`
                take the pair. A flag for training stands in `kwargs`
                (``{"is_training": False}``), and is set by what is asked for.
            dtype: dtype of the inputs.
            **more: These keywords.

        Raises:
            InputError: An argument cannot be used.

        Example:
            >>> net = haiku.transform(lambda x: haiku.nets.MLP([64, 10])(x))  # doctest: +SKIP
            >>> Workload.from_haiku(net, (32,), name="mlp")  # doctest: +SKIP
        """
        return cls.from_flax(transformed, input_shape, dtype, **more)

    @classmethod
    def from_keras(
        cls, model: Any, input_shape: Any = None, dtype: Any = None, **more: Any
    ) -> Workload:
        """Run a Keras 3 model on JAX in inference mode.

        Args:
            model: The model, built.
            input_shape: As in `from_flax`, of which it takes all keywords; what the model says of
                its inputs where it is None. So does `train_step` take the model.
            dtype: dtype of the inputs, likewise.
            **more: These keywords.

        Raises:
            InputError: An argument cannot be used, or Keras runs on another backend.

        Example:
            >>> Workload.from_keras(keras.applications.MobileNetV2())  # doctest: +SKIP
        """
        if input_shape is None:
            input_shape, said = keras_inputs(model)
            dtype = dtype or said
        return cls.from_flax(model, input_shape, dtype or "float32", **more)

    @classmethod
    def from_transformers(cls, model: Any, length: int, **more: Any) -> Workload:
        """Run a Flax model of Hugging Face's transformers, up to their version 4, on tokens.

        Args:
            model: The model; without weights where it was made with ``_do_init=False``.
            length: Tokens of one example.
            **more: Keywords of `from_flax`, with `input_shape` and `dtype` for other inputs.

        Raises:
            InputError: An argument cannot be used.

        Example:
            >>> model = FlaxBertModel(BertConfig(), _do_init=False)  # doctest: +SKIP
            >>> Workload.from_transformers(model, length=128)  # doctest: +SKIP
        """
        words = getattr(model.config, "vocab_size", 2)
        given = {"input_shape": (length,), "dtype": "int32", "integers_below": words, **more}
        return cls.from_flax(model, **given)

    @classmethod
    def from_function(
        cls,
        function: Callable[..., Any],
        make_args: Callable[..., tuple[Any, ...]],
        *,
        donate: Sequence[int] = (),
        params: str | int | None = None,
        name: str | None = None,
        seed: int = 0,
    ) -> Workload:
        """Run any JAX function.

        Args:
            function: The function to compile.
            make_args: From a batch size, the positional arguments: trees of arrays, or of
                `jax.ShapeDtypeStruct`s, which are filled with random values when needed.
                Where JAX can trace it, big arrays are not made for their shape alone. Further
                parameters are axes, and their defaults the sizes that are meant where none are
                given: ``lambda batch, length=512: ...``.
            donate: Positions of the arguments whose memory the call may take for its results, as
                ``donate_argnums`` of `jax.jit`.
            params: The argument that is the tree of the model's parameters, by name or position,
                or a path in one (``state.params[0]``); found where None.
            name: Name for tables and files; the function's own where None.
            seed: Seed of the values for `jax.ShapeDtypeStruct`s.

        Raises:
            InputError: The batch is not the first parameter; the arguments are not a tuple (when
                `call` is called).

        Example:
            >>> import jax.numpy as jnp
            >>> workload = Workload.from_function(
            ...     jnp.matmul, lambda batch: (jnp.ones((batch, 784)), jnp.ones((784, 10)))
            ... )
            >>> workload.name, workload.call(32).abstract[0].shape
            ('matmul', (32, 784))
        """
        named, axes = name or function_name(function), axes_of(make_args)

        def call(batch: int, **sizes: int) -> Call:
            given = complete(named, axes, sizes)
            return plain(function, lambda: make_args(batch, **given), seed=seed, donate=donate)

        made = cls(name=named, call=call, axes=axes)
        return made if params is None else with_params(made, params, function)

    @classmethod
    def train_step(
        cls,
        module: Any,
        optimizer: Any,
        *,
        input_shape: Sequence[Any] | Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        method: str | Callable[..., Any] | None = None,
        loss: str | Callable[[Any, Any], Any] = "cross_entropy",
        dtype: Any = "float32",
        label_shape: Sequence[int] | None = None,
        label_dtype: Any = None,
        donate: Sequence[int] = (0, 1, 2),
        name: str | None = None,
        seed: int = 0,
        integers_below: int = 2,
    ) -> Workload:
        """Run one training step of a Flax model: forward, backward, update.

        What is compiled is ``train_step(params, state, opt_state, inputs, labels)``, which
        returns ``(params, state, opt_state, loss)``. The model is in training mode: batch
        statistics are updated, dropout draws. `inputs` is a tuple where there are several.

        Args:
            module: As in `from_flax`, or a model of another library, as its `from_...` takes it.
            optimizer: An optax gradient transformation.
            input_shape: As in `from_flax`; so are `kwargs` and `method`.
            kwargs: Keyword arguments of the call, inputs among them.
            method: The method to call, or its name.
            loss: ``cross_entropy`` with labels that are class numbers; ``mse`` with labels like
                the outputs; or a function of outputs and labels that returns a scalar.
            dtype: dtype of the inputs.
            label_shape: Shape of one label, without batch; from the outputs where None.
            label_dtype: dtype of the labels; from the outputs, or int32 for ``cross_entropy``,
                where None.
            donate: Positions of the arguments whose memory the step may take for its results:
                parameters, state and optimiser's state, as in real training; () for none.
            name: Name for tables and files; the module's class name and ``_train_step`` where
                None.
            seed: Seed of weights, inputs, labels and dropout.
            integers_below: Integer inputs are uniform in [0, `integers_below`).

        Raises:
            InputError: An argument cannot be used.
            CompileError: The model refuses the shape (when `call` is called).

        Example:
            >>> import optax
            >>> from flax import linen
            >>> workload = Workload.train_step(
            ...     linen.Dense(10), optax.adam(1e-3), input_shape=(784,)
            ... )
            >>> params, state, opt_state, inputs, labels = workload.call(32).abstract
            >>> labels.shape, labels.dtype.name
            ((32,), 'int32')
        """
        donated = checked_donation(donate, 5)

        def made(shape: Any) -> tuple[str, CallAt]:
            net = network(
                module, shape, dtype, seed=seed, integers_below=integers_below, kwargs=kwargs,
                method=method,
            )  # fmt: skip
            step = training(
                net, optimizer, loss=loss, label_shape=label_shape, label_dtype=label_dtype
            )
            called = name or f"{net.model.name}_train_step"
            return called, lambda batch: replace(step(batch), donate=donated)

        return cls._of_shape(made, input_shape)


def with_params(
    workload: Workload, params: str | int, function: Callable[..., Any] | None = None
) -> Workload:
    """Return a workload that says which argument is the tree of parameters.

    Args:
        workload: Any.
        params: As `Workload.from_function` takes it.
        function: That whose arguments a position counts; where None, it counts those with arrays.

    Raises:
        InputError: The function has no argument at the position.
    """
    tree = params if function is None else argument_name(function, params)
    return replace(
        workload, call=lambda batch, **sizes: replace(workload.call(batch, **sizes), params=tree)
    )


def function_name(function: Callable[..., Any]) -> str:
    """Name a function, a method or a callable object."""
    name: str = getattr(function, "__name__", None) or type(function).__name__
    return name.strip("<>")
