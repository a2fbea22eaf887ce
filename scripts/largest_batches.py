"""Print the table of docs/fit.md: the largest batch that fits, found by compiling."""

from __future__ import annotations

import importlib
import sys
import time

import edgegraph as eg

SPECS = ("models.cnn:small_cnn", "models.resnet:resnet50", "models.transformer:transformer_prefill")
TARGETS = ("tpu:v5e", "gpu:h100")


def main() -> None:
    """Print a row as soon as it is there."""
    print("| workload | target | memory | largest batch | needs | one more | compiled | seconds |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for spec in SPECS:
        module, _, name = spec.partition(":")
        workload = getattr(importlib.import_module(module), name)()
        for target in TARGETS:
            start = time.perf_counter()
            found = eg.largest_batch(workload, target=target)
            more = "refused" if found.next_bytes is None else f"{found.next_bytes:,} B"
            needed = "?" if found.needed_bytes is None else f"{found.needed_bytes:,} B"
            print(
                f"| {workload.name} | {target} | {found.limit_bytes:,} B | {found.batch:,} |"
                f" {needed} | {more} | {len(found.tried)} |"
                f" {time.perf_counter() - start:.0f} |"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
