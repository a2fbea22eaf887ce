"""Op traces with costs and layers: from a traced program, or from a profile taken elsewhere."""

from __future__ import annotations

from pathlib import Path

from edgegraph.analysis.attribution import attribute
from edgegraph.analysis.records import op_records
from edgegraph.base.timing import Progress
from edgegraph.compiler.program import Program
from edgegraph.cost.price import price_nodes
from edgegraph.device.calibration.saved import load_calibration
from edgegraph.device.catalogue import find_device
from edgegraph.errors import FormatError, InputError
from edgegraph.hlo.graph import flatten
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.measure.trace import WARM_UP, Traced, join_trace, take_trace
from edgegraph.results.op_trace import OpTrace

_MOST_BYTES = 2 << 30
"""More than this, protobuf cannot hold."""


def trace_program(
    program: Program,
    *,
    warm_up: int = WARM_UP,
    steps: int | None = None,
    trace_dir: str | Path | None = None,
    settings: MeasurementSettings | None = None,
    progress: Progress | None = None,
) -> OpTrace:
    """Run a program under the profiler and measure each of its ops.

    The arguments are those of `record` in `edgegraph.measure.trace`; `trace_dir` is a log folder to
    keep the profile in, for XProf and TensorBoard.
    """
    traced = take_trace(
        program,
        flatten(program.module),
        warm_up=warm_up,
        steps=steps,
        trace_dir=trace_dir,
        settings=settings,
        progress=progress,
    )
    return _priced(program, traced)


def read_trace(path: str | Path, program: Program, *, warm_up: int = 1) -> OpTrace:
    """Read a profile that was taken elsewhere, and join it to a program's ops.

    Args:
        path: An ``.xplane.pb`` file of a CPU, GPU or TPU, as jax.profiler and XProf write it.
        program: The program that was running, compiled or read from its HLO dump; ops are found
            by their instruction's name and the name of the module.
        warm_up: Calls at the beginning of the trace that are dropped on every device; at least
            one is kept.

    Returns:
        The trace; hand it to `edgegraph.analyze` with `program` to see it by layer.

    Raises:
        InputError: There is no such file, or nothing of the program shows in it.
        FormatError: It is no profile.

    Example:
        >>> from edgegraph.compiler.program import Program
        >>> read_trace("no/such.xplane.pb", Program)
        Traceback (most recent call last):
        edgegraph.errors.InputError: no file at no/such.xplane.pb
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file at {path}")
    if path.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{path} is larger than 2 GiB, more than a profile can be")
    if warm_up < 0:
        raise InputError(f"warm_up must be a non-negative integer, not {warm_up}")
    try:
        traced = join_trace(path.read_bytes(), program, flatten(program.module), warm_up)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    return _priced(program, traced)


def _priced(program: Program, traced: Traced) -> OpTrace:
    costs = price_nodes(program.module, traced.nodes, traced.executions)
    roofs = find_device(program.device) if program.device else load_calibration()
    return traced.summary(op_records(traced.nodes, costs, attribute(traced.nodes), roofs))
