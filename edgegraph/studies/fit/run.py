"""What makes a training step fit: batches, meshes and plans, compiled and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgegraph.analysis.analyze import analyze
from edgegraph.base.timing import Progress, no_progress
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.derivatives import Differentiated, look_at_derivatives
from edgegraph.compiler.sharding import DeviceMesh, Partition
from edgegraph.compiler.targets import Target, parse_target, with_chips
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device
from edgegraph.errors import CompileError, EdgeGraphError, InputError, positive_integer
from edgegraph.measure.environment import environment
from edgegraph.results.analysis import Analysis
from edgegraph.studies.fit.apply import apply_plan, position_name
from edgegraph.studies.fit.batch import memory_limit, out_of_memory
from edgegraph.studies.fit.options import Option, options_of
from edgegraph.studies.fit.plan import Choice, choose, total
from edgegraph.studies.fit.residuals import residuals_of
from edgegraph.studies.fit.result import FULL, NO_PLAN, PLAN, Fit, LayerPlan, PlanPoint, Residual
from edgegraph.studies.fit.segments import Loss, body_of, loss_of
from edgegraph.workload import Workload

MOST_PLANS = 10
"""Plans that are compiled, those of the most throughput predicted."""

_SHARES = (1.0, 0.9, 0.8, 0.65, 0.5)
"""Of the room for what is saved: a plan is made for each, as compilers need more than is seen."""

_DOUBLINGS = 16
"""Of the batch, where none is given."""


def fit(
    workload: Workload,
    *,
    target: str = "tpu:v5e",
    memory: str | int | None = None,
    batches: Sequence[int] | None = None,
    meshes: Sequence[DeviceMesh | int] = (1,),
    partition: Partition | None = None,
    most: int = MOST_PLANS,
    progress: Progress | None = None,
) -> Fit:
    """Choose batch, mesh, and what every layer saves, so that a step fits and is fastest.

    Every batch and mesh is compiled as it is and with all computed again; plans in between are made
    by an integer program over the distinct layers, and the best are compiled and checked by the
    compiler's own figure. Nothing is run.

    Args:
        workload: A training step that takes its own gradient.
        target: A TPU or GPU that need not be here, or ``cpu``, calibrated.
        memory: Of each chip: bytes, or ``16GB``; what the device has where None.
        batches: Over all chips; powers of two where None, until nothing fits.
        meshes: Each a number of chips that share the batch, or a `DeviceMesh`.
        partition: As `edgegraph.compile` takes it.
        most: How many plans are compiled.
        progress: Called with a message.

    Returns:
        A `Fit`; `Fit.workload` is the step with the best plan.

    Raises:
        InputError: The step takes no gradient, or the device or its memory are not known.
        CompileError: It does not trace.
    """
    base = parse_target(target)
    device = find_device(base.device) if base.device else load_calibration()
    if device is None:
        raise InputError("this machine's roofs are not known; run edgegraph calibrate once")
    study = _Study(
        workload=workload, base=base, device=device, partition=partition,
        limit_bytes=memory_limit(memory, base), report=progress or no_progress,
    )  # fmt: skip
    points, plans = study.everywhere(batches, meshes)
    plans.sort(key=lambda plan: -plan.batch / (plan.predicted_s or float("inf")))
    points += [study.compiled(plan) for plan in plans[:most]]
    made = Fit(
        workload_name=workload.name,
        target=target,
        limit_bytes=study.limit_bytes,
        device=device,
        environment=environment(),
        points=tuple(points),
        residuals=_residuals(workload, min(point.batch for point in points), device),
    )
    object.__setattr__(made, "_source", workload)
    return made


def _residuals(workload: Workload, batch: int, device: Device) -> tuple[Residual, ...]:
    found: list[Residual] = []
    look_at_derivatives(
        workload, batch, lambda each: found.extend(residuals_of(each.residuals(), device))
    )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """The layers of a loss: which distinct one each is, and how these can be run."""

    loss: Loss
    groups: tuple[int, ...]
    options: tuple[tuple[Option, ...], ...]

    @property
    def all_again(self) -> Choice:
        """Every layer with the least that it can keep."""
        least = [min(range(len(each)), key=lambda n: each[n].kept_bytes) for each in self.options]
        return total(self.groups, self.options, [least[group] for group in self.groups])

    @property
    def as_it_is(self) -> Choice:
        """Every layer as JAX saves it."""
        return total(self.groups, self.options, [0] * len(self.groups))

    def plans(self, choice: Choice) -> tuple[LayerPlan, ...]:
        """Return how every layer runs, equal neighbours together."""
        each = [self._plan(at, number) for at, number in enumerate(choice.options)]
        return tuple(each)

    def _plan(self, at: int, number: int) -> LayerPlan:
        layer, option = self.loss.layers[at], self.options[self.groups[at]][number]
        equations, _ = body_of(self.loss, layer)
        names = [position_name(layer, k, equations[k]) for k in sorted(option.kept or ())]
        return LayerPlan(
            layer=layer.name,
            count=1,
            checkpointed=option.kept is not None,
            kept=tuple(names),
            kept_bytes=option.kept_bytes,
            working_bytes=option.working_bytes,
            time_s=option.time_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Study:
    """What all batches and meshes share."""

    workload: Workload
    base: Target
    device: Device
    partition: Partition | None
    limit_bytes: int
    report: Progress

    def everywhere(
        self, batches: Sequence[int] | None, meshes: Sequence[DeviceMesh | int]
    ) -> tuple[list[PlanPoint], list[PlanPoint]]:
        """Return all batches on all meshes at both ends, and the plans in between."""
        points: list[PlanPoint] = []
        plans: list[PlanPoint] = []
        for each in meshes:
            mesh = each
            if not isinstance(mesh, DeviceMesh):
                mesh = DeviceMesh(data=positive_integer(mesh, "a mesh"))
            for batch in batches or [mesh.data << power for power in range(_DOUBLINGS)]:
                ends, more = self.at(positive_integer(batch, "batch"), mesh)
                points += ends
                plans += more
                if batches is None and not any(point.fits for point in ends) and not more:
                    break
        return points, plans

    def at(self, batch: int, mesh: DeviceMesh) -> tuple[list[PlanPoint], list[PlanPoint]]:
        """Return one batch on one mesh at both ends, compiled, and plans in between, not yet."""
        layers = self.layers(max(1, batch // mesh.data))
        full = layers.all_again
        empty = PlanPoint(plan=NO_PLAN, batch=batch, data=mesh.data, tensor=mesh.tensor)
        ends = [
            self.compiled(empty),
            self.compiled(replace(empty, plan=FULL, layers=layers.plans(full))),
        ]
        if ends[0].fits or not full.time_s:
            return ends, []
        return ends, list(self._between(layers, ends[0], ends[1]))

    def layers(self, batch: int) -> _Layers:
        """Cut the loss into layers, and find how each can be run."""
        losses: list[Loss] = []

        def look(found: Differentiated) -> None:
            if not found.number:
                losses.append(loss_of(found)[0])

        look_at_derivatives(self.workload, batch, look)
        loss = losses[0]
        numbers: dict[str, int] = {}
        groups = [numbers.setdefault(each.signature, len(numbers)) for each in loss.layers]
        first = {group: at for at, group in reversed(list(enumerate(groups)))}
        options = [options_of(loss, loss.layers[first[group]], self.device) for group in first]
        order = list(first)
        return _Layers(
            loss=loss,
            groups=tuple(groups),
            options=tuple(options[order.index(group)] for group in range(len(order))),
        )

    def compiled(self, point: PlanPoint) -> PlanPoint:
        """Compile a plan, and fill in what the compiler and its schedule say."""
        mesh = DeviceMesh(data=point.data, tensor=point.tensor)
        self.report(f"{self.workload.name}, batch {point.batch} on {mesh}: {point.plan}", None)
        try:
            program = compile_workload(
                apply_plan(self.workload, point.layers),
                batch=point.batch,
                target=with_chips(self.base, mesh.chips).name,
                mesh=mesh if mesh.chips > 1 else None,
                partition=self.partition,
            )
            analysis = analyze(program)
        except CompileError as error:
            if not out_of_memory(error):
                raise
            return replace(point, error=str(error))
        except InputError:
            raise
        except EdgeGraphError as error:
            return replace(point, error=str(error))
        peak = None if analysis.memory is None else analysis.memory.peak_bytes
        return replace(
            point,
            peak_bytes=peak,
            time_s=step_time(analysis),
            fits=peak is not None and peak <= self.limit_bytes,
        )

    def _between(self, layers: _Layers, plain: PlanPoint, full: PlanPoint) -> Iterator[PlanPoint]:
        """Yield plans that are predicted to fit, one for each share of the room."""
        if full.peak_bytes is None:
            return
        ends = layers.as_it_is, layers.all_again
        slope = 1.0  # of the compiler's bytes for each byte that is kept or worked with
        if plain.peak_bytes is not None and ends[0].bytes > ends[1].bytes:
            slope = (plain.peak_bytes - full.peak_bytes) / (ends[0].bytes - ends[1].bytes)
        if slope <= 0:
            return
        room = (self.limit_bytes - full.peak_bytes) / slope + ends[1].bytes
        seen = {ends[0].options, ends[1].options}
        for share in _SHARES:
            choice = choose(layers.groups, layers.options, room * share)
            if choice is None or choice.options in seen:
                continue
            seen.add(choice.options)
            predicted = full.peak_bytes + slope * (choice.bytes - ends[1].bytes)
            yield replace(
                full,
                plan=PLAN,
                layers=layers.plans(choice),
                predicted_bytes=round(predicted),
                predicted_s=_between_times(plain, full, ends, choice),
                peak_bytes=None,
                time_s=None,
                fits=False,
                error=None,
            )


def _between_times(
    plain: PlanPoint, full: PlanPoint, ends: tuple[Choice, Choice], choice: Choice
) -> float | None:
    """Return the time of a plan, on the line from the step as it is to all computed again."""
    if full.time_s is None:
        return None
    if plain.time_s is None:
        return full.time_s - ends[1].time_s + choice.time_s
    return plain.time_s + (full.time_s - plain.time_s) * choice.time_s / ends[1].time_s


def step_time(analysis: Analysis) -> float | None:
    """Return what a step takes: expected on this host, else as its schedule plays out at the roofs.

    What runs side by side shares a chip: it takes at least the largest of its three times.
    """
    totals, schedule = analysis.totals, analysis.schedule
    if totals.expected_time_s is not None:
        return totals.expected_time_s
    times = (totals.compute_time_s, totals.memory_time_s, totals.network_time_s)
    known = [each for each in times if each is not None]
    played = [] if schedule is None else [schedule.makespan_s]
    return max([*played, *known], default=None)
