"""regress(): one program under several versions of jax."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgegraph.base.timing import Progress, no_progress
from edgegraph.compare.diff import diff
from edgegraph.compiler.targets import HOST, Target, parse_target
from edgegraph.device.host import NOISY_OTHERS
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.environment import environment
from edgegraph.measure.statistics import median
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import FASTER, NO_DIFFERENCE, SLOWER
from edgegraph.studies.regress import compiling
from edgegraph.studies.regress.bisection import find_first
from edgegraph.studies.regress.detail import Asked, details
from edgegraph.studies.regress.journal import Journal
from edgegraph.studies.regress.named import spec_of
from edgegraph.studies.regress.plan import (
    Wanted,
    environment_of,
    told_apart,
    version_key,
    wanted_versions,
)
from edgegraph.studies.regress.read import Compiled, program_digest, read_compiled, spent_in
from edgegraph.studies.regress.result import Probe, Regression
from edgegraph.studies.regress.turns import (
    ARTIFACT,
    SECOND,
    SOURCE,
    Generation,
    Programs,
    concluded,
    run_generation,
)
from edgegraph.studies.regress.versions import (
    Options,
    Pair,
    Version,
    artifact_timing,
    version_row,
)
from edgegraph.studies.regress.words import timed
from edgegraph.studies.regress.workers import Agent, Side, Source, jax_in

PROCESSES, FEWEST_PROCESSES = 5, 3
SECONDS = 1.5
"""Of samples in every generation of processes."""


def regress(
    spec: str | Callable[..., Any],
    *,
    jax: Sequence[str] | str = (),
    python: Sequence[str] | str = (),
    flax: Sequence[str] | str = (),
    libtpu: Sequence[str] | str = (),
    packages: Sequence[str] = (),
    args: Sequence[str] | None = None,
    batch: int = 1,
    target: str = "cpu",
    options: Options | None = None,
    options_after: Options | None = None,
    choices: Mapping[str, Any] | None = None,
    nightly: bool = False,
    measure: bool = True,
    compile_time: bool = False,
    processes: int = PROCESSES,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Regression:
    """Find out what other versions of jax make of a program: which is slower, where, and why.

    Each version runs in a virtual environment of its own, in processes of its own. It compiles the
    program twice: from the user's source, and from one artifact of `jax.export` that the oldest
    made. Of more than two versions the first that changed is searched by bisection; it is held
    against the one before it, layer by layer, and times are taken by turns.

    Args:
        spec: ``package.module:attribute`` or ``./file.py:attribute``, which every version imports;
            or a function that a module has at its top, which is imported by its name.
        jax: Versions of jax; ``0.10.0..0.10.2`` is all from one to the other.
        python: The version of Python to make environments for, and the interpreters of
            environments that are there.
        flax: A version of Flax for all, or one for each version of jax.
        libtpu: Likewise.
        packages: What else the program imports, as pip takes it.
        args: Arguments of a plain function, ``("x=f32[8,128]",)``; a SPEC without them is one of
            EdgeGraph's, which is installed there, too.
        batch: Batch size of a Workload.
        target: What to compile for: this host, or a TPU or GPU that is not here, whose compiler is
            installed with every version. Nothing is timed then; its compiler and EdgeGraph say
            what to expect.
        options: XLA compiler options of all versions.
        options_after: Of all but the first.
        choices: Keywords of `edgegraph.open` for a SPEC: ``input_shape``, ``dtype``, ...
        nightly: Whether a span of versions has nightly ones, where the index has them.
        measure: Whether to time them.
        compile_time: Whether to compile every layer alone, and to see how the time to compile
            grows with depth; one version will do then, this one where none is named.
        processes: How many generations of processes take turns, 3 at least.
        seconds: How long each takes samples.
        progress: Called with a message and a fraction.

    Returns:
        A `Regression`; a version that does not install, import or run it is a row with its reason.

    Raises:
        InputError: Fewer than two versions are named, or something asked for cannot be.
        EdgeGraphError: None of them runs it.

    Example:
        >>> import edgegraph as eg
        >>> eg.regress("./net.py:loss", args=["x=f32[8,8]"], jax="0.10.0,0.10.2")  # doctest: +SKIP
        <Regression loss: 0.10.0 to 0.10.2, no difference>
    """
    if processes < FEWEST_PROCESSES:
        raise InputError(f"processes must be at least {FEWEST_PROCESSES}, not {processes}")
    python = python if jax or python or not compile_time else [sys.executable]
    name, aim = spec_of(spec), _target(target, compile_time=compile_time)
    wanted = wanted_versions(
        jax=listed(jax), python=listed(python), flax=listed(flax), libtpu=listed(libtpu),
        packages=packages, edgegraph=args is None or aim.ahead, nightly=nightly, kind=aim.kind,
        fewest=1 if compile_time else 2,
    )  # fmt: skip
    given = None if args is None else tuple(args)
    source = Source(spec=name, batch=batch, args=given, choices=choices or {})
    both, after = dict(options or {}), {**(options or {}), **(options_after or {})}
    with tempfile.TemporaryDirectory(prefix="edgegraph-regress-") as folder:
        study = VersionStudy(
            source=source, folder=Path(folder), options=[both, after], target=aim,
            measure=measure and not aim.ahead, processes=processes, seconds=seconds,
            report=progress or no_progress, journal=Journal(source), apart=compile_time,
        )  # fmt: skip
        return study.run(wanted)


def _target(text: str, *, compile_time: bool) -> Target:
    """Read the target: one that a version has a compiler for."""
    target = parse_target(text)
    if target.kind == "device":
        raise InputError(
            f"--target {text}: no version of jax has a compiler for it; expected cpu, or a TPU or"
            " GPU such as tpu:v5e or gpu:h100"
        )
    if target.ahead and compile_time:
        raise InputError(f"--compile-time is of this host's compiler; leave --target {text} out")
    return target


def listed(given: Sequence[str] | str) -> list[str]:
    """Return what is named one by one, or with commas between."""
    texts = [given] if isinstance(given, str) else given
    return [each.strip() for text in texts for each in text.split(",") if each.strip()]


@dataclass(slots=True, kw_only=True)
class VersionStudy:
    """What is asked, and what was found so far."""

    source: Source
    folder: Path
    options: Sequence[Options]
    measure: bool
    processes: int
    seconds: float
    report: Progress
    journal: Journal
    apart: bool
    target: Target = HOST
    notes: list[str] = field(default_factory=list)
    exported: Path | None = None
    exported_by: str | None = None
    busy: list[float] = field(default_factory=list)

    def run(self, wanted: Sequence[Wanted]) -> Regression:
        """Compile it under every version, find where it changed, and say what did."""
        versions = [self.version(number, each) for number, each in enumerate(self.named(wanted))]
        running = [each for each in versions if each.source is not None]
        if not running:
            first = versions[0]
            raise EdgeGraphError(f"no version runs it; {first.label}: {first.error}")
        name = running[0].source.program.name if running[0].source else ""
        batch = running[0].source.program.batch if running[0].source else None
        pair = self._pair(running) if len(running) > 1 else None
        if self.apart:
            for each in running[:1] if pair is None else (pair.before, pair.after):
                self._compile_apart(each)
        found = self._result(name, batch, versions, pair)
        self.journal.finish()
        return found

    def _compile_apart(self, version: Version) -> None:
        """Have a version compile every layer alone."""
        assert version.side is not None
        self.report(f"{version.label}: compiling its layers one by one", None)
        try:
            with Agent(version.side, self.folder) as agent:
                agent.load(SOURCE, self.source.request(version.side))
                version.apart = agent.inside(
                    SOURCE, "apart", "compile_apart", dict(version.options)
                )
        except EdgeGraphError as error:
            self.notes.append(f"its layers were not compiled one by one ({error})")

    def named(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Call environments that are there by their versions of jax, and put all in order."""
        named = []
        for each in wanted:
            found = each.jax
            if found is None:
                with suppress(EdgeGraphError):
                    found = jax_in(environment_of(each, self.report))
            label = each.label if each.jax is not None or found is None else found
            named.append(replace(each, label=label, jax=found))
        return told_apart(sorted(named, key=lambda each: version_key(each.jax or "")))

    def version(self, number: int, wanted: Wanted) -> Version:
        """Make the environment of a version, and have it compile the program."""
        version = Version(label=wanted.label, options=self.options[min(number, 1)])
        try:
            python = environment_of(wanted, self.report)
            version.side = Side(label=wanted.label, python=python, options=version.options)
            self.report(f"{wanted.label}: compiling", None)
            with Agent(version.side, self.folder) as agent:
                version.about = agent.about
                self._load(version, agent)
        except EdgeGraphError as error:
            version.error = str(error).removeprefix(f"{wanted.label}: ")
        return version

    def _load(self, version: Version, agent: Agent) -> None:
        assert version.side is not None
        if self.target.ahead:
            answer = agent.load_ahead(self.source.request(version.side), self.target.name)
            version.source = self._read(version, answer)
            version.compile_s.append(float(answer["compile_s"]))
            return
        try:
            answer, version.passes = agent.load_profiled(SOURCE, self.source.request(version.side))
            version.source = self._read(version, answer)
            version.compile_s.append(float(answer["compile_s"]))
        except EdgeGraphError as error:
            version.error = str(error).removeprefix(f"{version.label}: ")
        try:
            if self.exported is None and version.source is not None:
                path = self.folder / "artifact.bin"
                agent.ask({"do": "export", "name": SOURCE, "path": str(path)})
                self.exported, self.exported_by = path, version.label
            if self.exported is not None:
                answer = agent.load(ARTIFACT, self._artifact_request(version.side))
                version.artifact = self._read(version, answer)
        except EdgeGraphError as error:
            version.artifact_error = str(error).removeprefix(f"{version.label}: ")

    def _artifact_request(self, side: Side) -> dict[str, Any]:
        return {
            "do": "load", "kind": "artifact", "path": str(self.exported), "like": SOURCE,
            "options": dict(side.options),
        }  # fmt: skip

    def _read(self, version: Version, answer: Mapping[str, Any]) -> Compiled:
        assert version.side is not None
        return read_compiled(
            version.side, version.about, answer, batch=self.source.batch, target=self.target
        )

    def _pair(self, running: Sequence[Version]) -> Pair:
        """Find the two versions between which it changed, and hold them against each other."""
        between, probes = find_first(len(running), partial(self._probe, running))
        low, high = between or (0, len(running) - 1)
        pair = Pair(
            before=running[low],
            after=running[high],
            probes=probes,
            began=running[high].label if between and high - low == 1 else None,
        )
        if between and high - low > 1:
            self.notes.append(
                f"it changed after {running[low].label} and by {running[high].label}; those"
                " between were too noisy to say"
            )
        if self.measure:
            pair.generations = self.generations(pair.before, pair.after)
            pair.timing = self.concluded(pair.before, pair.after, pair.generations)
        return pair

    def _probe(self, running: Sequence[Version], at: int) -> Probe:
        """Hold a version against the first: by its time, or where that is the same by its form."""
        first, other = running[0], running[at]
        assert first.source is not None
        assert other.source is not None
        differs = not diff(first.source.analysis, other.source.analysis).empty
        form = "the optimised program differs" if differs else "the same optimised program"
        if not self.measure:
            return Probe(version=other.label, changed=differs, why=form)
        generations = self.generations(first, other)
        timing = other.timing = self.concluded(first, other, generations)
        other.artifact_timing = artifact_timing(first, other, generations)
        last = running[-1].timing
        by_time = last is not None and last.verdict in (SLOWER, FASTER)
        changed: bool | None = differs
        if by_time:
            same = {NO_DIFFERENCE: False, last.verdict if last else "": True}
            changed = same.get(timing.verdict)
        return Probe(version=other.label, changed=changed, why=f"{timed(timing)}; {form}")

    def generations(self, first: Version, second: Version) -> list[Generation]:
        """Time two versions by turns, generation by generation; those that are kept come first."""
        assert first.side is not None
        assert second.side is not None
        both = (first.side, second.side)
        alike = first.artifact_is_source and second.artifact_is_source
        requests = {SOURCE: self.source.request}
        if None not in (first.artifact, second.artifact) and not alike:
            requests[ARTIFACT] = self._artifact_request
        compiled = {True: second.source, False: first.source}

        def read(role: str, path: Path) -> Any:
            found = compiled[role == SECOND]
            assert found is not None
            return spent_in(found, path)

        found = []
        for number in range(self.processes):
            key = self._key(first, second, number)
            generation = self.journal.get(key)
            if generation is None:
                generation = run_generation(
                    both,
                    Programs(requests=requests),
                    self.folder,
                    seed=number,
                    budget_s=self.seconds,
                    read_trace=read,
                    progress=self._part(number),
                )
                self.journal.put(key, generation)
            found.append(generation)
        self.busy += [each.others_share for each in found if each.others_share is not None]
        return found

    def _part(self, number: int) -> Progress:
        return lambda message, fraction: self.report(message, (number + 0.5) / self.processes)

    def _key(self, first: Version, second: Version, number: int) -> str:
        said = [
            [each.label, dict(each.options), dict(each.about["packages"]),
             program_digest(each.source.program.module) if each.source else ""]
            for each in (first, second)
        ]  # fmt: skip
        return f"{said} {self.seconds} {number}"

    def concluded(
        self, first: Version, second: Version, generations: Sequence[Generation]
    ) -> TimingComparison:
        """Return the verdict on their times, and note what compiling took."""
        for each in generations:
            for role, seconds in each.compile_s.items():
                (second if role == SECOND else first).compile_s.append(seconds)
        names = (first.label, second.label)
        return concluded(names, [each.source for each in generations if each.source is not None])

    def _result(
        self, name: str, batch: int | None, versions: Sequence[Version], pair: Pair | None
    ) -> Regression:
        rows = tuple(version_row(each) for each in versions)
        if self.busy and median(self.busy) > NOISY_OTHERS:
            self.notes.append(
                f"other processes took {median(self.busy):.0%} of the cores' time meanwhile"
            )
        base: dict[str, Any] = {
            "workload": name, "batch": batch, "target": self.target.name,
            "environment": environment(), "versions": rows,
        }  # fmt: skip
        if pair is None:
            (only,) = (each for each in versions if each.source is not None)
            base["compile_time"] = compiling.compile_time(None, only, ())
            return Regression(**base, notes=tuple(self.notes))
        base["compile_time"] = compiling.compile_time(pair.before, pair.after, pair.generations)
        asked = Asked(source=self.source, folder=self.folder, report=self.report, notes=self.notes)
        return Regression(**base, **details(pair, asked), notes=tuple(self.notes))
