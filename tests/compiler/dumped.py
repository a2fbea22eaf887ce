"""Two programs that XLA dumped, as text and as protobufs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax


@dataclass(frozen=True)
class Dumped:
    text: Path
    protobuf: Path
    statistics: Any
    other: tuple[str, str, str]


def step(p: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    return p - 0.1 * g, jax.numpy.sort(p @ g, axis=0).sum()


def other(x: jax.Array) -> jax.Array:
    return x + 1


def dump(folder: Path) -> Dumped:
    """Compile both programs with XLA's options to dump, which it takes for a single program."""
    x = jax.ShapeDtypeStruct((64, 64), "float32")
    statistics = None
    for name, proto in (("text", False), ("protobuf", True)):
        options: dict[str, str | bool] = {
            "xla_dump_to": str(folder / name),
            "xla_dump_hlo_as_proto": proto,
        }
        stepping = jax.jit(step, donate_argnums=0).lower(x, x).compile(compiler_options=options)
        statistics = stepping.memory_analysis()
        jax.jit(other).lower(x).compile(compiler_options=options)
    (file,) = (folder / "text").glob("*jit_other.before_optimizations.txt")
    stem = file.name.removesuffix(".before_optimizations.txt")
    return Dumped(
        folder / "text", folder / "protobuf", statistics,
        ("jit_other", stem, str(int(stem.split(".")[0].removeprefix("module_")))),
    )  # fmt: skip
