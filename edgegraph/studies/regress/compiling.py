"""From what the processes of versions saw of their compilers to `CompileTime`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgegraph.measure.statistics import mean_interval, median
from edgegraph.studies.regress.compile_time import (
    CompileGrowth,
    CompileTime,
    LayerCompile,
    PassTime,
)
from edgegraph.studies.regress.passes import PassKey
from edgegraph.studies.regress.turns import CONTROL, FIRST, SECOND, Generation, Judged, judge_part
from edgegraph.studies.regress.versions import Version

FEWEST_SEEN = 3
"""Compilations of a version from which a difference may be claimed."""

SMALLEST_SHARE = 0.02
"""Of the time to compile, that a pass must take to be judged: of many some differ by chance."""

_ROLES = (FIRST, CONTROL, SECOND)


def compile_time(
    before: Version | None, after: Version, generations: Sequence[Generation]
) -> CompileTime | None:
    """Return what compiling took in two versions, or in one; None where none compiled it."""
    if after.source is None:
        return None
    whole = _judged([each.compile_s for each in generations], parts=1)
    return CompileTime(
        before_s=None if before is None else median(before.compile_s),
        after_s=median(after.compile_s),
        control_interval=None if whole is None else whole.control_interval,
        **_said(whole),
        passes=tuple(_passes(before, after, generations)),
        layers=tuple(_layers(before, after)),
        growth=tuple(_growth(each) for each in (before, after) if each and each.grown),
    )


def _judged(
    seen: Sequence[Mapping[str, float]], *, parts: int, whole_s: float = 0.0
) -> Judged | None:
    if len(seen) < FEWEST_SEEN:
        return None
    times = ([each[role] for each in seen] for role in _ROLES)
    return judge_part(*times, parts=parts, whole_s=whole_s)


def _said(judged: Judged | None) -> dict[str, Any]:
    names = ("ratio", "interval", "verdict")
    return {} if judged is None else {name: getattr(judged, name) for name in names}


def _passes(
    before: Version | None, after: Version, generations: Sequence[Generation]
) -> Iterator[PassTime]:
    """Yield the passes, those that take longest first."""
    told = [each.passes for each in generations if all(each.passes.get(r) for r in _ROLES)]
    once = ({} if before is None else before.passes, after.passes)
    keys = {key for each in told for role in _ROLES for key in each[role]}
    keys |= set() if told else {*once[0], *once[1]}
    whole_s = median(after.compile_s)
    large = {key for key in keys if _largest(key, told) > SMALLEST_SHARE * whole_s}
    made = [_pass(key, told, once, len(large) * (key in large), whole_s) for key in keys]
    yield from sorted(made, key=lambda x: (-max(x.before_s or 0, x.after_s or 0), x.name))


def _largest(key: PassKey, told: Sequence[Mapping[str, Mapping[PassKey, float]]]) -> float:
    times = ([each[role].get(key, 0.0) for each in told] for role in _ROLES)
    return max(median(each) if each else 0.0 for each in times)


def _pass(
    key: PassKey,
    told: Sequence[Mapping[str, Mapping[PassKey, float]]],
    once: tuple[Mapping[PassKey, float], Mapping[PassKey, float]],
    parts: int,
    whole_s: float,
) -> PassTime:
    """Return what a pass takes, judged as one of so many parts; of none it is not judged."""
    threads, _, name = key.partition("\t")
    seen = [{role: each[role].get(key, 0.0) for role in _ROLES} for each in told]
    judged = _judged(seen, parts=parts, whole_s=whole_s) if parts else None
    if not told:
        times = [each.get(key) for each in once]
    else:
        times = [median([each[role] for each in seen]) or None for role in (FIRST, SECOND)]
    return PassTime(
        name=name,
        threads=threads,
        before_s=times[0],
        after_s=times[1],
        **_said(judged),
    )


def _layers(before: Version | None, after: Version) -> Iterator[LayerCompile]:
    """Yield the layers compiled alone, those that take longest first."""
    sides: list[dict[tuple[str, str], Mapping[str, Any]]] = [
        {} if each is None or each.apart is None else
        {(one["layers"][0], one["phase"]): one for one in each.apart["layers"]}
        for each in (before, after)
    ]  # fmt: skip
    rows = [
        LayerCompile(
            layer=layer,
            phase=phase,
            repeats=len((sides[1].get((layer, phase)) or sides[0][layer, phase])["layers"]),
            before_s=sides[0].get((layer, phase), {}).get("compile_s"),
            after_s=sides[1].get((layer, phase), {}).get("compile_s"),
        )
        for layer, phase in {**sides[1], **sides[0]}
    ]
    yield from sorted(rows, key=lambda each: -max(each.before_s or 0, each.after_s or 0))


def _growth(version: Version) -> CompileGrowth:
    seen = version.grown
    assert seen is not None
    exponents = seen["exponents"]
    several = len(exponents) >= FEWEST_SEEN
    return CompileGrowth(
        version=version.label,
        layer=seen["layer"],
        repeats=seen["repeats"],
        exponent=sum(exponents) / len(exponents) if exponents else None,
        interval=mean_interval(exponents, 0.95) if several else None,
        one_s=median([each[0] for each in seen["rounds"]]),
        all_s=median([each[-1] for each in seen["rounds"]]),
    )
