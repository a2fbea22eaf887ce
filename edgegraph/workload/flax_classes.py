"""Recognises Flax modules without importing Flax."""

from __future__ import annotations

import inspect
import sys
from typing import Any


def _module_classes() -> tuple[type, ...]:
    """Return Flax's module classes; what was not imported has no instances."""
    packages = [sys.modules.get("flax.linen"), sys.modules.get("flax.nnx")]
    return tuple(package.Module for package in packages if package is not None)


def is_flax_module(value: Any) -> bool:
    """Return whether an object is an instance of a linen or NNX module.

    Example:
        >>> is_flax_module(print)
        False
    """
    return isinstance(value, _module_classes())


def is_flax_class(value: Any) -> bool:
    """Return whether an object is a class of linen or NNX modules."""
    return inspect.isclass(value) and issubclass(value, _module_classes())
