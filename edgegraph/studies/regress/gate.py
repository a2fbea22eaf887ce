"""check_versions(): a gate that holds what other versions make of a program against its limits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgegraph.base.timing import Progress, no_progress
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.gate.gate import FAILED, PASSED, UNDECIDED, Check, GateResult, check
from edgegraph.gate.limits import LATENCY, METRICS, parse_limit
from edgegraph.results.analysis import Analysis
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import SLOWER
from edgegraph.studies.regress.journal import Journal
from edgegraph.studies.regress.plan import wanted_versions
from edgegraph.studies.regress.run import PROCESSES, SECONDS, VersionStudy, listed
from edgegraph.studies.regress.versions import Options, Version
from edgegraph.studies.regress.workers import Source

MAX_LATENCY = f"max_{LATENCY}"


def check_versions(
    spec: str,
    *,
    jax: Sequence[str] | str = (),
    python: Sequence[str] | str = (),
    args: Sequence[str] | None = None,
    batch: int = 1,
    options: Options | None = None,
    choices: Mapping[str, Any] | None = None,
    baseline: Path | None = None,
    limits: Mapping[str, str] | None = None,
    processes: int = PROCESSES,
    progress: Progress | None = None,
) -> tuple[tuple[str, GateResult], ...]:
    """Hold a program under other versions of jax against limits.

    Limits of growth refer to the baseline; without one to the oldest version, which is not held
    against itself. Times are compared by turns with the oldest version, so that a latency can only
    be limited by its growth.

    Returns:
        The versions that were checked, each with its result.

    Raises:
        InputError: There is nothing to hold against each other, or a latency has a fixed limit.
        EdgeGraphError: A version does not install, import or run it.
    """
    given = dict(limits or {})
    text = given.pop(MAX_LATENCY, None)
    if text is not None and parse_limit(LATENCY, text).share is None:
        raise InputError(
            f"--max-latency {text!r}: under several versions times are compared by turns; write how"
            " much longer than the first it may take, such as +5%"
        )
    fewest = 2 if baseline is None or text is not None else 1
    wanted = wanted_versions(
        jax=listed(jax), python=listed(python), edgegraph=args is None, fewest=fewest
    )
    told = None if args is None else tuple(args)
    source = Source(spec=spec, batch=batch, args=told, choices=choices or {})
    with tempfile.TemporaryDirectory(prefix="edgegraph-check-") as folder:
        study = VersionStudy(
            source=source, folder=Path(folder), options=[options or {}] * 2, measure=False,
            processes=processes, seconds=SECONDS, report=progress or no_progress,
            journal=Journal(source), apart=False,
        )  # fmt: skip
        named = study.named(wanted)
        versions = [study.version(number, each) for number, each in enumerate(named)]
        found = tuple(_checked(study, versions, baseline, given, text))
    study.journal.finish()
    return found


def _checked(
    study: VersionStudy,
    versions: Sequence[Version],
    baseline: Path | None,
    limits: Mapping[str, str],
    latency: str | None,
) -> Iterator[tuple[str, GateResult]]:
    first = versions[0]
    oldest = _analysis(first)
    for version in versions if baseline else versions[1:]:
        result = check(_analysis(version), baseline=baseline or oldest, **limits)
        if latency is not None and version is not first:
            timing = study.concluded(first, version, study.generations(first, version))
            result = replace(result, checks=(*result.checks, check_by_turns(latency, timing)))
        yield version.label, result


def check_by_turns(text: str, timing: TimingComparison) -> Check:
    """Hold a program against a limit of growth by times that both took by turns.

    It fails where the whole interval lies beyond the limit and the two differ, and passes where
    the whole interval keeps it.
    """
    limit = parse_limit(LATENCY, text)
    assert limit.share is not None
    most, (low, high) = 1 + limit.share, timing.interval
    verdict, reason = UNDECIDED, None
    if high <= most:
        verdict = PASSED
    elif low > most and timing.verdict == SLOWER:
        verdict = FAILED
    else:
        reason = f"the ratio is uncertain, {low:.2f} to {high:.2f}"
    return Check(
        metric=LATENCY,
        unit=METRICS[LATENCY].unit,
        limit=limit.text,
        before=timing.first_s,
        after=timing.second_s,
        allowed=limit.allowed(timing.first_s),
        verdict=verdict,
        reason=reason,
    )


def _analysis(version: Version) -> Analysis:
    if version.source is None:
        raise EdgeGraphError(f"jax {version.label} does not run it: {version.error}")
    return version.source.analysis
