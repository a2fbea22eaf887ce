"""What to sweep over, and how: checked before any work, and light enough to go elsewhere."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple, TypedDict, Unpack

import msgspec

from edgegraph import __version__
from edgegraph.base.axes import BATCH, sizes_in_words
from edgegraph.base.timing import time_limit
from edgegraph.compiler.compile import workload_fingerprint
from edgegraph.compiler.targets import parse_target
from edgegraph.device.calibration.saved import load_calibration, machine_identity
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device
from edgegraph.errors import USER_ERRORS, InputError, positive_integer
from edgegraph.measure.environment import environment
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.studies.sweep.result import COLUMNS, PLAIN_OPTIONS, Sweep, SweepPoint
from edgegraph.workload import Workload

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

QUEUE_DEPTHS = (1, 4, 16)
"""Fewer than a measurement of throughput alone takes, since a sweep has many points."""

Subject = Workload | Callable[..., Workload]
Options = Mapping[str, str | int | float | bool]
MOST_AXES = 2
"""Along which a sweep has several sizes."""


class Cell(NamedTuple):
    """Which point: batch, dtype, the label of the compiler options, sizes along other axes."""

    batch: int
    dtype: str | None
    options: str
    sizes: tuple[tuple[str, int], ...] = ()

    @property
    def label(self) -> str:
        """Name the point by what it may differ in from others."""
        more = [*([self.dtype] if self.dtype else [])]
        more += [self.options] if self.options != PLAIN_OPTIONS else []
        return ", ".join([sizes_in_words({BATCH: self.batch, **dict(self.sizes)}), *more])

    def point(self, **found: Any) -> SweepPoint:
        """Return the point with what was found."""
        return SweepPoint(
            batch=self.batch, dtype=self.dtype, options=self.options, sizes=dict(self.sizes),
            **found,
        )  # fmt: skip


class MixedMachinesWarning(UserWarning):
    """Points of one sweep were timed on machines that differ."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One sweep: what to sweep over, and how.

    It travels to other processes without the workloads, which are made again there.

    Attributes:
        subject: The workload, or the function that makes it.
        dtypes: What to hand to the function; None alone where the dtype is not varied.
        batches: Ascending, each once.
        axes: The same along other axes of the workload.
        options: XLA compiler options that all points share.
        option_sets: Further options by label; the first, ``default``, has none.
        device: Whose roofs to use; None for the target's, or those of the machine itself.
        compile_limit_s: The most that tracing and compiling a point may take, or None.
    """

    subject: Subject
    name: str
    dtypes: tuple[str | None, ...]
    batches: tuple[int, ...]
    options: Options
    option_sets: Mapping[str, Options]
    queue_depths: tuple[int, ...]
    settings: MeasurementSettings
    device: Device | None
    max_latency_s: float | None
    target: str
    measure: bool
    compile_limit_s: float | None = None
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def cells(self) -> list[Cell]:
        """Every point, in the order they are taken."""
        return [
            Cell(batch, dtype, options, tuple(zip(self.axes, sizes, strict=True)))
            for dtype in self.dtypes
            for options in self.option_sets
            for sizes in product(*self.axes.values())
            for batch in self.batches
        ]

    def workload(self, dtype: str | None) -> Workload:
        """Return the workload, which is made once."""
        if dtype not in self._workloads:
            self._workloads[dtype] = make_workload(self.subject, dtype)
        return self._workloads[dtype]

    @cached_property
    def _workloads(self) -> dict[str | None, Workload]:
        return {}

    @cached_property
    def roofs(self) -> Device | None:
        """The device that was asked for, the target's, or this machine's calibration."""
        if self.device is not None:
            return self.device
        name = parse_target(self.target).device
        return find_device(name) if name else load_calibration()

    def part(self, point: SweepPoint) -> Sweep:
        """Return the sweep with one point alone, as taken here and now."""
        own = {axis: (size,) for axis, size in point.sizes.items()}
        used = {name: more for name, more in self.option_sets.items() if name == point.options}
        return Sweep(
            workload=self.name,
            target=self.target,
            device=self.roofs,
            environment=environment(),
            batches=(point.batch,),
            options=self.options,
            option_sets=used,
            max_latency_s=self.max_latency_s,
            points=(point,),
            axes=own,
        )

    def result(self, parts: Sequence[Sweep]) -> Sweep:
        """Put the points in the plan's order; environment and device are the first's.

        Machines that timed points and differ give a `MixedMachinesWarning`.
        """
        points = {cell_of(point): point for part in parts for point in part.points}
        timed = dict.fromkeys(
            f"{part.environment.processor} with {part.environment.affinity} cores"
            for part in parts
            if any(point.latency is not None for point in part.points)
        )
        if len(timed) > 1:
            warnings.warn(
                f"{self.name}: points were timed on machines that differ ({'; '.join(timed)}); do"
                " not compare them with each other",
                MixedMachinesWarning,
                stacklevel=2,
            )
        first = parts[0] if parts else self.part(self.cells[0].point())
        return replace(
            first,
            batches=self.batches,
            axes=self.axes,
            option_sets=self.option_sets,
            max_latency_s=self.max_latency_s,
            points=tuple(points[cell] for cell in self.cells if cell in points),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for finished points to be used again.

        The workload counts by what it lowers to at the smallest batch size, and smallest sizes.
        """
        return {
            "edgegraph": __version__,
            "machine": machine_identity(),
            "workload": self.name,
            "lowered": {dtype or "": self._lowered(dtype) for dtype in self.dtypes},
            "smallest batch": self.batches[0],
            "smallest sizes": self._smallest,
            "options": self.options,
            "option sets": self.option_sets,
            "queue depths": self.queue_depths,
            "settings": self.settings,
            "device": msgspec.to_builtins(self.roofs),
            "target": self.target,
            "measure": self.measure,
        }

    @property
    def _smallest(self) -> dict[str, int]:
        return {axis: sizes[0] for axis, sizes in self.axes.items()}

    def _lowered(self, dtype: str | None) -> str:
        try:
            with time_limit(self.compile_limit_s):
                return workload_fingerprint(
                    self.workload(dtype).at(**self._smallest),
                    batch=self.batches[0],
                    target=self.target,
                )
        except USER_ERRORS as error:  # the point itself will say so
            return f"{type(error).__name__}: {error}"


