"""Signatures that name every parameter, where a function hands keywords on to another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def name_keywords(parameters: Iterable[inspect.Parameter]) -> Callable[[_Function], _Function]:
    """Return a decorator that shows these in the place of ``**keywords``, in help and editors."""

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind != each.VAR_KEYWORD]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *parameters]
        )
        return function

    return decorate
