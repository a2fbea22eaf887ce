"""One call of a program; it stands alone so that `Workload` needs no jax."""

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
