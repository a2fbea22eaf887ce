"""The whole program with some of the changes made: compiled once, and timed in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edgegraph.base.timing import monotonic_clock
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.program import Program
from edgegraph.measure.latency import ExecutableCall
from edgegraph.measure.sampling import MeasurementSettings, Series, sample_in_rounds
from edgegraph.results.verdicts import Interval, verdict_of_intervals
from edgegraph.rewrites.decisions import (
    prepared_halves,
    prepared_workload,
    rewritten_workload,
)
from edgegraph.rewrites.prepared import Split
from edgegraph.studies.improve.result import Improvement
from edgegraph.studies.improve.trials import FOLDED, PREPARED, OptionValue
from edgegraph.workload import Workload

SETTINGS = MeasurementSettings(
    warm_up_calls=2,
    warm_up_s=0.05,
    minimum_samples=30,
    minimum_s=0.5,
    known_to=math.inf,
    limit_s=20.0,
)
"""Of programs in turns; that a rule helps by less than can be told so is not worth a change."""

FEWEST_PAIRS = 6
"""Of fewer, the median's 95 % interval is not known: all lie on one side by chance too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a program is made of; an empty one makes the plain program.

    Attributes:
        decisions: Rules by signature.
        options: Compiler options by name.
        prepared: Whether what depends on the weights alone is computed beforehand.
        folded: Whether batch norms and their like are folded into prepared weights.
        donate: Positions of arguments that are donated besides those that the workload donates.
    """

    decisions: frozenset[tuple[str, str]] = frozenset()
    options: frozenset[tuple[str, OptionValue]] = frozenset()
    prepared: bool = False
    folded: bool = False
    donate: tuple[int, ...] = ()

    def without(self, rule: str) -> Recipe:
        """Return the recipe without the changes of one rule, or without prepared weights.

        Weights that are not prepared are not folded either.
        """
        return replace(
            self,
            decisions=frozenset(each for each in self.decisions if each[1] != rule),
            prepared=self.prepared and rule != PREPARED,
            folded=self.folded and rule not in (PREPARED, FOLDED),
        )

    def with_option(self, name: str, value: OptionValue) -> Recipe:
        """Return the recipe with one more compiler option."""
        return replace(self, options=self.options | {(name, value)})


PLAIN = Recipe()


def recipe_of(study: Improvement) -> Recipe:
    """Return the recipe that a study has kept."""
    return Recipe(
        decisions=frozenset(study.decisions.items()),
        options=frozenset(study.compiler_options.items()),
        prepared=study.prepared,
        folded=bool(study.folded),
        donate=study.donate_argnums,
    )


class Whole:
    """Compile a workload by every recipe that is asked for, each once."""

    def __init__(self, workload: Workload, batch: int) -> None:
        self.workload, self.batch = workload, batch
        self.call = workload.call(batch)
        self._programs: dict[Recipe, Program] = {}
        self._prepared: dict[Recipe, Any] = {}

    def program(self, recipe: Recipe) -> Program:
        """Return the program that a recipe makes.

        Raises:
            CompileError: XLA does not compile it.
        """
        if recipe not in self._programs:
            made = self.workload
            if recipe.prepared:
                made = prepared_workload(made, dict(recipe.decisions), recipe.folded)
            elif recipe.decisions or recipe.donate:
                made = rewritten_workload(made, dict(recipe.decisions), donate=recipe.donate)
            program = compile_workload(made, batch=self.batch, options=dict(recipe.options))
            # Making the weights may take longer than all else; they are made once.
            self._programs[recipe] = replace(program, concrete=partial(self.arguments_of, recipe))
        return self._programs[recipe]

    def compile_s(self, recipe: Recipe) -> float:
        """Return how long it took to trace and to compile a program."""
        program = self.program(recipe)
        return (program.lower_s or 0.0) + (program.compile_s or 0.0)

    @cached_property
    def arguments(self) -> tuple[Any, ...]:
        """The workload's arguments, with values."""
        made: tuple[Any, ...] = jax.block_until_ready(jax.device_put(tuple(self.call.concrete())))
        return made

    def halves(self, recipe: Recipe) -> Split:
        """Return the function of a prepared recipe in two."""
        return prepared_halves(self.call, dict(recipe.decisions), recipe.folded)

    def arguments_of(self, recipe: Recipe) -> tuple[Any, ...]:
        """Return what the program of a recipe takes in place of the arguments."""
        if not recipe.prepared:
            return self.arguments
        made = replace(recipe, options=frozenset())
        if made not in self._prepared:
            prepare = jax.jit(self.halves(recipe).prepare)
            self._prepared[made] = prepare(*self.arguments[: self.call.held])
        return self._prepared[made], *self.arguments[self.call.held :]

    def runs(self, recipe: Recipe) -> Callable[..., Any]:
        """Return the program of a recipe as a function of the workload's own arguments."""
        executable: Any = self.program(recipe).executable
        if any(info.donated for info in jax.tree.leaves(executable.args_info)):
            return lambda *arguments: executable(*jax.tree.map(jnp.copy, arguments))
        if not recipe.prepared:
            return executable  # type: ignore[no-any-return]
        prepared = self.arguments_of(recipe)[0]
        return lambda *arguments: executable(prepared, *arguments[self.call.held :])

    def prepare_s(self, recipe: Recipe) -> float:
        """Return how long it takes to prepare the weights, once compiled."""
        weights = self.arguments[: self.call.held]
        prepare = jax.jit(self.halves(recipe).prepare)
        jax.block_until_ready(prepare(*weights))
        begun = monotonic_clock()
        jax.block_until_ready(prepare(*weights))
        return (monotonic_clock() - begun) * 1e-9

    def seconds_of(self, recipe: Recipe) -> float:
        """Return the time of one warm call, roughly."""
        series = self._series(recipe)
        series.start()
        series.warm_up()
        return series.typical_s

    def ratios(self, first: Recipe, others: Sequence[Recipe]) -> list[Ratio] | None:
        """Time programs in turns, in random order, against the first, and that against itself.

        Returns:
            A ratio for each of the others; None where the time does not hold enough rounds.
        """
        every = [self._series(recipe) for recipe in (first, first, *others)]
        sampling = sample_in_rounds(every, SETTINGS, monotonic_clock, rewarm=True)
        return ratios([sampling.kept(series) for series in every])

    def _series(self, recipe: Recipe) -> Series:
        call = ExecutableCall(self.program(recipe).executable, self.arguments_of(recipe))
        return Series(call=call, after=call.after, clock=monotonic_clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The time of a program over that of another, taken in the same rounds.

    Attributes:
        ratio: Median over the rounds.
        interval: 95 % interval of the median.
        control: That of the other program against itself.
    """

    ratio: float
    interval: Interval
    control: Interval

    @property
    def verdict(self) -> str:
        """Whether the program is ``faster`` or ``slower``, or there is ``no difference``."""
        return verdict_of_intervals(1.0, self.control, self.interval)


def ratios(samples: Sequence[Sequence[float]]) -> list[Ratio] | None:
    """Return the ratios of times that were taken in the same rounds.

    Args:
        samples: Of the first program, of the same again, and of each other.

    Returns:
        A ratio for each other; None of fewer than 6 rounds.

    Example:
        >>> [found] = ratios([[1.0] * 30, [1.0] * 30, [1.25] * 30])
        >>> found.ratio, found.verdict
        (1.25, 'slower')
    """
    rounds = min(map(len, samples))
    if rounds < FEWEST_PAIRS:
        return None
    first, *rest = (np.asarray(each[:rounds]) for each in samples)
    (_, control), *found = (_median_with_interval(each / first) for each in rest)
    return [Ratio(ratio=ratio, interval=interval, control=control) for ratio, interval in found]


def _median_with_interval(values: np.ndarray) -> tuple[float, Interval]:
    """Return the median, and its 95 % interval by order statistics (binomial, as normal)."""
    ordered = np.sort(values)
    beyond = max(0, math.floor((len(ordered) - 1.96 * math.sqrt(len(ordered))) / 2))
    return float(np.median(ordered)), (float(ordered[beyond]), float(ordered[-1 - beyond]))
