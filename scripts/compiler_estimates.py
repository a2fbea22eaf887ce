"""What a program should take on a TPU: our roofline and the compiler's own two figures.

    python scripts/compiler_estimates.py                       # ResNet-50, bf16, batch 32, v5e
    python scripts/compiler_estimates.py --target tpu:v5p --batch 1

Compiles ahead of time, which takes the extra `tpu` and some 15 seconds, and prints
the figures side by side, by part of the network, and for the kernels where they differ most.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # no accelerator is needed, nor looked for

import edgegraph as eg
from models.resnet import resnet50

PARTS = ("stem", "stage1", "stage2", "stage3", "stage4", "head", "other")


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", default="tpu:v5e")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--dtype", default="bfloat16")
    given = parser.parse_args()
    analysis = eg.analyze(
        resnet50(dtype=given.dtype), batch=given.batch, target=given.target, trace=False
    )
    kernels = kernels_of(analysis)
    print(f"{analysis.workload}, {given.dtype}, batch {given.batch}, {given.target}\n")
    print(figures(analysis, kernels).to_string(index=False), end="\n\n")
    print(by_part(analysis).to_string(), end="\n\n")
    print(differing_most(kernels, 10).to_string(index=False))


def kernels_of(analysis: eg.Analysis) -> pd.DataFrame:
    """Return the ops that run one after the other, with their times at the roof."""
    kernels = analysis.ops[analysis.ops["parent"].isna()].copy()
    kernels["roof_s"] = kernels[["compute_time_s", "memory_time_s"]].max(axis=1)
    return kernels


def figures(analysis: eg.Analysis, kernels: pd.DataFrame) -> pd.DataFrame:
    """Put the estimates of the whole side by side, in milliseconds."""
    totals = analysis.totals
    rows: list[tuple[str, float | None]] = [
        ("our bracket: all overlapped", totals.overlapped_time_s),
        ("our bracket: every op at its roof", float(kernels["roof_s"].sum())),
        ("our bracket: nothing overlapped", totals.serial_time_s),
    ]
    optimal_s = totals.compiler_optimal_s
    if optimal_s is not None:
        calls = int((analysis.ops["opcode"] == "custom-call").sum())
        rows.append(("optimal_seconds, custom calls repaired", optimal_s))
        rows.append((f"optimal_seconds, raw ({calls} custom calls)", optimal_s - calls))
    rows.append(("sum of estimated_cycles", totals.compiler_time_s))
    return pd.DataFrame(
        [(name, None if time_s is None else time_s * 1e3) for name, time_s in rows],
        columns=["figure", "ms"],
    ).round(3)


def by_part(analysis: eg.Analysis) -> pd.DataFrame:
    """Add the ops up by stage of the network, in order; what has none is named other."""
    ops = analysis.ops[~analysis.ops["name"].isin(analysis.ops["parent"].dropna())].copy()
    parts = ops["layer"].fillna("").str.extract(r"/(stem|stage\d|head)", expand=False)
    ops["part"] = parts.fillna("other")
    ops["roof_s"] = ops[["compute_time_s", "memory_time_s"]].max(axis=1)
    parts_in_order = [part for part in PARTS if (ops["part"] == part).any()]
    table = ops.groupby("part")[["macs", "roof_s", "compiler_time_s"]].sum().loc[parts_in_order]
    found = pd.DataFrame(
        {
            "GMAC": table["macs"] / 1e9,
            "at the roof, ms": table["roof_s"] * 1e3,
            "by cycles, ms": table["compiler_time_s"] * 1e3,
            "cycles over roof": table["compiler_time_s"] / table["roof_s"],
        }
    )
    return found.round(2)


def differing_most(kernels: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the kernels whose estimated cycles exceed their roof by most."""
    beyond = kernels["compiler_time_s"] - kernels["roof_s"]
    chosen = kernels.loc[beyond.sort_values(ascending=False).index[:count]]
    return pd.DataFrame(
        {
            "kernel": chosen["name"],
            "op": [re.sub(r"^jit\(\w+\)/", "", name) for name in chosen["op_name"]],
            "result": chosen["shape"],
            "at the roof, µs": (chosen["roof_s"] * 1e6).round(1),
            "by cycles, µs": (chosen["compiler_time_s"] * 1e6).round(1),
        }
    )


if __name__ == "__main__":
    main()
