"""The largest batch that fits into a memory, found by compiling.

What a program needs grows neither by a line nor always: compilers pad, and choose other algorithms
for larger arrays. So the line through what is known only says where to try next, and the search
ends where a batch fits and the next one does not, both by the compiler's own figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgegraph.base.timing import Progress, no_progress
from edgegraph.base.units import parse_memory
from edgegraph.compiler import compile as compile_workload
from edgegraph.compiler.sharding import DeviceMesh, Partition
from edgegraph.compiler.targets import Target, parse_target, with_chips
from edgegraph.device.catalogue import find_entry
from edgegraph.device.host import machine_memory_bytes
from edgegraph.errors import CompileError, InputError
from edgegraph.workload import Workload

MOST_BATCH = 1 << 30
"""A workload that still fits here is taken not to grow with its batch."""

_FIRST_STRIDE = 8
"""The second batch that is tried: far enough from the first to tell what one example adds."""

_FARTHEST = 32
"""Times the largest batch that fits: a chip may hold small ones where large ones do not go."""

_MOST_GUESSES = 12
"""After so many the line tells nothing, and the rest is bisected."""

_OUT_OF_MEMORY = ("Ran out of memory", "out of memory", "RESOURCE_EXHAUSTED", "HbmOom")


@dataclass(frozen=True, slots=True, kw_only=True)
class LargestBatch:
    """The largest batch that fits, and the next one that does not.

    Attributes:
        batch: Over all chips; 0 where not even the smallest fits.
        needed_bytes: What it needs of each chip; None where it is 0.
        next_batch: The next larger one that the mesh divides.
        next_bytes: What that needs; None where the compiler refuses it for lack of memory.
        limit_bytes: The memory of each chip.
        tried: What every batch that was compiled needs, None where it was refused.
    """

    batch: int
    needed_bytes: int | None
    next_batch: int
    next_bytes: int | None
    limit_bytes: int
    tried: Mapping[int, int | None]


def largest_batch(
    workload: Workload,
    *,
    target: str = "tpu:v5e",
    memory: str | int | None = None,
    mesh: DeviceMesh | None = None,
    partition: Partition | None = None,
    progress: Progress | None = None,
) -> LargestBatch:
    """Find the largest batch whose program fits into the memory of a chip, by compiling.

    Args:
        workload: What to run, with a batch.
        target: As `edgegraph.compile` takes it; its chips are added where `mesh` has more.
        memory: Of each chip: bytes, or ``16GB``; what the device has where None.
        mesh: Chips that share it; the batch is over all of them.
        partition: As `edgegraph.compile` takes it.
        progress: Called with a message.

    Raises:
        InputError: The workload has no batch, does not grow with it, or the memory is not known.
        CompileError: It does not compile for another reason than its memory.

    Example:
        >>> import jax, edgegraph as eg
        >>> step = eg.Workload.from_function(
        ...     lambda x, w: x @ w,
        ...     lambda batch: (jax.ShapeDtypeStruct((batch, 784), "float32"),
        ...                    jax.ShapeDtypeStruct((784, 10), "float32")), name="dense")
        >>> found = eg.largest_batch(step, target="cpu", memory=1_000_000)
        >>> found.batch, found.needed_bytes, found.next_bytes  # 31,360 and 3,176 an example
        (304, 996864, 1000040)
    """
    if not workload.batched:
        raise InputError(f"{workload.name} has fixed shapes, and so no largest batch")
    chosen = parse_target(target)
    if mesh is not None:
        chosen = with_chips(chosen, mesh.chips)
    limit_bytes = memory_limit(memory, chosen)
    report = progress or no_progress

    def needed(batch: int) -> int | None:
        report(f"{workload.name} at batch {batch} for {chosen.name}", None)
        return compiled_bytes(workload, batch, chosen.name, mesh=mesh, partition=partition)

    return search(needed, limit_bytes, step=1 if mesh is None else mesh.data, name=workload.name)


def memory_limit(memory: str | int | None, target: Target) -> int:
    """Return the memory of a chip in bytes: what was asked for, else what the device has."""
    if memory is not None:
        return parse_memory(memory)
    has: float | None = machine_memory_bytes() if target.device is None else None
    if target.device is not None:
        has = find_entry(target.device).capacity_bytes
    if has is None:
        raise InputError(f"the memory of {target.name!r} is not known; give one, such as 16GB")
    return int(has)


def compiled_bytes(
    workload: Workload,
    batch: int,
    target: str,
    *,
    mesh: DeviceMesh | None = None,
    partition: Partition | None = None,
) -> int | None:
    """Return what a program needs of a chip by its compiler; None where that refuses it for it."""
    try:
        program = compile_workload(
            workload, batch=batch, target=target, mesh=mesh, partition=partition
        )
    except CompileError as error:
        if out_of_memory(error):
            return None
        raise
    if program.memory is None:
        raise InputError(f"the compiler of {target!r} does not say what memory a program needs")
    return program.memory.peak_bytes


def out_of_memory(error: CompileError) -> bool:
    """Return whether a compiler refused a program because the chip's memory is too small."""
    return any(words in str(error) for words in _OUT_OF_MEMORY)


