"""``edgegraph regress``: several versions of jax against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgegraph.base.files import check_writable
from edgegraph.base.units import si
from edgegraph.cli import run
from edgegraph.cli.completion import complete_spec
from edgegraph.cli.job import (
    CODE_ONLY,
    Job,
    JsonObject,
    StoreOption,
    grouped_options,
    parse_assignments,
    parse_compiler_option,
    saving_to,
)
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    StudyFiles,
    check_files,
    present_study,
    print_json,
    print_lines,
    progress,
)
from edgegraph.errors import InputError, NoisyMeasurementError
from edgegraph.results.verdicts import NOISY

if TYPE_CHECKING:
    from edgegraph.studies.regress.result import Regression

PROCESSES, QUICK_PROCESSES = 5, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions that are held against each other."""

    jax: Annotated[
        str | None,
        typer.Option(
            "--jax", metavar="V,V,...", help="Versions of jax: 0.10.0,0.10.2; 0.10.0..0.10.2: all."
        ),
    ] = None
    python: Annotated[
        list[str] | None,
        typer.Option(
            "--python",
            metavar="V|PATH",
            help="Version of Python to make environments for: 3.13; or the interpreter of one"
            " that is there. Repeatable.",
        ),
    ] = None
    flax: Annotated[
        str | None, typer.Option("--flax", metavar="V", help="Version of Flax, or one each.")
    ] = None
    libtpu: Annotated[
        str | None, typer.Option("--libtpu", metavar="V", help="Version of libtpu, or one each.")
    ] = None
    packages: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PACKAGE", help="What else it imports; repeatable."),
    ] = None
    nightly: Annotated[
        bool, typer.Option("--nightly", help="In a span of versions, nightly ones too.")
    ] = False
    compile_time: Annotated[
        bool,
        typer.Option(
            "--compile-time",
            help="Also compile every layer alone, and see how that grows with depth. One version"
            " will do; without any it is the one here.",
        ),
    ] = False
    options_after: Annotated[
        list[str] | None,
        typer.Option(
            "--option-after",
            metavar="KEY=VALUE",
            help="XLA compiler option of all versions but the first; repeatable.",
        ),
    ] = None

    def asked(self, job: Job) -> dict[str, Any]:
        """Return what `edgegraph.regress` is asked for, besides the SPEC."""
        after = parse_assignments("--option-after", self.options_after or ())
        return {
            "jax": self.jax or (),
            "python": self.python or (),
            "flax": self.flax or (),
            "libtpu": self.libtpu or (),
            "packages": self.packages or (),
            "nightly": self.nightly,
            "compile_time": self.compile_time,
            "args": job.args,
            "batch": job.batches[0],
            "target": job.target or "cpu",
            "options": run.options(job),
            "options_after": {key: parse_compiler_option(text) for key, text in after.items()},
            "choices": run.choices(job),
        }


@grouped_options(
    without=("stage", *CODE_ONLY),
    spec=Annotated[
        str,
        typer.Argument(
            metavar="[SPEC]",
            default_factory=str,
            show_default=False,
            help="What every version compiles: package.module:attribute or ./file.py:attribute,"
            " with --arg for a plain function; or a saved study.",
            autocompletion=complete_spec,
        ),
    ],
)
def regress(
    job: Job,
    versions: Versions,
    issue: Annotated[
        Path | None,
        typer.Option("--issue", metavar="FILE.md", help="Write the text of an issue about it."),
    ] = None,
    environments: Annotated[
        bool, typer.Option("--environments", help="List the environments that are kept.")
    ] = False,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NAME|all", help="Remove one of them, or all.")
    ] = None,
    output: StudyFiles = None,
    store: StoreOption = None,
    json: JsonObject = False,
) -> None:
    """Hold versions of jax against each other: which is slower, in which layer, whose change.

    Each has a virtual environment, made with pip and kept, and compiles the program from its source
    and from one jax.export artifact: what differs in the first alone is of jax or Flax, the rest of
    XLA. Of several versions the first that changed is searched; the part at fault is cut out.
    """
    if environments or remove is not None:
        _environments(remove, json=json)
        return
    if not job.spec:
        raise InputError("name what to run: edgegraph regress SPEC --jax 0.10.0,0.10.2")
    check_files(output or (), STUDY_SUFFIXES)
    if issue is not None:
        check_writable(issue)
    study = _study(job, versions, store)
    present_study(
        study, output or (), json=json, has_figure=any(row.timing for row in study.versions)
    )
    if issue is not None:
        _write_issue(study, issue)
    if study.before is None and len(study.versions) > 1:
        raise InputError(f"{study.workload}: fewer than two versions run it; their rows say why")
    if job.strict and study.verdict in (None, NOISY):
        raise NoisyMeasurementError(
            f"{study.before} and {study.after} allow no verdict on the time; quiet the machine and"
            " run it again"
        )


def _study(job: Job, versions: Versions, store: Path | None) -> Regression:
    """Make the study and keep it, or load a saved one."""
    from edgegraph.studies.regress.result import Regression

    if run.is_saved(job):
        return run.load_saved(job, Regression)
    job.check_one_batch("two programs are compared")
    from edgegraph.studies.regress.run import regress

    kept: list[Path] = []
    with run.interruptible(kept), saving_to(store) as keep, progress() as report:
        study = regress(
            job.spec,
            **versions.asked(job),
            measure=job.measure is not False,
            processes=QUICK_PROCESSES if job.quick else PROCESSES,
            progress=report,
        )
        keep(study)
    return study


def _write_issue(study: Regression, path: Path) -> None:
    from edgegraph.base.files import replacing
    from edgegraph.studies.regress.issue import issue_text

    with replacing(path) as temporary:
        temporary.write_text(issue_text(study), "utf-8")


def _environments(remove: str | None, *, json: bool) -> None:
    """Remove environments, or list them."""
    from edgegraph.studies.regress.environments import kept_environments, remove_environments

    if remove is not None:
        print_lines(*(f"Removed: {name}" for name in remove_environments(remove)))
        return
    found = kept_environments()
    if json:
        names = ("name", "folder", "requirements", "python", "made_at", "size_bytes")
        rows = [{name: getattr(each, name) for name in names} for each in found]
        print_json([{**row, "folder": str(row["folder"])} for row in rows])
        return
    print_lines(
        *(
            f"{each.name}  {si(each.size_bytes, 'B')}  Python {each.python}  {each.made_at}"
            for each in found
        )
    )
