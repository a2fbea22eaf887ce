"""``edgegraph fusion``, ``overlap``, ``improve`` and ``scaling``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from edgegraph.base.files import check_writable
from edgegraph.cli import run
from edgegraph.cli.job import CODE_ONLY, Job, JsonLines, StoreOption, grouped_options, saving_to
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    StudyFiles,
    StudyFilesByBatch,
    check_files,
    present_study,
    progress,
)
from edgegraph.errors import EdgeGraphError, InputError, NoisyMeasurementError
from edgegraph.results.verdicts import NOISY, OK

if TYPE_CHECKING:
    from edgegraph.base.timing import Progress
    from edgegraph.studies.fusion.result import FusionStudy
    from edgegraph.studies.improve.result import Improvement
    from edgegraph.studies.overlap.result import OverlapStudy
    from edgegraph.studies.scaling.result import Scaling
    from edgegraph.workload import Workload

_Study = TypeVar("_Study", "FusionStudy", "Improvement", "OverlapStudy", "Scaling")


def _run(
    job: Job,
    kind: type[_Study],
    steps: Mapping[str, Callable[[Workload, Progress], _Study]],
    *,
    reason: str,
    output: Sequence[Path] | None,
    store: Path | None,
    json: bool,
    check: Callable[[_Study], None] = lambda study: None,
) -> list[_Study]:
    """Make studies and present each as soon as it is done, or present the one that was saved.

    `steps` are what makes each of them, by what its files have behind their names; `reason` says
    why another file will not do; `check` refuses a study that there is nothing to show of.
    """
    paths = {end: [path.with_stem(path.stem + end) for path in output or ()] for end in steps}
    for own in paths.values():
        check_files(own, STUDY_SUFFIXES)
    if run.is_saved(job):
        study = run.load_saved(job, kind)
        present_study(study, output or (), json=json)
        return [study]
    run.check_is_code(job, reason)
    workload = run.resolve(job)
    kept: list[Path] = []
    studies = []
    with run.interruptible(kept), saving_to(store) as keep:
        for end, make in steps.items():
            with progress() as report:
                study = make(workload, report)
            studies.append(study)
            try:
                keep(study)
            finally:  # what a full database refuses still has its files
                check(study)
                kept += present_study(study, paths[end], json=json)
            if getattr(study, "interrupted", None):
                break
    return studies


def _by_batch(
    job: Job, make: Callable[[int, Workload, Progress], _Study]
) -> dict[str, Callable[[Workload, Progress], _Study]]:
    """Return a step for every batch size; files of several batches are named ``fusion_b32.png``."""
    several = len(job.batches) > 1
    return {f"_b{batch}" if several else "": partial(make, batch) for batch in job.batches}


PROCESSES, QUICK_PROCESSES = 7, 3


@grouped_options(without=("target", "stage", *CODE_ONLY))
def fusion(
    job: Job, output: StudyFilesByBatch = None, store: StoreOption = None, json: JsonLines = False
) -> None:
    """Compile with full fusion, without library fusion and without any, and compare.

    Kernels, bytes and latency of each, by layer and in total; what every fusion saves and what
    it computes twice; and whether fusion helps, hurts, or makes no difference.
    """
    from edgegraph.studies.fusion.result import FusionStudy

    def make(batch: int, workload: Workload, report: Progress) -> FusionStudy:
        from edgegraph.studies.fusion.run import fusion_study

        return fusion_study(
            workload,
            batch=batch,
            options=run.options(job),
            measure=job.measure is not False,
            processes=QUICK_PROCESSES if job.quick else PROCESSES,
            settings=run.settings(job),
            progress=report,
        )

    reason = "the study compiles the workload with several options"
    studies = _run(
        job, FusionStudy, _by_batch(job, make), reason=reason, output=output, store=store, json=json
    )
    for study in studies if job.strict else ():
        for step in study.steps:
            if step.verdict in (None, NOISY):
                said = step.comparison.reasons[0] if step.comparison else "it was not measured"
                raise NoisyMeasurementError(
                    f"{step.name} at batch {study.batch} allows no verdict ({said}); quiet the"
                    " machine and run it again"
                )


@grouped_options(without=("target", "stage", "measure", *CODE_ONLY))
def overlap(
    job: Job, output: StudyFilesByBatch = None, store: StoreOption = None, json: JsonLines = False
) -> None:
    """Measure what overlaps: arithmetic and data, calls in flight, host input and device.

    Every layer's time is compared with its bracket, from perfect to no overlap of its arithmetic
    with its data. The input pipeline is the workload's own.
    """
    from edgegraph.studies.overlap.result import OverlapStudy

    def make(batch: int, workload: Workload, report: Progress) -> OverlapStudy:
        from edgegraph.studies.overlap.run import overlap_study

        return overlap_study(
            workload,
            batch=batch,
            options=run.options(job),
            settings=run.settings(job),
            progress=report,
        )

    reason = "what overlaps has to be run"
    studies = _run(
        job, OverlapStudy, _by_batch(job, make), reason=reason, output=output, store=store,
        json=json,
    )  # fmt: skip
    for study in studies if job.strict else ():
        if study.verdict != OK:
            raise NoisyMeasurementError(
                f"the measurement of {study.workload} at batch {study.batch} is {study.verdict};"
                " quiet the machine and run it again"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried to make a program faster, and for how long."""

    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="FILE.rewrites", help="Write what was decided, for edgegraph.rewrite."
        ),
    ] = None
    seconds: Annotated[float, typer.Option(help="How long to search, per batch size.")] = 60.0
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRECISION",
            help="Try forms of lower precision too: bf16, int8, fast-math. Repeatable.",
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="How far a result may move, as a share of its largest number. Default: 1e-6;"
            " with --allow 0.02 for bf16, 0.1 for int8, 1e-4 for fast-math.",
        ),
    ] = None
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Compare the gradients of the results too.")
    ] = False

    prepare: Annotated[
        bool, typer.Option("--prepare", help="Prepare weights once, and choose forms for that.")
    ] = False

    @property
    def asked(self) -> dict[str, Any]:
        """What `edgegraph.improve` is asked for, besides the time."""
        return {
            "allow": self.allow or (),
            "tolerance": self.tolerance,
            "gradients": self.gradients,
            "prepare": self.prepare,
        }

    def check(self, batches: Sequence[int]) -> None:
        """Refuse a file that cannot be written, before the work begins."""
        if self.save is None:
            return
        check_writable(self.save)
        if self.save.suffix != ".rewrites":
            raise InputError(f"--save {self.save}: choose a name that ends in .rewrites")
        if len(batches) > 1:
            raise InputError("--save takes the decisions of one batch size; name one --batch")


