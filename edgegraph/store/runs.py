"""A run of the database: what it notes about a result that it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One result that is kept, without its content.

    Attributes:
        id: Its number in the database; ``runs.db#42`` names it.
        kind: ``analysis``, ``sweep`` (one point of one), ``fusion study``, ...
        workload: Name of the workload.
        fingerprint: Digest of the StableHLO that it lowers to; None where it was not noted.
        batch: Batch size, or None.
        dtype: The dtype as the sweep names it, or None.
        target: What it was compiled for.
        options: XLA compiler options.
        machine: Processor, cores and system.
        edgegraph, jax: Versions.
        created_at: When it was made, UTC, ISO 8601.
        error: Why a point of a sweep has no measurement; None if all went well.
        verdict: How sound its measurement is: ``OK``, ``NOISY``, ``INVALID``; None without one.
        metrics: Its figures, by name with unit.
    """

    id: int
    kind: str
    workload: str
    fingerprint: str | None
    batch: int | None
    dtype: str | None
    target: str
    options: Mapping[str, str | int | float | bool]
    machine: str
    edgegraph: str
    jax: str
    created_at: str
    error: str | None
    verdict: str | None
    metrics: Mapping[str, float]
