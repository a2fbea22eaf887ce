"""What each layer can save: which values it keeps, what that takes, and what computing again costs.

A layer's derivative needs what JAX saves of it. Under `jax.checkpoint` it keeps what comes in and
what its policy names, and computes the rest again from these. Every subset of the dearest products
of a layer is tried; those that another one beats in memory and time are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import jax
from jax.extend import core

from edgegraph.device.device import Device
from edgegraph.measure.regions import scan_parts
from edgegraph.studies.fit.equations import Work, bytes_of, stands_alone, work_of
from edgegraph.studies.fit.segments import Layer, Loss, body_of, named, tagged

MOST_CANDIDATES = 7
"""Values of a layer that may be kept or not: 128 subsets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to run a layer.

    Attributes:
        kept: Positions of the equations whose results are kept; None: all that JAX saves.
        kept_bytes: Saved from the forward to the backward pass.
        working_bytes: Computed again, and held while the layer's backward pass runs.
        time_s: Computing it again takes so long.
    """

    kept: frozenset[int] | None
    kept_bytes: int
    working_bytes: int
    time_s: float


def options_of(loss: Loss, layer: Layer, device: Device) -> tuple[Option, ...]:
    """Return the ways to run a layer, the one without `jax.checkpoint` first."""
    equations, (reads, makes) = body_of(loss, layer)
    times, carried = 1, layer.boundary_bytes
    if layer.is_scan:
        scan = loss.jaxpr.eqns[layer.first]
        body = scan.params["jaxpr"]
        parts = scan_parts(scan, getattr(body, "jaxpr", body))
        times, last = int(scan.params["length"]), parts.constants + parts.carries
        carried = sum(bytes_of(v.aval) for v in reads[parts.constants : last])
    candidates = _dearest(equations, device)
    saving = _Saving(equations, reads, makes, layer, frozenset(candidates))
    plain = Option(
        kept=None, kept_bytes=times * saving.bytes_of_all(carried), working_bytes=0, time_s=0.0
    )
    found: list[Option] = []
    known: dict[int, Work] = {}
    for count in range(len(candidates) + 1):
        for kept in map(frozenset, combinations(candidates, count)):
            work = saving.again(kept, device, known)
            if work.time_s is None:
                return (plain,)
            named_bytes = sum(bytes_of(v.aval) for at in kept for v in equations[at].outvars)
            found.append(
                Option(
                    kept=kept,
                    kept_bytes=times * (carried + named_bytes),
                    working_bytes=max(0, saving.bytes_of_all(0) - named_bytes),
                    time_s=times * work.time_s,
                )
            )
    return (plain, *_best(found, plain))


def _dearest(equations: Sequence[Any], device: Device) -> list[int]:
    """Return the positions of the equations that take most time, in order of execution."""
    costs = {
        at: work_of(e, device).time_s or 0.0
        for at, e in enumerate(equations)
        if stands_alone(e.primitive.name) and e.outvars and _is_array(e.outvars[0].aval)
    }
    return sorted(sorted(costs, key=lambda at: -costs[at])[:MOST_CANDIDATES])


def _best(options: Sequence[Option], plain: Option) -> Iterator[Option]:
    """Yield what no other option beats, by the bytes that it keeps."""
    quickest = float("inf")
    for option in sorted(options, key=lambda o: (o.kept_bytes, o.time_s)):
        if option.time_s < quickest and option.kept_bytes < plain.kept_bytes:
            quickest = option.time_s
            yield option


def _is_array(aval: Any) -> bool:
    return bytes_of(aval) > 0 and jax.numpy.issubdtype(aval.dtype, jax.numpy.inexact)


class _Saving:
    """The forward pass of a layer that returns what it saves, with every candidate named."""

    def __init__(
        self, equations: Sequence[Any], reads: Sequence[Any], makes: Sequence[Any],
        layer: Layer, candidates: frozenset[int],
    ) -> None:  # fmt: skip
        function = tagged(equations, reads, makes, layer, candidates)
        self._names = {named(layer, at, equations[at].primitive.name): at for at in candidates}
        structs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in reads]
        differentiated = [True] * len(reads) if layer.is_scan else layer.active
        moving = [
            _is_array(v.aval) and active for v, active in zip(reads, differentiated, strict=True)
        ]

        def saved(*operands: Any) -> Any:
            def of_moving(*given: Any) -> Any:
                left = iter(given)
                return function(*(next(left) if m else o
                                  for o, m in zip(operands, moving, strict=True)))  # fmt: skip

            return jax.vjp(of_moving, *(o for o, m in zip(operands, moving, strict=True) if m))[1]

        closed = jax.make_jaxpr(saved)(*structs)
        self._jaxpr: Any = getattr(closed, "jaxpr", closed)
        self._makers: Mapping[Any, Any] = {v: e for e in self._jaxpr.eqns for v in e.outvars}
        self._given = {*self._jaxpr.invars, *self._jaxpr.constvars}
        self._saved = {v for v in self._jaxpr.outvars if isinstance(v, core.Var)}

    def bytes_of_all(self, carried: int) -> int:
        """Return what JAX saves of it, with what is carried into it."""
        return carried + sum(
            bytes_of(v.aval) for v in self._saved if v not in self._given and self._counts(v)
        )

    def _counts(self, variable: Any) -> bool:
        """Return whether a value takes memory: XLA makes what is filled with a number anew."""
        maker = self._makers[variable]
        filled = maker.primitive.name in ("broadcast_in_dim", "iota", "full")
        return not (filled and all(isinstance(v, core.Literal) for v in maker.invars))

    def again(self, kept: frozenset[int], device: Device, known: dict[int, Work]) -> Work:
        """Add up what has to be computed once more where only `kept` is there."""
        total, seen = Work(), set()
        waiting = list(self._saved)
        while waiting:
            equation = self._makers.get(waiting.pop())
            if equation is None or id(equation) in seen:
                continue
            seen.add(id(equation))
            if self._names.get(equation.params.get("name", "")) in kept:
                continue
            if id(equation) not in known:
                known[id(equation)] = work_of(equation, device)
            total += known[id(equation)]
            waiting += [v for v in equation.invars if isinstance(v, core.Var)]
        return total
