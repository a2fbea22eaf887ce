"""``edgegraph serve``: times to tokens of a language model, by batch and context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.cli import run
from edgegraph.cli.completion import complete_spec
from edgegraph.cli.job import (
    CODE_ONLY,
    Job,
    JsonObject,
    StoreOption,
    grouped_options,
    open_if_given,
    parse_sizes,
    parse_time,
)
from edgegraph.cli.output import STUDY_SUFFIXES, StudyFiles, check_files, present_study, progress
from edgegraph.cli.sweep import Named
from edgegraph.errors import EdgeGraphError, NoisyMeasurementError
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.studies.serve.result import Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is served, and within which times."""

    context: Annotated[
        str, typer.Option("--context", metavar="SIZES", help="Tokens: 512,2048 or 128:4096.")
    ] = "512"
    batches: Annotated[
        str, typer.Option("--batch", "-b", metavar="SIZES", help="Sequences: 1:64 or 1,8,64.")
    ] = "1:64"
    along: Annotated[
        str | None,
        typer.Option(
            "--along",
            metavar="AXIS",
            help="The axis of both that is the context. Default: the only one that they share.",
        ),
    ] = None
    max_latency: Annotated[
        str | None,
        typer.Option(
            "--max-latency",
            metavar="TIME",
            help="Name the best batch whose tokens take no longer: 20ms.",
        ),
    ] = None
    max_first: Annotated[
        str | None,
        typer.Option(
            "--max-first-token", metavar="TIME", help="And whose first token takes no longer: 1s."
        ),
    ] = None
    store: StoreOption = None
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; do not continue an interrupted run.")
    ] = False
    output: StudyFiles = None
    json: JsonObject = False


PREFILL = Annotated[
    str,
    typer.Argument(
        metavar="PREFILL",
        help="The workload that reads a prompt: package.module:attribute.",
        autocompletion=complete_spec,
    ),
]


@grouped_options(without=("batch", "stage", "compiler_options", "args", *CODE_ONLY), spec=PREFILL)
def serve(
    job: Job,
    decode: Annotated[
        str,
        typer.Argument(
            metavar="DECODE",
            help="The workload that decodes a token of each sequence.",
            autocompletion=complete_spec,
        ),
    ],
    asked: Asked,
) -> None:
    """Serve a language model: time to the first token, time per token, tokens per second.

    Both workloads are swept over batches and contexts: measured on this host, estimated for a
    --target that is not here. Says at which batch decoding turns compute-bound, and how large its
    cache is. An interrupted run keeps its points, and the same command continues it.
    """
    check_files(asked.output or (), STUDY_SUFFIXES)
    jobs = [job, replace(job, spec=decode)]
    for each in jobs:
        run.check_is_code(each, "it is compiled at every batch size and context")
    study = _served(jobs, asked)
    timed = [point for point in study.points if point.output_token_s]
    present_study(study, asked.output or (), json=asked.json, has_figure=bool(timed))
    if not timed:
        raise EdgeGraphError(f"no point has times; {study.points[0].error or _NO_TIMES}")
    for point in study.points if job.strict else ():
        if point.verdict != OK:
            raise NoisyMeasurementError(
                f"batch {point.batch} at {study.axis} {point.context} is"
                f" {point.verdict or 'not measured'}; quiet the machine and run it again"
            )


_NO_TIMES = (
    "nothing was measured, and no device is known for an estimate: leave --no-measure out, run"
    " edgegraph calibrate, or name a --target"
)


def _served(jobs: Sequence[Job], asked: Asked) -> Serving:
    contexts = parse_sizes("--context", asked.context)
    batches = parse_sizes("--batch", asked.batches)
    token_s = _seconds("--max-latency", asked.max_latency)
    first_s = _seconds("--max-first-token", asked.max_first)

    from edgegraph.studies.serve.run import serve

    job, prefill, decode = jobs[0], *map(Named, jobs)
    try:
        with open_if_given(asked.store) as database, progress() as report:
            return serve(
                prefill, decode, contexts=contexts, batches=batches, axis=asked.along,
                target=job.target or "cpu", settings=run.settings(job), measure=job.measure,
                fresh=asked.fresh, store=database, max_output_token_s=token_s,
                max_first_token_s=first_s, progress=report,
            )  # fmt: skip
    except KeyboardInterrupt:
        run.exit_interrupted("the points that were finished; the same command continues")


def _seconds(option: str, text: str | None) -> float | None:
    return None if text is None else parse_time(option, text)
