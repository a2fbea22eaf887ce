"""What other versions compiled, read and analysed here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from edgegraph.analysis.analyze import analyze, read_trace
from edgegraph.compiler.program import Program
from edgegraph.compiler.read import program_of
from edgegraph.compiler.targets import HOST, Target
from edgegraph.errors import EdgeGraphError
from edgegraph.hlo.identity import decoded
from edgegraph.hlo.module import Module
from edgegraph.results.analysis import Analysis, MemoryUse
from edgegraph.studies.regress.turns import DROPPED_CALLS, Layer, Spent
from edgegraph.studies.regress.workers import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A program that a version compiled.

    Attributes:
        program: As read here; it cannot run in this process.
        analysis: Its counts, with the versions that compiled it.
        answer: What the process of the version said of it.
    """

    program: Program
    analysis: Analysis
    answer: Mapping[str, Any]


def read_compiled(
    side: Side,
    about: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    batch: int | None,
    target: Target = HOST,
) -> Compiled:
    """Read and analyse what an agent compiled; XLA here tries the module in a child first."""
    memory = answer["memory"]
    program = replace(
        program_of(Path(answer["hlo"]).read_bytes()),
        name=str(answer["title"]),
        target=target.name,
        device=target.device,
        compiler_cost=answer.get("compiler_cost"),
        batch=batch if answer["batched"] else None,
        options=dict(side.options),
        memory=None if memory is None else MemoryUse(**memory),
        lower_s=answer["lower_s"],
        compile_s=answer["compile_s"],
    )
    packages = about["packages"]
    analysis = analyze(program)
    environment = replace(
        analysis.environment,
        jax=packages.get("jax", "?"),
        jaxlib=packages.get("jaxlib", "?"),
        python=about["python"],
    )
    return Compiled(
        program=program, analysis=replace(analysis, environment=environment), answer=answer
    )


def program_digest(module: Module) -> str:
    """Return a digest of what a module does, as far as EdgeGraph decodes it; names do not count.

    Versions of XLA write attributes differently; this is the same where they mean the same.
    """
    digest = sha256()
    for computation in module.computations.values():
        position = {each.name: at for at, each in enumerate(computation.instructions)}
        for each in computation.instructions:
            wiring = [position[operand] for operand in each.operands]
            said = (each.opcode, each.shape, each.parameter_number, decoded(each), wiring)
            digest.update(repr(said).encode())
    return digest.hexdigest()


def spent_in(compiled: Compiled, path: Path) -> Spent:
    """Return where the time went in a profile of a program.

    Raises:
        EdgeGraphError: Nothing of the program shows in it.
    """
    trace = read_trace(path, compiled.program, warm_up=DROPPED_CALLS)
    if not trace.timings:
        raise EdgeGraphError(f"the profile of {compiled.program.name} shows none of its ops")
    timed = {each.name for each in trace.timings}
    parents = {each.name: each.parent for each in compiled.analysis.op_records}
    kernels = {each.name: _kernel(each.name, parents, timed) for each in trace.shares}
    held: dict[str, set[str]] = {}
    for each in trace.shares:
        if each.layer is not None:
            held.setdefault(kernels[each.name], set()).add(each.layer)
    ops = {each.name: each.self_s for each in trace.timings}
    layers: dict[Layer, float] = defaultdict(float)
    split: dict[Layer, float] = defaultdict(float)
    mixed: dict[Layer, set[str]] = defaultdict(set)
    for each in trace.shares:
        for scope in [] if each.layer is None else _scopes(each.layer):
            kernel, key = kernels[each.name], f"{scope}\t{each.phase}"
            if all(scope in _scopes(other) for other in held[kernel]):
                layers[key] += each.time_s
            else:
                split[key] += each.time_s
                mixed[key].add(kernel)
    shared = {key: sum(ops.get(name, 0.0) for name in names) for key, names in mixed.items()}
    return Spent(ops=ops, layers=dict(layers), split=dict(split), shared=shared)


def _kernel(name: str, parents: Mapping[str, str | None], timed: Collection[str]) -> str:
    """Return what an op runs in that the profiler saw by itself."""
    at: str | None = name
    while at is not None and at not in timed:
        at = parents.get(at)
    return at or name


def _scopes(layer: str) -> list[str]:
    """Return a layer's path and those of what holds it."""
    parts = layer.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