def cell_of(point: SweepPoint) -> Cell:
    """Return which point it is."""
    return Cell(point.batch, point.dtype, point.options, tuple(point.sizes.items()))


class SweepArguments(TypedDict, total=False):
    """What every sweep takes; `edgegraph.sweep` says what each means."""

    batches: Sequence[int] | None
    dtypes: Sequence[str] | None
    options: Options | None
    option_sets: Mapping[str, Options] | None
    max_latency_s: float | None
    queue_depths: Sequence[int]
    settings: MeasurementSettings | None
    device: Device | None
    measure: bool | None
    compile_limit_s: float | None
    vary: Mapping[str, Sequence[int]] | None


_DEFAULTS: SweepArguments = {"queue_depths": QUEUE_DEPTHS}
"""Of those that are not None where left out."""

PARAMETERS = [
    inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name),
        annotation=hint.__forward_arg__,
    )
    for name, hint in SweepArguments.__annotations__.items()
]  # fmt: skip
"""The same as a signature has them."""


def make_plan(
    subject: Subject, *, target: str = "cpu", **arguments: Unpack[SweepArguments]
) -> Plan:
    """Check the arguments of `edgegraph.sweep` and put them together."""
    unknown = set(arguments) - set(SweepArguments.__annotations__)
    if unknown:
        raise TypeError(f"a sweep takes no {', '.join(sorted(unknown))}")
    _check(arguments)
    measure, dtypes = arguments.get("measure"), arguments.get("dtypes")
    target = parse_target(target).name
    runs_here = target == "cpu"
    if measure and not runs_here:
        raise InputError(f"what is compiled for {target!r} does not run here; leave measure out")
    labels: tuple[str | None, ...] = (None,) if dtypes is None else tuple(dict.fromkeys(dtypes))
    made = {dtype: make_workload(subject, dtype) for dtype in labels}
    batches, axes = _sizes(arguments.get("batches"), arguments.get("vary"), made)
    plan = Plan(
        subject=subject,
        name=made[labels[0]].name,
        dtypes=labels,
        batches=batches,
        axes=axes,
        options=dict(arguments.get("options") or {}),
        option_sets={PLAIN_OPTIONS: {}}
        | {label: dict(more) for label, more in (arguments.get("option_sets") or {}).items()},
        queue_depths=tuple(arguments.get("queue_depths", QUEUE_DEPTHS)),
        settings=arguments.get("settings") or MeasurementSettings(),
        device=arguments.get("device"),
        max_latency_s=arguments.get("max_latency_s"),
        target=target,
        measure=runs_here if measure is None else measure,
        compile_limit_s=arguments.get("compile_limit_s"),
    )
    plan._workloads.update(made)
    return plan


