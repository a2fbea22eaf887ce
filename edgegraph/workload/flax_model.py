"""A Flax model as plain functions of plain dicts; linen modules as such a `Model`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen, nnx

from edgegraph.errors import InputError
from edgegraph.workload.values import run_once

Inputs = tuple[Any, ...]
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


_TRUE_IN_TRAINING = ("train", "training", "is_training")
_FALSE_IN_TRAINING = ("deterministic", "use_running_average")


def mode_arguments(module: Any, *, train: bool) -> dict[str, bool]:
    """Return the keyword arguments that tell a module's ``__call__`` whether it trains."""
    parameters = inspect.signature(type(module).__call__).parameters
    return {name: train for name in _TRUE_IN_TRAINING if name in parameters} | {
        name: not train for name in _FALSE_IN_TRAINING if name in parameters
    }


RNGS = "rngs"
"""Where the state of a model that draws random numbers in training holds the key."""


def linen_model(module: Any, *, seed: int) -> Model:
    """Wrap a linen module that is not bound to variables, or a class that makes one."""
    if inspect.isclass(module):
        try:
            module = module()
        except TypeError as error:
            raise InputError(
                f"the linen module {module.__name__} cannot be made without arguments"
                f" ({error}); give an instance"
            ) from error
    made = _LinenModel(module, seed)
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
        return variables.get("params", {}), state

    def _collections(self, inputs: Inputs) -> Any:
        example = [jnp.zeros(x.shape, x.dtype) for x in inputs]
        mode = mode_arguments(self.module, train=False)
        return linen.meta.unbox(self.module.init(jax.random.key(self.seed), *example, **mode))

    def _draws_random_numbers(self, inputs: Inputs) -> bool:
        mode = mode_arguments(self.module, train=True)

        def call(variables: Any, *inputs: Any) -> Any:
            return self.module.apply(variables, *inputs, mutable=list(variables), **mode)

        try:
            jax.eval_shape(call, jax.eval_shape(self._collections, inputs), *inputs)
        except flax.errors.InvalidRngError:
            return True
        return False

    def apply(self, params: Any, state: Any, inputs: Inputs, train: bool) -> tuple[Any, Any]:
        """Call the module with its variables; return the outputs and the state after it."""
        mode = mode_arguments(self.module, train=train)
        held = {name: tree for name, tree in state.items() if name != RNGS}
        call = functools.partial(self.module.apply, {"params": params, **held}, *inputs, **mode)
        if not train:
            return call(), state
        after: dict[str, Any] = {}
        rngs = None
        if RNGS in state:
            after[RNGS], key = jax.random.split(state[RNGS])
            # Streams of another name than "params" fall back to it.
            rngs = {"params": key, "dropout": key}
        outputs, changed = call(mutable=list(held), rngs=rngs)
        return outputs, {**after, **changed}