def search(
    needed: Callable[[int], int | None], limit_bytes: int, *, step: int = 1, name: str = "it"
) -> LargestBatch:
    """Find the largest multiple of `step` whose need is within the limit, and whose next is not.

    Args:
        needed: From a batch to its bytes, or None where it is refused; never asked twice.
        limit_bytes: How much there is.
        step: What batches are multiples of.
        name: Of the workload, for a message.
    """
    tried: dict[int, int | None] = {}
    low, high = 0, None
    guess = stride = 1
    while high is None or high - low > 1:
        if guess * step > MOST_BATCH:
            raise InputError(f"{name} needs no more memory with a larger batch, up to {low * step}")
        found = tried[guess * step] = needed(guess * step)
        if found is not None and found <= limit_bytes:
            low = guess
        else:
            high = guess
        estimate = _estimate(tried, limit_bytes, step)
        guess, stride = _next(low, high, estimate, stride, refused=found is None)
        if high is not None and len(tried) > _MOST_GUESSES:
            guess = (low + high) // 2
    return LargestBatch(
        batch=low * step,
        needed_bytes=tried.get(low * step),
        next_batch=high * step,
        next_bytes=tried[high * step],
        limit_bytes=limit_bytes,
        tried=dict(sorted(tried.items())),
    )


def _next(
    low: int, high: int | None, estimate: int | None, stride: int, *, refused: bool
) -> tuple[int, int]:
    """Return where to try next, and the stride for what comes after that.

    That is where the line says; where it says nothing new, strides that double lead there.
    """
    if estimate is not None and low < estimate and (high is None or estimate < high):
        return min(estimate, max(low, 1) * _FARTHEST), 1
    if high is None:
        return (low * _FIRST_STRIDE if estimate is None else low + stride), 2 * stride
    above = estimate is not None and estimate <= low
    near = low + stride if above else high - stride
    told = above or not refused
    return near if told and low < near < high else (low + high) // 2, 2 * stride


def _estimate(tried: Mapping[int, int | None], limit_bytes: int, step: int) -> int | None:
    """Return where the line through the two needs nearest the limit meets it, in steps."""
    known = [(batch, each) for batch, each in tried.items() if each is not None]
    nearest = sorted(known, key=lambda pair: abs(pair[1] - limit_bytes))[:2]
    if len(nearest) < 2:
        return None
    (first, first_bytes), (second, second_bytes) = nearest
    each = (second_bytes - first_bytes) / (second - first)
    if each <= 0:
        return None
    return math.floor((first + (limit_bytes - first_bytes) / each) / step)