@grouped_options(without=("stage", "measure", *CODE_ONLY))
def improve(
    job: Job,
    trial: Trial,
    output: StudyFilesByBatch = None,
    store: StoreOption = None,
    json: JsonLines = False,
) -> None:
    """Try equivalent forms of what the program does, and keep those that make it faster.

    Each kind of operation is compiled alone in every form that a rule knows, and timed in turns;
    the best are put together, and the whole is compared in fresh processes. --save writes
    what was decided: fast = edgegraph.rewrite(function, FILE). For a --target that is not here,
    forms are compiled ahead of time and judged by its compiler, and nothing is measured.
    """
    from edgegraph.studies.improve.result import Improvement

    trial.check(job.batches)

    def make(batch: int, workload: Workload, report: Progress) -> Improvement:
        from edgegraph.studies.improve.run import improve

        return improve(
            workload,
            batch=batch,
            seconds=trial.seconds,
            processes=QUICK_PROCESSES if job.quick else PROCESSES,
            target=job.target or "cpu",
            progress=report,
            **trial.asked,
        )

    reason = "what is faster has to be run"
    studies = _run(
        job, Improvement, _by_batch(job, make), reason=reason, output=output, store=store,
        json=json,
    )  # fmt: skip
    last = studies[-1]
    if trial.save is not None:
        last.save(trial.save)
    if last.interrupted:
        files = [*(output or ()), *filter(None, [trial.save])]
        run.exit_interrupted(", ".join(["what was found", *map(str, files)]))
    for study in studies if job.strict else ():
        if study.timing is not None and study.timing.verdict == NOISY:
            raise NoisyMeasurementError(f"{study.timing}; quiet the machine and run it again")


