"""What compiling the layers of a traced function takes, one by one; a version does it for itself.

Layers that do the same are compiled once: a scan over them would do so, too. Of those alike that
stand in a row, 1, a quarter, half and all are compiled together, which shows how the time grows.
Nothing here needs more than jax, and the modules of EdgeGraph that need no more either.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
from jax.extend import core

from edgegraph.measure.groups import LayerGroup, cut, deepest
from edgegraph.measure.regions import Region, Regions, effects_of, find_regions, struct_of
from edgegraph.measure.regions import variables as variables_of

FEWEST_PIECES = 4
"""The cut is the shallowest with so many layers."""

FEWEST_ALIKE = 4
"""Repeats whose growth can be fitted."""

ROUNDS, SECONDS = 3, 60.0
"""How often growth is measured, and when no further round begins."""

Options = Mapping[str, Any]


def compile_apart(traced: Any, options: Options) -> dict[str, Any]:
    """Return as JSON what every layer takes to compile alone, and how that grows with depth."""
    regions = find_regions(traced)
    alike: dict[str, list[LayerGroup]] = {}
    for group in _pieces(regions):
        alike.setdefault(str(group.jaxpr), []).append(group)
    layers = [
        {
            "layers": [each.layer or "" for each in same],
            "phase": same[0].phase,
            "compile_s": _compile_s(same[0].function, same[0].inputs, options),
        }
        for same in alike.values()
    ]
    rows = [same for same in alike.values() if _in_a_row(same)]
    longest = max(rows, key=lambda same: len(same) * len(same[0].jaxpr.eqns), default=None)
    return {"layers": layers, "growth": longest and _growth(longest, options)}


def _pieces(regions: Regions) -> Sequence[LayerGroup]:
    for depth in range(deepest(regions)):
        groups = cut(regions, depth)
        if sum(each.layer is not None for each in groups) >= FEWEST_PIECES:
            return groups
    return cut(regions)


def _compile_s(function: Callable[..., Any], inputs: Sequence[Any], options: Options) -> float:
    """Return the seconds in XLA's compiler, once."""
    # A function of its own: jax would take what it compiled before.
    lowered = jax.jit(lambda *given: function(*given)).lower(*map(struct_of, inputs))
    started = time.perf_counter()
    lowered.compile(compiler_options=dict(options) or None)
    return time.perf_counter() - started


def _in_a_row(same: Sequence[LayerGroup]) -> bool:
    """Return whether groups stand one behind the other in one body, enough of them."""
    if len(same) < FEWEST_ALIKE or len({each.region for each in same}) > 1:
        return False
    return all(one[1] < other[0] for one, other in pairwise(map(_extent, same)))


def _extent(group: LayerGroup) -> tuple[int, int]:
    """Return the positions of a group's first and last equation in its region."""
    own = {id(each) for each in group.jaxpr.eqns}
    at = [number for number, each in enumerate(group.region.jaxpr.eqns) if id(each) in own]
    return (at[0], at[-1]) if at else (0, 0)


def _growth(same: Sequence[LayerGroup], options: Options) -> dict[str, Any]:
    """Compile the first of some layers, more of them, and all; round by round."""
    count = len(same)
    numbers = sorted({1, max(2, count // 4), count // 2, count})
    first, region = _extent(same[0])[0], same[0].region
    stretches = {k: _stretch(region, first, _extent(same[k - 1])[1]) for k in numbers}
    floor_s = min(_compile_s(lambda x: x, same[0].inputs[:1], options) for _ in range(2))
    started = time.perf_counter()
    rounds: list[list[float]] = []
    while len(rounds) < ROUNDS and time.perf_counter() - started < SECONDS:
        rounds.append([_compile_s(*stretches[number], options) for number in numbers])
    return {
        "layer": same[0].layer or "",
        "repeats": count,
        "numbers": numbers,
        "rounds": rounds,
        "exponents": list(_exponents(numbers, rounds, floor_s)),
    }


def _stretch(region: Region, first: int, last: int) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Return a stretch of a body's equations as a function, and its inputs."""
    inside = region.jaxpr.eqns[first : last + 1]
    made = {variable for each in inside for variable in each.outvars}
    taken = dict.fromkeys(x for each in inside for x in variables_of(each.invars) if x not in made)
    later = [x for each in region.jaxpr.eqns[last + 1 :] for x in variables_of(each.invars)]
    given = dict.fromkeys(x for x in (*later, *variables_of(region.jaxpr.outvars)) if x in made)
    jaxpr = region.jaxpr.replace(
        constvars=[], invars=list(taken), outvars=list(given), eqns=inside,
        effects=effects_of(inside),
    )  # fmt: skip
    return core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, ())), tuple(taken)


def _exponents(
    numbers: Sequence[int], rounds: Sequence[Sequence[float]], floor_s: float
) -> Iterator[float]:
    """Yield of every round the slope of log(time) over log(number), without what is constant."""
    across = [math.log(each) for each in numbers]
    middle = math.fsum(across) / len(across)
    for times in rounds:
        above = [each - floor_s for each in times]
        if min(above) > 0:
            up = [math.log(each) for each in above]
            mean = math.fsum(up) / len(up)
            spread = math.fsum((x - middle) ** 2 for x in across)
            slope = math.fsum((x - middle) * (y - mean) for x, y in zip(across, up, strict=True))
            yield slope / spread
