"""A Flax model as plain functions of plain dicts, the same for linen and NNX."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgegraph.errors import InputError

Inputs = tuple[Any, ...]
Variables = tuple[Any, Any]
"""The trainable parameters and all other state, each a nested dict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A Flax model, linen or NNX.

    Attributes:
        name: The module's class name.
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


def model_of(module: Any, *, seed: int) -> Model:
    """Wrap a linen module, an NNX module, or a factory for one.

    Args:
        module: A linen module; an NNX module; a class of either; or a function that makes an
            NNX module and takes nothing or ``rngs``.
        seed: Seed of the initial weights.

    Raises:
        InputError: It is none of these.
    """
    from flax import linen, nnx

    from edgegraph.workload.linen_model import linen_model
    from edgegraph.workload.nnx_model import nnx_model

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


_TRUE_IN_TRAINING = ("train", "training", "is_training")
_FALSE_IN_TRAINING = ("deterministic", "use_running_average")


def mode_arguments(module: Any, *, train: bool) -> dict[str, bool]:
    """Return the keyword arguments that tell a module's ``__call__`` whether it trains.

    Example:
        >>> from flax import linen
        >>> mode_arguments(linen.BatchNorm(), train=False)
        {'use_running_average': True}
    """
    parameters = inspect.signature(type(module).__call__).parameters
    return {name: train for name in _TRUE_IN_TRAINING if name in parameters} | {
        name: not train for name in _FALSE_IN_TRAINING if name in parameters
    }
