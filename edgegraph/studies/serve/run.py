"""From a prefill and a decode workload to a `Serving`: a sweep of each, put together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from edgegraph.base.timing import Progress
from edgegraph.compiler.targets import parse_target
from edgegraph.device.catalogue import find_entry
from edgegraph.device.device import Device
from edgegraph.errors import USER_ERRORS, InputError
from edgegraph.measure.sampling import MeasurementSettings
from edgegraph.results.verdicts import ESTIMATED, worst
from edgegraph.store import Store
from edgegraph.studies.serve.cache import InPlace, cache_bytes
from edgegraph.studies.serve.result import MEASURED, Serving, ServingPoint
from edgegraph.studies.sweep.plan import Subject, make_workload
from edgegraph.studies.sweep.result import Sweep, SweepPoint
from edgegraph.studies.sweep.run import sweep_all
from edgegraph.workload import Workload

CONTEXTS = (512,)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def serve(
    prefill: Subject,
    decode: Subject,
    *,
    contexts: Sequence[int] = CONTEXTS,
    batches: Sequence[int] = BATCHES,
    axis: str | None = None,
    target: str = "cpu",
    max_first_token_s: float | None = None,
    max_output_token_s: float | None = None,
    settings: MeasurementSettings | None = None,
    device: Device | None = None,
    measure: bool | None = None,
    fresh: bool = False,
    store: Store | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Serving:
    """Find how a language model is served: times to tokens by batch and context.

    Both workloads are swept over batches and contexts, as `edgegraph.sweep` does it: on this host
    they are measured, for any other target they are compiled ahead of time, and their times are
    those at the roof. The decode step is compiled to write its cache in place, as a server does:
    arguments that grow with batch and context both, and are returned, are donated. After an
    interruption the same call continues with the points that were not finished.

    Args:
        prefill: A Workload that reads a prompt, or a function that makes it.
        decode: A Workload that decodes one token for each sequence, or a function that makes it.
        contexts: Tokens of the prompt, and of the cache that a token is decoded from.
        batches: Sequences that are served together.
        axis: The axis of both workloads that is the context; where None, the only one they share.
        target: What to compile for, as `edgegraph.compile` takes it.
        max_first_token_s: A budget for the first token, for which it says the best batch.
        max_output_token_s: A budget for each further one.
        settings: How long and how carefully each point is measured.
        device: Whose roofs to use; the target's where None.
        measure: Time the points, where they can run here; not where False.
        fresh: Start over where an earlier run was interrupted.
        store: A run database that keeps every point as soon as it is there.
        executor: Takes the points, as `edgegraph.sweep_all` says it.
        progress: Called with a message and a fraction.

    Raises:
        InputError: The workloads share no axis, or an argument cannot be used.

    Example:
        >>> import jax, edgegraph as eg
        >>> def shapes(*all):
        ...     return tuple(jax.ShapeDtypeStruct(shape, "float32") for shape in all)
        >>> prefill = eg.Workload.from_function(
        ...     lambda x, w: x @ w, lambda batch, length: shapes((batch, length, 64), (64, 64)))
        >>> decode = eg.Workload.from_function(
        ...     lambda cache, x, w: (cache + (x @ w)[:, None], x @ w),
        ...     lambda batch, length: shapes((batch, length, 64), (batch, 64), (64, 64)))
        >>> serving = eg.serve(
        ...     prefill, decode, contexts=[128], batches=[1, 8], target="device:rpi5")
        >>> serving.frame[["batch", "context", "cache_bytes", "bound"]].values.tolist()
        [[1, 128, 32768, 'memory'], [8, 128, 262144, 'memory']]
    """
    reading, decoding = make_workload(prefill, None), make_workload(decode, None)
    along = _axis(reading, decoding, axis)
    _check(max_first_token_s=max_first_token_s, max_output_token_s=max_output_token_s)
    read, decoded = sweep_all(
        [prefill, InPlace(decode, along)], targets=[target], fresh=fresh, store=store,
        executor=executor, workers=0, progress=progress, settings=settings, device=device,
        measure=measure, queue_depths=[1], vary={"batch": batches, along: contexts},
    )  # fmt: skip
    return Serving(
        prefill=reading.name,
        decode=decoding.name,
        axis=along,
        target=decoded.target,
        device=decoded.device,
        environment=decoded.environment,
        max_first_token_s=max_first_token_s,
        max_output_token_s=max_output_token_s,
        points=_points(read, decoded, decoding, along),
    )


def _points(
    prefill: Sweep, decode: Sweep, workload: Workload, axis: str
) -> tuple[ServingPoint, ...]:
    """Put the points of both sweeps together; `workload` is the one that decodes."""
    capacity_bytes = _capacity(decode.target)
    return tuple(
        _point(one, other, axis, _cache_bytes(workload, axis, other), capacity_bytes)
        for one, other in _pairs(prefill, decode)
    )


def _check(**budgets_s: float | None) -> None:
    for name, budget_s in budgets_s.items():
        if budget_s is not None and not budget_s > 0:
            raise InputError(f"{name} must be positive, not {budget_s!r} s")


def _axis(prefill: Workload, decode: Workload, asked: str | None) -> str:
    """Return the axis that is the context.

    Raises:
        InputError: It is not one of both, or none is asked for and they do not share exactly one.
    """
    shared = [axis for axis in prefill.axes if axis in decode.axes]
    if asked in shared:
        return asked
    if asked is None and len(shared) == 1:
        return shared[0]
    said = "; ".join(
        f"{each.name} has {', '.join(each.axes) or 'none'}" for each in (prefill, decode)
    )
    if asked is not None:
        raise InputError(f"{asked!r} is no axis of both workloads: {said}")
    raise InputError(
        f"which axis is the context is not clear: {said}; "
        + ("name one of those that both have" if shared else "give both the same, such as length")
    )


def _capacity(target: str) -> float | None:
    name = parse_target(target).device
    return None if name is None else find_entry(name).capacity_bytes


def _cache_bytes(decode: Workload, axis: str, point: SweepPoint) -> int | None:
    try:
        return cache_bytes(decode, axis, point.batch, point.size(axis))
    except USER_ERRORS:  # the point itself says why there is no such size
        return None


def _pairs(prefill: Sweep, decode: Sweep) -> list[tuple[SweepPoint, SweepPoint]]:
    """Return the points of one batch and context, as far as there are both."""
    others = {(point.batch, *point.sizes.values()): point for point in decode.points}
    keys = [(point.batch, *point.sizes.values()) for point in prefill.points]
    return [
        (point, others[key])
        for key, point in zip(keys, prefill.points, strict=True)
        if key in others
    ]


def _point(
    prefill: SweepPoint,
    decode: SweepPoint,
    axis: str,
    cached: int | None,
    capacity_bytes: float | None,
) -> ServingPoint:
    both = prefill, decode
    measured = all(point.latency is not None for point in both)
    peaks = [point.peak_memory_bytes for point in both]
    peak = None if None in peaks else max(each for each in peaks if each is not None)
    errors = [f"{word}: {point.error}" for word, point in zip(_WORDS, both, strict=True)
              if point.error is not None]  # fmt: skip
    verdicts = [point.latency.verdict for point in both if point.latency is not None]
    first_s, output_s = (point.latency_s if measured else point.overlapped_time_s for point in both)
    known = not errors and first_s is not None and output_s is not None
    return ServingPoint(
        batch=decode.batch,
        context=decode.size(axis),
        error="; ".join(errors) or None,
        time_source=(MEASURED if measured else ESTIMATED) if known else None,
        first_token_s=first_s if known else None,
        output_token_s=output_s if known else None,
        first_token_p90_s=prefill.latency_p90_s if measured else None,
        output_token_p90_s=decode.latency_p90_s if measured else None,
        cache_bytes=cached,
        compute_time_s=decode.compute_time_s,
        memory_time_s=decode.memory_time_s,
        bound=decode.bound,
        prefill_bound=prefill.bound,
        peak_memory_bytes=peak,
        fits=None if peak is None or capacity_bytes is None else peak <= capacity_bytes,
        verdict=worst(verdicts) if measured else None,
    )


_WORDS = ("prefill", "decode")
