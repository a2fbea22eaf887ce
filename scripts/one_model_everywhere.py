"""One small model, compiled ahead of time for every TPU and ten GPUs: what each makes of it.

    python scripts/one_model_everywhere.py                     # all of them, some minutes
    python scripts/one_model_everywhere.py tpu:v5e gpu:h100

A convolution with odd numbers of channels, attention with heads of 64 and an int8 product, each
under its own name. Needs the extras `tpu` and `gpu`, and neither a TPU nor a GPU.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # no accelerator is needed, nor looked for

import jax
import jax.numpy as jnp
import pandas as pd

import edgegraph as eg

TARGETS = (
    *(f"tpu:{name}" for name in ("v4", "v5e", "v5p", "v6e", "v7x")),
    *(f"gpu:{name}" for name in ("t4", "a100", "orin", "rtx-3090", "l4")),
    *(f"gpu:{name}" for name in ("l40s", "rtx-4090", "h100", "h200", "b200")),
)
PARTS = ("convolution", "attention", "int8")

Arrays = tuple[jax.Array, ...]


def model(image: jax.Array, kernel: jax.Array, tokens: Arrays, int8: Arrays) -> Arrays:
    """Compute the three parts, which have nothing to do with each other."""
    with jax.named_scope("convolution"):
        layout = ("NHWC", "HWIO", "NHWC")
        convolved = jax.lax.conv_general_dilated(
            image, kernel, (1, 1), "SAME", dimension_numbers=layout
        )
        convolved = jax.nn.relu(convolved)
    with jax.named_scope("attention"):
        queries, keys, values = tokens
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", queries, keys) / 8)
        attended = jnp.einsum("bhqk,bkhd->bqhd", weights, values)
    with jax.named_scope("int8"):
        product = jax.lax.dot(*int8, preferred_element_type=jnp.int32)
    return convolved, attended, product


def arguments() -> tuple[Any, ...]:
    """Return the shapes: 132, 67 and 10 million MACs."""

    def shape(*sizes: int, dtype: Any = jnp.bfloat16) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, dtype)

    return (
        shape(8, 28, 28, 35),
        shape(3, 3, 35, 67),
        (shape(2, 256, 4, 64),) * 3,
        (shape(64, 512, dtype=jnp.int8), shape(512, 300, dtype=jnp.int8)),
    )


def main() -> None:
    """Print a row for each target, and one for each part of the model on it."""
    rows, parts = [], []
    for target in sys.argv[1:] or TARGETS:
        program = eg.compile(model, *arguments(), target=target)
        analysis = eg.analyze(program)
        kernels = kernels_of(analysis)
        rows.append(whole(target, program, analysis, kernels))
        parts += [part(target, name, program, kernels) for name in PARTS]
    print(f"jax {jax.__version__}, {pd.Timestamp.now():%Y-%m-%d}\n")
    print(pd.DataFrame(rows).to_string(index=False), end="\n\n")
    print(pd.DataFrame(parts).to_string(index=False))


def kernels_of(analysis: eg.Analysis) -> pd.DataFrame:
    """Return the ops that compute or copy something, one after the other."""
    ops = analysis.ops
    moves = ops["bytes_read"].fillna(0) + ops["bytes_written"].fillna(0) + ops["on_chip_bytes"]
    silent = ops["opcode"].isin(["tuple", "copy-done", "get-tuple-element", "parameter", "bitcast"])
    return ops[ops["parent"].isna() & (moves > 0) & ~silent]


def whole(
    target: str, program: eg.Program, analysis: eg.Analysis, kernels: pd.DataFrame
) -> dict[str, Any]:
    """Return what is true of the whole program."""
    totals = analysis.totals
    roof_s, compiler_s = totals.overlapped_time_s, totals.compiler_time_s
    return {
        "target": target,
        "compiled in, s": round(program.compile_s or 0, 1),
        "kernels": len(kernels),
        "FLOPs / 2 MACs": round(totals.flops / (2 * totals.macs), 3),
        "on-chip, %": round(100 * kernels["on_chip_bytes"].sum() / moved(kernels)),
        "roof, µs": round(1e6 * (roof_s or 0), 2),
        "compiler, µs": None if compiler_s is None else round(1e6 * compiler_s, 2),
        "covered": totals.compiler_coverage,
        "temporary, MB": round(program.memory.temp_bytes / 1e6, 2) if program.memory else None,
    }


def moved(kernels: pd.DataFrame) -> float:
    """Return the bytes that cross between kernels, at least one."""
    return max(float((kernels["bytes_read"] + kernels["bytes_written"]).sum()), 1.0)


def part(target: str, name: str, program: eg.Program, kernels: pd.DataFrame) -> dict[str, Any]:
    """Return what became of one part of the model: its kernels, in order, and what they cost."""
    mine = kernels[kernels["layer"] == name]
    ratio = mine["flops"].sum() / max(2 * mine["macs"].sum(), 1)
    compiler_s = mine["compiler_time_s"].sum(min_count=1)
    return {
        "target": target,
        "part": name,
        "FLOPs / 2 MACs": round(ratio, 3),
        "roof, µs": round(1e6 * mine[["compute_time_s", "memory_time_s"]].max(axis=1).sum(), 2),
        "compiler, µs": None if pd.isna(compiler_s) else round(1e6 * compiler_s, 2),
        "kernels": ", ".join(chosen(program, kernel) for kernel in mine["name"]),
    }


def chosen(program: eg.Program, name: str) -> str:
    """Return what one kernel is, the library it calls, compiler or opcode, and its shape."""
    module = program.module
    instruction = next(
        found
        for found in module.computations[module.entry].instructions
        if found.name.replace("-", "_") == name.replace("-", "_")
    )
    shape = instruction.shape
    while shape.elements:
        shape = shape.elements[0]
    what = instruction.custom_call_target or instruction.opcode
    for word in ("__triton_nested_gemm_fusion", "__triton_gemm", "__triton", "__cudnn$fusion"):
        if word in instruction.backend_config:
            what = word.strip("_")
            break
    else:
        if instruction.called:
            inside = module.computations[instruction.called[0]].instructions
            heavy = [one.opcode for one in inside if one.opcode in ("dot", "convolution", "reduce")]
            moves = [one.opcode for one in inside if one.opcode in ("pad", "transpose", "convert")]
            what += "(" + "+".join(dict.fromkeys([*heavy, *moves])) + ")"
    return f"{what}:{shape.dtype}[{','.join(map(str, shape.dimensions))}]"


if __name__ == "__main__":
    main()
