"""Scheduled modules written by hand, and what they hold."""

from __future__ import annotations

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Module
from edgegraph.hlo.parameters import model_arguments
from edgegraph.memory.live import MemoryProfile, profile_memory

KIB = 1024
"""Bytes of an f32[256], the array of most programs here."""


def scheduled(body: str, computations: str = "", header: str = "") -> Module:
    """Write a module; `v` stands for f32[256], which takes 1 KiB."""
    text = f"HloModule m, is_scheduled=true{header}\n{computations}\nENTRY e {{\n{body}\n}}"
    return decode(xla.parse_text(text.replace("v[", "f32[256").replace("= v", "= f32[256]")))


def profile(module: Module) -> MemoryProfile:
    nodes = flatten(module)
    found = profile_memory(module, nodes, model_arguments(nodes).held)
    assert found is not None
    return found


def alive(module: Module) -> dict[str, int]:
    """Return KiB alive at every op of the entry computation."""
    found = profile(module)
    assert all(count % KIB == 0 for count in found.alive_bytes), found.alive_bytes
    return {
        node.name: count // KIB for node, count in zip(found.steps, found.alive_bytes, strict=True)
    }


def held(module: Module) -> list[tuple[str, int, str]]:
    """Return name, KiB and role of the buffers at the peak."""
    return [(b.node.name, b.bytes // KIB, b.role) for b in profile(module).held]