PARALLEL = ("data", "tensor", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a program is spread over chips."""

    chips: Annotated[str, typer.Option("--chips", metavar="N,N,...", help="Numbers of chips.")] = (
        "1,2,4,8"
    )
    parallel: Annotated[
        str,
        typer.Option(
            help="data: the batch is split. tensor: kernels are. both: kernels over as many chips"
            " as --tensor says, the batch over the rest.",
            autocompletion=lambda: list(PARALLEL),
        ),
    ] = "data"
    tensor: Annotated[
        int, typer.Option("--tensor", metavar="N", help="Chips that a kernel is split over.")
    ] = 2
    batch: Annotated[
        int | None, typer.Option("--batch", "-b", help="Batch over all chips: strong scaling.")
    ] = None
    batch_per_chip: Annotated[
        int | None,
        typer.Option("--batch-per-chip", help="Batch of each chip: weak scaling. Default: 1."),
    ] = None


@grouped_options(without=("batch", "stage", "measure", "strict", *CODE_ONLY))
def scaling(
    job: Job,
    spread: Spread,
    output: StudyFiles = None,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the study as a JSON object.")] = False,
) -> None:
    """Compile a workload over meshes of chips: what they exchange, wait for, and gain.

    Chips that are not here are compiled for ahead of time (--target tpu:v5e, gpu:h100); on cpu
    they are made of this host's cores and the step is measured.
    """
    from edgegraph.studies.scaling.result import Scaling

    meshes = _meshes(spread)

    def make(workload: Workload, report: Progress) -> Scaling:
        from edgegraph.studies.scaling.run import scaling_study

        return scaling_study(
            workload,
            meshes,
            target=job.target or "tpu:v5e",
            batch=spread.batch,
            batch_per_chip=spread.batch_per_chip,
            options=run.options(job),
            settings=run.settings(job),
            progress=report,
        )

    def check(study: Scaling) -> None:
        errors = [point for point in study.points if point.error is not None]
        if len(errors) == len(study.points):
            raise EdgeGraphError(f"no mesh has figures; {errors[0].mesh}: {errors[0].error}")

    reason = "the study compiles the workload for several numbers of chips"
    _run(
        job, Scaling, {"": make}, reason=reason, output=output, store=store, json=json,
        check=check,
    )  # fmt: skip


def _meshes(spread: Spread) -> list[tuple[int, int]]:
    """Return the chips over which the batch and each kernel are split, for every number of them."""
    chips, parallel, tensor = spread.chips, spread.parallel, spread.tensor
    try:
        counts = [int(part) for part in chips.split(",")]
    except ValueError:
        raise InputError(
            f"--chips {chips!r} is not a list of numbers; expected, for example, 1,4,16,64"
        ) from None
    if min(counts) < 1:
        raise InputError(f"--chips must be positive integers, not {chips!r}")
    if parallel not in PARALLEL:
        raise InputError(f"--parallel {parallel!r} is unknown; choose {', '.join(PARALLEL)}")
    if parallel == "data":
        return [(count, 1) for count in counts]
    if parallel == "tensor":
        return [(1, count) for count in counts]
    if any(count > 1 and count % tensor for count in counts):
        raise InputError(f"--tensor {tensor} does not divide --chips {chips} evenly")
    return [(count // tensor, tensor) if count > 1 else (1, 1) for count in counts]
