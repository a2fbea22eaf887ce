"""How often the body of a loop runs."""

from __future__ import annotations

import re

from edgegraph.hlo.module import Instruction

_KNOWN_TRIP_COUNT = re.compile(r'"known_trip_count"\s*:\s*\{\s*"n"\s*:\s*"(\d+)"')


def trip_count(loop: Instruction) -> int | None:
    """Give the number of iterations of a while loop, or None if XLA could not tell.

    XLA writes it into the loop's backend configuration when it finds the induction variable.

    Example:
        >>> from edgegraph.hlo.module import Shape
        >>> trip_count(Instruction(name="while", opcode="while", shape=Shape(dtype="f32"),
        ...     backend_config='{"known_trip_count":{"n":"12"}}'))
        12
    """
    found = _KNOWN_TRIP_COUNT.search(loop.backend_config)
    return int(found.group(1)) if found else None
