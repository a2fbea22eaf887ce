"""Every layer timed alone, in turns with the whole.

Each layer is compiled from its own equations and fed the values that really flow into it. All
layers and the whole are timed in rounds, in random order, so that a machine that slows down or
speeds up does so for all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from edgegraph.compiler.program import Program
from edgegraph.errors import InputError
from edgegraph.measure import statistics
from edgegraph.measure.clock import Clock, monotonic_clock
from edgegraph.measure.executable import (
    ExecutableCall,
    null_call,
    program_arguments,
    use_synchronous_dispatch,
)
from edgegraph.measure.groups import LayerGroup, Partition, compile_flat, partition
from edgegraph.measure.rounds import sample_in_rounds
from edgegraph.measure.sampling import Progress, Series, Settings, summarise
from edgegraph.results.latency import UNATTRIBUTED, Latency, LayerLatency


def _silent(message: str, fraction: float | None) -> None:
    """Report nothing."""


def measure_layers(
    program: Program,
    *,
    settings: Settings | None = None,
    clock: Clock = monotonic_clock,
    progress: Progress | None = None,
) -> tuple[Latency, tuple[LayerLatency, ...]]:
    """Time a program, and every layer of it compiled alone.

    Layers that are the same program (repeated blocks) are timed once and share the result.

    Args:
        program: Compiled for this host.
        settings: `limit_s` bounds the timing of all layers together, compilation not included.
        clock: Nanoseconds.
        progress: Called with a message and a fraction.

    Returns:
        The latency of the whole, and of every layer and phase in the order in which they first
        do something.

    Raises:
        InputError: The program cannot be run here.
        KeyboardInterrupt: Passed through.
    """
    settings = settings or Settings()
    synchronous = use_synchronous_dispatch()
    report = progress or _silent
    report(f"{program.name}: making arguments", None)
    arguments = program_arguments(program)
    if program.jaxpr is None:
        raise InputError(f"{program.name!r} was not traced here, so its layers are unknown")
    cut = partition(program.jaxpr)
    layers = compile_layers(cut, jax.tree.leaves(arguments), program.options, report)
    floors = {
        layer.signature: Series(call=null_call(layer.arguments, layer.results), clock=clock)
        for layer in reversed(layers.distinct)
    }
    alone = [Series(call=layer.call, clock=clock) for layer in layers.distinct]
    call = ExecutableCall(program.executable, arguments)
    whole = Series(call=call, after=call.after, clock=clock)
    floor = Series(call=null_call(arguments, program.executable.out_info), clock=clock)
    every = [whole, floor, *alone, *floors.values()]
    stopped_by = sample_in_rounds(every, settings, clock, rewarm=True, progress=progress)

    def outcome(series: Series, floor: Series) -> Latency:
        return summarise(
            series,
            stopped_by=stopped_by,
            settings=settings,
            dispatch_s=statistics.median(floor.samples_s),
            synchronous=synchronous,
        )

    outcomes = [
        outcome(series, floors[layer.signature])
        for layer, series in zip(layers.distinct, alone, strict=True)
    ]
    return outcome(whole, floor), tuple(
        LayerLatency(
            layer=group.layer or UNATTRIBUTED,
            phase=group.phase,
            latency=outcomes[index],
            covers=group.covers,
        )
        for group, index in zip(cut.groups, layers.index_by_group, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledLayer:
    """A layer as an executable, with the values that flow into it."""

    executable: Any
    arguments: tuple[Any, ...]

    @property
    def call(self) -> Callable[[], object]:
        """The layer as a call that waits for its results."""
        return ExecutableCall(self.executable, self.arguments)

    @property
    def results(self) -> Any:
        """Something with the structure of the results."""
        return self.executable.out_info

    @property
    def signature(self) -> tuple[int, int]:
        """Number of arguments and results, on which the dispatch floor depends.

        It does not depend on their sizes: 4 arguments and 10 results took 12.9 us as scalars and
        as a megabyte each, while a further argument took 0.3 us and a further result 0.9 us.
        """
        return len(self.arguments), len(jax.tree.leaves(self.results))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledLayers:
    """All layers of a program, those that are alike only once.

    Attributes:
        distinct: One of each kind.
        index_by_group: For every group of the partition, which of `distinct` it is.
    """

    distinct: tuple[CompiledLayer, ...]
    index_by_group: tuple[int, ...]


def compile_layers(
    cut: Partition,
    arguments: Sequence[Any],
    options: Mapping[str, str | int | float | bool],
    report: Progress = _silent,
) -> CompiledLayers:
    """Compile every layer alone and compute what flows into it.

    Args:
        cut: The traced function, cut into layers.
        arguments: The function's arguments, flattened.
        options: XLA compiler options of the whole, used for the layers too.
        report: Called with a message and a fraction.
    """
    index_by_text: dict[str, int] = {}
    index_by_group: list[int] = []
    kinds: list[LayerGroup] = []
    for group in cut.groups:
        # The text names no layers and numbers the variables, so repeated blocks read alike.
        text = str(group.jaxpr)
        if text not in index_by_text:
            index_by_text[text] = len(kinds)
            kinds.append(group)
        index_by_group.append(index_by_text[text])
    report("running the whole for what flows between its layers", None)
    flowing = cut.values(
        (variable for group in kinds for variable in group.inputs), arguments, options
    )
    distinct: list[CompiledLayer] = []
    for position, group in enumerate(kinds):
        report(f"compiling {group.layer or UNATTRIBUTED} alone", position / len(kinds))
        values = tuple(flowing[variable] for variable in group.inputs)
        executable = compile_flat(group.function, values, options)
        distinct.append(CompiledLayer(executable=executable, arguments=values))
    return CompiledLayers(distinct=tuple(distinct), index_by_group=tuple(index_by_group))