def _sizes(
    batches: Sequence[int] | None,
    vary: Mapping[str, Sequence[int]] | None,
    workloads: Mapping[str | None, Workload],
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Return the batch sizes, and the sizes along other axes, each ascending and once.

    Raises:
        InputError: A size is no positive integer, or too much is varied.
    """
    given = dict(vary or {})
    if batches is not None and BATCH in given:
        raise InputError("the batch is given twice, as batches and in vary; give it once")
    chosen = given.pop(BATCH, batches)
    if chosen is None:
        chosen = (1,) if given else BATCHES
    sizes = {axis: _ascending(axis, each) for axis, each in {BATCH: chosen, **given}.items()}
    several = [axis for axis, each in sizes.items() if len(each) > 1]
    if len(several) > MOST_AXES or (len(several) == MOST_AXES and len(workloads) > 1):
        others = " for one dtype" if len(workloads) > 1 else ""
        raise InputError(
            f"a sweep has several sizes along {MOST_AXES} axes at most{others}, not along"
            f" {', '.join(several)}; give one size for the rest"
        )
    for axis in given:
        if axis in COLUMNS:
            raise InputError(
                f"the axis {axis} has the name of a column of every sweep; call it otherwise"
            )
        for workload in workloads.values():
            workload.at(**{axis: sizes[axis][0]})  # refuses what is none of its axes
    return sizes.pop(BATCH), sizes


def _ascending(axis: str, sizes: Sequence[int]) -> tuple[int, ...]:
    if not sizes:
        what = "batch size" if axis == BATCH else axis
        raise InputError(f"no {what} was given; give a list such as [1, 2, 4, 8]")
    return tuple(sorted({positive_integer(size, axis) for size in sizes}))


def _check(arguments: SweepArguments) -> None:
    budget_s = arguments.get("max_latency_s")
    if budget_s is not None and not budget_s > 0:
        raise InputError(f"the latency budget must be positive, not {budget_s!r} s")
    limit_s = arguments.get("compile_limit_s")
    if limit_s is not None and not limit_s > 0:
        raise InputError(f"the time limit must be positive, not {limit_s!r} s")
    if PLAIN_OPTIONS in (arguments.get("option_sets") or {}):
        raise InputError(
            f"the options called {PLAIN_OPTIONS!r} are those without any, which are always swept;"
            " choose another label"
        )
    if (dtypes := arguments.get("dtypes")) is not None and not dtypes:
        raise InputError("no dtype was given; give a list such as ['float32', 'bfloat16']")


def make_plans(
    subjects: Sequence[Subject], *, targets: Sequence[str], **arguments: Unpack[SweepArguments]
) -> tuple[Plan, ...]:
    """Plan a sweep for every workload and target, workload by workload."""
    if not subjects or not targets:
        raise InputError("there is nothing to sweep; give workloads and targets")
    measure = arguments.get("measure")

    def plan(subject: Subject, target: str) -> Plan:
        # With several targets, measure=True is for the one that runs here.
        elsewhere = measure and len(targets) > 1 and target != "cpu"
        own: SweepArguments = {**arguments, "measure": None if elsewhere else measure}
        return make_plan(subject, target=target, **own)

    return tuple(plan(subject, target) for subject in subjects for target in targets)


def make_workload(subject: Subject, dtype: str | None) -> Workload:
    """Return the workload that is swept, made for a dtype where one is varied."""
    if isinstance(subject, Workload):
        if dtype is not None:
            raise InputError(
                f"the workload {subject.name!r} has its dtype already; to sweep over dtypes, give a"
                " function that takes dtype= and returns a Workload"
            )
        return subject
    if not callable(subject):
        raise InputError(
            f"cannot sweep {subject!r:.80}; expected a Workload, or a function that returns one"
        )
    given = {} if dtype is None else {"dtype": dtype}
    try:
        made = subject(**given)
    except TypeError as error:
        told = f" with dtype={dtype!r}" if given else ""
        raise InputError(f"cannot make a workload{told}: {error}") from error
    if not isinstance(made, Workload):
        raise InputError(f"cannot sweep {subject!r:.80}: it returns {made!r:.60}, not a Workload")
    return made
