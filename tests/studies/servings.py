"""Serving studies written by hand."""

from __future__ import annotations

from dataclasses import replace

from edgegraph.measure.environment import environment
from edgegraph.studies.serve.result import Serving, ServingPoint
from tests import analyses


def point(batch: int, context: int, **more: object) -> ServingPoint:
    """Return a measured point: a token takes 10 ms, and 1 ms more for each sequence."""
    made = ServingPoint(
        batch=batch,
        context=context,
        time_source="measured",
        first_token_s=1e-4 * batch * context,
        output_token_s=(10 + batch) * 1e-3,
        output_token_p90_s=(11 + batch) * 1e-3,
        cache_bytes=1024 * batch * context,
        compute_time_s=batch * 1e-4,
        memory_time_s=1e-3 + batch * 1e-5 * context / 128,
        bound="memory",
        prefill_bound="compute",
        peak_memory_bytes=10_000_000,
        verdict="OK",
    )
    return replace(made, **more)  # type: ignore[arg-type]  # fields by name


def serving(*points: ServingPoint, **more: object) -> Serving:
    made = Serving(
        prefill="prefill",
        decode="decode",
        axis="length",
        target="cpu",
        device=analyses.DEVICE,
        environment=replace(environment(), created_at="2025-01-01T00:00:00+00:00"),
        max_first_token_s=None,
        max_output_token_s=None,
        points=points or tuple(point(b, c) for c in (128, 2048) for b in (1, 4, 16)),
    )
    return replace(made, **more)  # type: ignore[arg-type]  # fields by name
