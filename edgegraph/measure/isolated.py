"""Every layer timed alone, in turns with the whole.

Each layer is compiled from its own equations and fed the values that really flow into it; a layer
inside a loop is one iteration, with the values of the first. All layers and the whole are timed in
rounds, in random order, so that a machine that slows down or speeds up does so for all of them
alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import jax

from edgegraph.base.timing import (
    NANOSECONDS_PER_S,
    Clock,
    Progress,
    monotonic_clock,
    no_progress,
)
from edgegraph.compiler.program import Program
from edgegraph.errors import InputError
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.measure.flow import compile_flat, run_watched, static_executions
from edgegraph.measure.groups import LayerGroup, cut, deepest, layers_in
from edgegraph.measure.latency import (
    ExecutableCall,
    null_call,
    program_arguments,
    use_synchronous_dispatch,
)
from edgegraph.measure.regions import Region, Regions, find_regions
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds, summarise
from edgegraph.results.timing import Latency, LayerLatency

Depth = int | None | Literal["all"] | Sequence[int | None]
"""Where to cut: None for every scope alone, a number for all below a scope together, several of
these, or ``all``."""

Place = Callable[[Regions], Mapping[tuple[Region, int], tuple[str | None, str]]]
"""Finds layer and phase of equations."""


def measure_layers(
    program: Program,
    *,
    depth: Depth = None,
    settings: MeasurementSettings | None = None,
    clock: Clock = monotonic_clock,
    progress: Progress | None = None,
    place: Place | None = None,
    takes_s: Mapping[str, float] | None = None,
) -> tuple[Latency, tuple[LayerLatency, ...]]:
    """Time a program, and every layer of it compiled alone.

    Layers that are the same program (repeated blocks) are timed once and share the result. What
    never ran, such as a branch not taken, is left out. Without a depth every scope's own operations
    are timed alone; 0 times the scopes without one above them (the model, the loss) in one piece
    each, 1 those below (the blocks); a list, or ``all``, makes several cuts. `limit_s` bounds the
    timing of all layers together, and `budget_s` compilation, too, where no depth is asked for:
    what is expected to take longest, by `takes_s` of each layer, is taken apart first then, and
    what is left is timed in larger pieces. Where equations belong, `place` or their names say.
    """
    started = clock()
    settings, report = settings or MeasurementSettings(), progress or no_progress
    synchronous = use_synchronous_dispatch()
    report(f"{program.name}: making arguments", None)
    arguments = program_arguments(program)
    if program.jaxpr is None:  # what was lowered elsewhere is timed as a whole
        whole = CompiledLayer(program.executable, arguments)
        return _time_in_turns([whole], settings, clock, synchronous, report)[0], ()
    regions = _placed(find_regions(program.jaxpr), place)
    pieces = _pieces(regions, depth, settings.budget_s, program.compile_s or 0.0, takes_s)
    groups, flat = [group for _, group in pieces], jax.tree.leaves(arguments)
    layers = compile_layers(regions, groups, flat, program.options, report)
    every = [CompiledLayer(program.executable, arguments), *layers.distinct]
    left = _of_what_is_left(settings, clock() - started)
    total, *outcomes = _time_in_turns(every, left, clock, synchronous, report)
    return total, tuple(
        LayerLatency(
            layer=group.layer or UNATTRIBUTED,
            phase=group.phase,
            latency=outcomes[index],
            covers=group.covers,
            depth=below,
            executions=executions,
            within=group.region.name or None,
        )
        for (below, group), index, executions in zip(
            pieces, layers.index_by_group, layers.executions, strict=True
        )
        if index is not None
    )


def _placed(regions: Regions, place: Place | None) -> Regions:
    return regions if place is None else replace(regions, places=place(regions))


def _pieces(
    regions: Regions,
    depth: Depth,
    budget_s: float,
    compile_s: float,
    takes_s: Mapping[str, float] | None,
) -> list[tuple[int | None, LayerGroup]]:
    """Cut at every depth that is asked for, or as affordable; return it with each piece."""
    if depth is None:
        opened = affordable_cut(regions, budget_s, compile_s, takes_s or {})
        below = None if opened is None or opened else 0
        return [(below, group) for group in cut(regions, opened)]
    return [
        (below, group) for below in which_depths(depth, regions) for group in cut(regions, below)
    ]


def _of_what_is_left(settings: MeasurementSettings, spent_ns: int) -> MeasurementSettings:
    """Bound the timing by what compiling has left of the budget, but a quarter of it."""
    left_s = max(settings.budget_s - spent_ns / NANOSECONDS_PER_S, settings.budget_s / 4)
    return replace(settings, limit_s=min(settings.limit_s, left_s))


def _time_in_turns(
    every: Sequence[CompiledLayer],
    settings: MeasurementSettings,
    clock: Clock,
    synchronous: bool,
    progress: Progress,
) -> list[Latency]:
    """Time the whole and its layers, each with its dispatch floor."""
    floors: dict[object, Series] = {}
    for one in every:
        if one.signature not in floors:
            floor = null_call(one.arguments, one.executable.out_info)
            floors[one.signature] = Series(call=floor, clock=clock)
    calls = [ExecutableCall(one.executable, one.arguments) for one in every]
    timed = [Series(call=call, after=call.after, clock=clock) for call in calls]
    sampling = sample_in_rounds(
        [*timed, *floors.values()], settings, clock, rewarm=True, progress=progress
    )
    return [
        summarise(series, sampling, floor=floors[one.signature], synchronous=synchronous)
        for series, one in zip(timed, every, strict=True)
    ]


PIECE_S = 0.05
"""Compiling a piece takes about so long, however small it is."""


def affordable_cut(
    regions: Regions, budget_s: float, compile_s: float, takes_s: Mapping[str, float]
) -> Set[str] | None:
    """Return which scopes to take apart so that compiling all pieces takes half of a budget, about.

    Those that are expected to take longest come first; `takes_s` is what a scope's own operations
    take, for any unit of time. None, every scope by itself, if that fits. `compile_s` is what
    compiling the whole took, of which pieces that are alike take their part once.
    """
    whole = sum(len(group.jaxpr.eqns) for group in cut(regions))

    def fits(opened: Set[str] | None) -> bool:
        distinct = {_identity(group): group for group in cut(regions, opened)}.values()
        share = sum(len(group.jaxpr.eqns) for group in distinct) / max(1, whole)
        return len(distinct) * PIECE_S + share * compile_s <= budget_s / 2

    if fits(None):
        return None
    order = _dearest_first(layers_in(regions), takes_s)
    affordable = bisect_left(range(1, len(order) + 1), True, key=lambda n: not fits({*order[:n]}))
    return frozenset(order[:affordable])


def _dearest_first(layers: Set[str], takes_s: Mapping[str, float]) -> list[str]:
    """Order the scopes with others below them by what takes longest, outer ones before inner."""
    below: dict[str, float] = {}
    for layer in layers | takes_s.keys():
        for scope in accumulate(layer.split("/")[:-1], "{}/{}".format):
            below[scope] = below.get(scope, 0.0) + takes_s.get(layer, 0.0)
    return sorted(below, key=lambda scope: (-below[scope], scope.count("/"), scope))


def _identity(group: LayerGroup) -> tuple[str, tuple[int, ...]]:
    """Return what pieces that are the same program have in common."""
    # The text names no layers and numbers the variables, so repeated blocks read alike.
    return str(group.jaxpr), group.donated


def which_depths(depth: Depth, regions: Regions) -> tuple[int | None, ...]:
    """Return the cuts that were asked for, each once."""
    if depth == "all":
        return (*range(deepest(regions) + 1), None)
    check_depth(depth)
    return tuple(dict.fromkeys(_several(depth)))


def check_depth(depth: Depth) -> None:
    """Refuse what is no depth of layers."""
    for one in () if depth == "all" else _several(depth):
        if one is not None and (isinstance(one, bool) or not isinstance(one, int) or one < 0):
            raise InputError(
                f"depth {one!r} is not a depth; expected a non-negative integer, None for every"
                " scope by itself, a list of these, or 'all'"
            )


def _several(depth: Any) -> Sequence[Any]:
    return depth if isinstance(depth, Sequence) and not isinstance(depth, str) else (depth,)


@dataclass(frozen=True, slots=True)
class CompiledLayer:
    """A layer, or the whole, as an executable with the values that flow into it."""

    executable: Any
    arguments: tuple[Any, ...]

    @property
    def signature(self) -> object:
        """Structure of arguments and results, on which the dispatch floor depends.

        It does not depend on their sizes: 4 arguments and 10 results took 12.9 us as scalars and
        as a megabyte each, while a further argument took 0.3 us and a further result 0.9 us.
        """
        return jax.tree.structure(self.arguments), jax.tree.structure(self.executable.out_info)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledLayers:
    """All layers, those alike once; by group, which one it is (None: never runs) and how often."""

    distinct: tuple[CompiledLayer, ...]
    index_by_group: tuple[int | None, ...]
    executions: tuple[int, ...]


def compile_layers(
    regions: Regions,
    groups: Sequence[LayerGroup],
    arguments: Sequence[Any],
    options: Mapping[str, str | int | float | bool],
    report: Progress = no_progress,
) -> CompiledLayers:
    """Compile every layer alone, with the options of the whole, and compute what flows into it."""
    report("running the whole for what flows between its layers", None)
    alike: dict[tuple[str, tuple[int, ...]], list[LayerGroup]] = {}
    for group in groups:
        alike.setdefault(_identity(group), []).append(group)
    certain = static_executions(regions.root)
    watched = [group for same in alike.values() for group in _worth_watching(same, certain)]
    flow = run_watched(
        regions,
        (variable for group in watched for variable in group.inputs),
        (group.region for group in groups),
        arguments,
        options,
    )
    index_by_group: dict[int, int] = {}
    distinct: list[CompiledLayer] = []
    for position, same in enumerate(alike.values()):
        running = [group for group in same if flow.executions[group.region]]
        if not running:
            continue
        group = next(one for one in _worth_watching(same, certain) if one in running)
        report(f"compiling {group.layer or UNATTRIBUTED} alone", position / len(alike))
        values = tuple(flow.values[variable] for variable in group.inputs)
        executable = compile_flat(group.function, values, options, group.donated)
        index_by_group.update({id(member): len(distinct) for member in running})
        distinct.append(CompiledLayer(executable, values))
    return CompiledLayers(
        distinct=tuple(distinct),
        index_by_group=tuple(index_by_group.get(id(group)) for group in groups),
        executions=tuple(flow.executions[group.region] for group in groups),
    )


def _worth_watching(alike: Sequence[LayerGroup], certain: Mapping[Region, int]) -> list[LayerGroup]:
    """Choose whose values to keep: those of one that runs, or of one in every region it may."""
    for group in alike:
        if certain.get(group.region):
            return [group]
    return list({group.region: group for group in alike}.values())
