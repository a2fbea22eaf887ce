"""What to run: a function and its arguments at any batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call at one batch size.

    Attributes:
        function: The function to compile; its parameter names appear in the HLO.
        abstract: Its positional arguments as trees of `jax.ShapeDtypeStruct`.
        concrete: Makes the arguments with values, on the default device, deterministically.
    """

    function: Callable[..., Any]
    abstract: tuple[Any, ...]
    concrete: Callable[[], tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A named function plus example arguments as a function of the batch size.

    Attributes:
        name: Shown in tables and files (``small_cnn``).
        call: Gives the `Call` for a batch size.
    """

    name: str
    call: Callable[[int], Call]
