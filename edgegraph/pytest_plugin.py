"""The pytest fixture ``edgegraph_check``: limits of a program's costs as a test.

Loaded by pytest wherever EdgeGraph is installed; it imports nothing heavy until it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from edgegraph.gate.gate import GateResult
    from edgegraph.results.analysis import Analysis


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes baselines."""
    parser.getgroup("edgegraph").addoption(
        "--edgegraph-update",
        action="store_true",
        help="write the baselines of edgegraph_check instead of checking against them",
    )


class EdgegraphCheck:
    """Checks programs against limits; what the fixture ``edgegraph_check`` gives."""

    def __init__(self, folder: Path, *, update: bool) -> None:
        """Take the folder of the test, where baselines are, and whether to write them."""
        self._folder = folder
        self._update = update

    def __call__(
        self,
        subject: Any,
        *,
        args: Sequence[Any] | None = None,
        batch: int | None = None,
        target: str = "cpu",
        stage: str = "optimized",
        options: Mapping[str, str | int | float | bool] | None = None,
        baseline: str | Path | None = None,
        **limits: str | int | float,
    ) -> GateResult | None:
        """Fail the test where the program breaks a limit, and name the layers that did it.

        Args:
            subject: A function with `args`, a Workload, a Program or an Analysis.
            args: Arguments of a function: arrays or `jax.ShapeDtypeStruct`s.
            batch: As `edgegraph.analyze` takes it.
            target: Likewise.
            stage: Likewise.
            options: Likewise.
            baseline: A saved analysis, by its path from the folder of the test.
            limits: As `edgegraph.check` takes them: ``max_flops="+1%"``. Where none is given,
                those of the nearest pyproject.toml.

        Returns:
            Every limit with its verdict; None where the baseline was written instead.
        """
        from edgegraph.gate.gate import check
        from edgegraph.gate.limits import read_settings

        if not limits or baseline is None:
            settings = read_settings(self._folder)
            limits = limits or dict(settings.limits)
            baseline = baseline or settings.baseline
        path = None if baseline is None else self._folder / baseline
        timed = "max_latency" in limits
        analysis = _analyse(
            subject, args=args, batch=batch, target=target, stage=stage, options=options,
            measure=timed,
        )  # fmt: skip
        if self._update and path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            analysis.save(path)
            return None
        if path is not None and not path.is_file():
            pytest.fail(
                f"no baseline at {path}; write it with pytest --edgegraph-update", pytrace=False
            )
        result = check(analysis, baseline=path, **limits)
        if not result.passed:
            pytest.fail(str(result), pytrace=False)
        return result


def _analyse(subject: Any, *, measure: bool, **settings: Any) -> Analysis:
    from edgegraph.results.analysis import Analysis

    if isinstance(subject, Analysis):
        return subject
    from edgegraph.analysis.analyze import analyze

    return analyze(subject, measure=measure, trace=False if measure else None, **settings)


@pytest.fixture
def edgegraph_check(request: pytest.FixtureRequest) -> Callable[..., GateResult | None]:
    """Return a function that checks a program's costs: ``edgegraph_check(f, args=(x,), ...)``."""
    update = bool(request.config.getoption("--edgegraph-update"))
    return EdgegraphCheck(request.path.parent, update=update)
