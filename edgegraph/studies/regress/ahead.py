"""A version's program for a TPU or GPU that is not here, compiled by EdgeGraph as it runs there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgegraph.compiler.compile import compile
from edgegraph.doors.registry import open as open_spec
from edgegraph.studies.regress.agent import argument, bound, find


def compile_there(_: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Compile what a request names for its target; return of it what an agent's `load` does."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if asked["args"] is None:
        choices = {name: argument(told) for name, told in asked["choices"].items()}
        subject = open_spec(asked["spec"], **choices)
    else:
        subject = find(asked["spec"])
        args, kwargs = bound(subject, asked["args"])
    batched = getattr(subject, "batched", False)
    program = compile(
        subject,
        *args,
        kwargs=kwargs or None,
        batch=asked["batch"] if batched else None,
        target=asked["target"],
        options=asked["options"],
    )
    Path(asked["hlo"]).write_bytes(program.serialized)
    return {
        "hlo": asked["hlo"],
        "title": program.name,
        "batched": batched,
        "compile_s": program.compile_s,
        "lower_s": program.lower_s,
        "lowered": hashlib.sha256(program.lowered.as_text().encode()).hexdigest(),
        "memory": None if program.memory is None else asdict(program.memory),
        "compiler_cost": program.compiler_cost,
    }
