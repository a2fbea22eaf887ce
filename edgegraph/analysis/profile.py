"""A profile of whatever calls are made in a block of Python, and the analysis of what ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from edgegraph.analysis.analyze import analyze
from edgegraph.doors.profile import labels, profiled_program
from edgegraph.errors import EdgeGraphError
from edgegraph.measure.trace.profile import ProfiledModule, profiling, read_profile
from edgegraph.results.analysis import Analysis
from edgegraph.results.columns import SHARE, columns_of, frame
from edgegraph.results.op_trace import OpTiming

if TYPE_CHECKING:
    import pandas as pd


class Profile:
    """The programs that ran while `edgegraph.profile` was in force; there once it has ended."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._serialized: bytes | None = None

    @cached_property
    def _modules(self) -> Mapping[str, ProfiledModule]:
        if self._serialized is None:
            raise EdgeGraphError("the profile is still being taken; look at it after the block")
        found = read_profile(self._serialized)
        return dict(zip(labels(found), found, strict=True))

    @property
    def modules(self) -> pd.DataFrame:
        """One row per program, that with most time first: ``module calls time_s share``.

        `time_s` is the time of all calls, in seconds, in which at least one op ran.
        """
        import pandas as pd

        rows = [(name, each.calls, each.time_s) for name, each in self._modules.items()]
        found = pd.DataFrame(rows, columns=["module", "calls", "time_s"])
        share = found["time_s"] / (found["time_s"].sum() or 1.0)
        return found.assign(share=share).astype({"module": "string", "calls": "Int64"})

    @cached_property
    def analyses(self) -> Mapping[str, Analysis]:
        """The analysis of every program by the name of its module, with the times of its ops.

        Of several calls, the first is left out: it is slow.
        """
        return {
            name: analyze(profiled_program(each, trusted=True), name=name)
            for name, each in self._modules.items()
            if each.hlo is not None
        }

    @property
    def ops(self) -> pd.DataFrame:
        """One row per op that ran, as `OpTrace.frame`, with its `module`; times are of one call."""
        traces = {name: each.op_trace for name, each in self.analyses.items()}
        timings = [
            (name, each, trace.time_s)
            for name, trace in traces.items()
            if trace is not None
            for each in trace.timings
        ]
        columns = columns_of(OpTiming) | {"share": SHARE}
        shares = [each.self_s / whole_s if whole_s else 0.0 for _, each, whole_s in timings]
        found = frame([each for _, each, _ in timings], columns, share=shares)
        found.insert(0, "module", [name for name, _, _ in timings])
        return found.astype({"module": "string"})


@contextmanager
def profile() -> Iterator[Profile]:
    """Profile all JAX programs that run in a block, wherever in it they are called.

    Returns:
        A `Profile`, in memory: its `modules`, their `analyses`, and their `ops`.

    Raises:
        EdgeGraphError: Another profiler is running.

    Example:
        >>> import jax, jax.numpy as jnp, edgegraph as eg
        >>> step = jax.jit(lambda x: jnp.sort(x @ x))
        >>> with eg.profile() as p:
        ...     for _ in range(3):
        ...         y = step(jnp.ones((64, 64)))
        >>> int(p.modules.set_index("module").loc["jit__lambda", "calls"])
        3
        >>> p.analyses["jit__lambda"].totals.macs
        262144
    """
    taken = Profile()
    with profiling() as found:
        yield taken
    taken._serialized = found[0]
