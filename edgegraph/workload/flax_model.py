"""A Flax model as plain functions of plain dicts; linen modules as such a `Model`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen, nnx

from edgegraph.errors import InputError
from edgegraph.workload.cast import cast_arrays, linen_in
from edgegraph.workload.inputs import PLAIN_FORM, Form, Inputs
from edgegraph.workload.values import run_once

Variables = tuple[Any, Any]
"""The trainable parameters and all other state, each a nested dict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A Flax model, linen or NNX, under its class name.

    Attributes:
        abstract: From inputs (abstract) and whether to train, the variables as
            `jax.ShapeDtypeStruct`s; no weight is ever made.
        concrete: The same with values.
        apply: From parameters, state, inputs and whether to train, the outputs and the state
            after the call.
    """

    name: str
    abstract: Callable[[Inputs, bool], Variables]
    concrete: Callable[[Inputs, bool], Variables]
    apply: Callable[[Any, Any, Inputs, bool], tuple[Any, Any]]


_MODULES = (linen.Module, nnx.Module)


def is_flax_module(value: Any) -> bool:
    """Return whether an object is an instance of a linen or NNX module."""
    return isinstance(value, _MODULES)


def is_flax_class(value: Any) -> bool:
    """Return whether an object is a class of linen or NNX modules."""
    return inspect.isclass(value) and issubclass(value, _MODULES)


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function or a class, those that a partial has bound left out."""
    bound = function if isinstance(function, functools.partial) else functools.partial(function)
    made: Any = bound.func
    if inspect.isclass(made):
        # The signature of an NNX class is that of its metaclass, which takes anything.
        bound = functools.partial(made.__init__, None, *bound.args, **bound.keywords)
    return dict(inspect.signature(bound).parameters)


def required(parameters: Iterable[inspect.Parameter]) -> list[str]:
    """Name the parameters that a call has to give."""
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


TRUE_IN_TRAINING = ("train", "training", "is_training")
"""How models call what tells them that they train."""
_FALSE_IN_TRAINING = ("deterministic", "use_running_average")


def called_with(kind: Any, method: str | None) -> dict[str, inspect.Parameter]:
    """Return what the method of a class of modules takes besides the module; nothing without it."""
    function = getattr(kind, method or "__call__", None)
    if function is None:
        return {}
    return dict(list(inspect.signature(function).parameters.items())[1:])


def mode_arguments(module: Any, form: Form, *, train: bool) -> dict[str, bool]:
    """Return the keyword arguments that tell a module's method whether it trains.

    Raises:
        InputError: It has no such method.
    """
    method = getattr(type(module), form.method, None)
    if method is None:
        known = [name for name in vars(type(module)) if not name.startswith("_")]
        raise InputError(
            f"{type(module).__name__} has no method {form.method!r}; it has {', '.join(known)}"
        )
    parameters = inspect.signature(method).parameters
    return {name: train for name in TRUE_IN_TRAINING if name in parameters} | {
        name: not train for name in _FALSE_IN_TRAINING if name in parameters
    }


RNGS = "rngs"
"""Where the state of a model that draws random numbers in training holds the key."""


def linen_model(
    module: Any, *, seed: int, form: Form = PLAIN_FORM, computing_in: str | None = None
) -> Model:
    """Wrap a linen module that is not bound to variables, or a class that makes one."""
    if inspect.isclass(module):
        try:
            module = module()
        except TypeError as error:
            raise InputError(
                f"the linen module {module.__name__} cannot be made without arguments"
                f" ({error}); give an instance"
            ) from error
    made = _LinenModel(module, seed, form, computing_in)
    return Model(
        name=module.name or type(module).__name__,
        abstract=lambda inputs, train: jax.eval_shape(lambda: made.variables(inputs, train)),
        concrete=functools.cache(
            lambda inputs, train: run_once(lambda: made.variables(inputs, train))
        ),
        apply=made.apply,
    )


@dataclass(frozen=True)
class _LinenModel:
    module: Any
    seed: int
    form: Form
    computing_in: str | None
    draws: dict[Inputs, bool] = field(default_factory=dict)
    """Whether training draws random numbers, by the inputs."""

    def variables(self, inputs: Inputs, train: bool) -> Variables:
        """Make the variables, and the key of random numbers where training draws some."""
        variables = self._collections(inputs)
        state = {name: tree for name, tree in variables.items() if name != "params"}
        if train and inputs not in self.draws:
            self.draws[inputs] = self._draws_random_numbers(inputs)
        if train and self.draws[inputs]:
            state[RNGS] = jax.random.key(self.seed)
        params = variables.get("params", {})
        if self.computing_in is not None:
            params = cast_arrays(params, self.computing_in)
        return params, state

    def _collections(self, inputs: Inputs) -> Any:
        example = tuple(jnp.zeros(x.shape, x.dtype) for x in inputs)
        init = functools.partial(self.module.init, jax.random.key(self.seed))
        return linen.meta.unbox(self._call(init, example, False))

    def _call(self, function: Callable[..., Any], inputs: Inputs, train: bool, **more: Any) -> Any:
        """Call `init` or `apply` for the module's method with its arguments."""
        mode = mode_arguments(self.module, self.form, train=train)
        args, keywords = self.form.arguments(inputs)
        casting = nullcontext() if self.computing_in is None else linen_in(self.computing_in)
        with casting:
            return function(*args, **{**mode, **keywords}, method=self.form.method, **more)

    def _draws_random_numbers(self, inputs: Inputs) -> bool:
        def call(variables: Any, *inputs: Any) -> Any:
            apply = functools.partial(self.module.apply, variables)
            return self._call(apply, inputs, True, mutable=list(variables))

        try:
            jax.eval_shape(call, jax.eval_shape(self._collections, inputs), *inputs)
        except flax.errors.InvalidRngError:
            return True
        return False

    def apply(self, params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        """Call the module with its variables; return the outputs and the state after it."""
        held = {name: tree for name, tree in state.items() if name != RNGS}
        apply = functools.partial(self.module.apply, {"params": params, **held})
        if not train:
            return self._call(apply, inputs, False), state
        after: dict[str, Any] = {}
        rngs = None
        if RNGS in state:
            after[RNGS], key = jax.random.split(state[RNGS])
            # Streams of another name than "params" fall back to it.
            rngs = {"params": key, "dropout": key}
        outputs, changed = self._call(apply, inputs, True, mutable=list(held), rngs=rngs)
        return outputs, {**after, **changed}
