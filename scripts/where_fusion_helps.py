"""Where does fusion help? A convolutional network at batch 1 and 32, with and without.

    python scripts/where_fusion_helps.py                # out/fusion.png, a few minutes
    python scripts/where_fusion_helps.py --quick --batches 1

Compiles the network with full fusion, without library fusion and without any; says what each
kind of fusion saves in bytes and in time, and draws the ladder of each batch size.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import edgegraph as eg
from models.cnn import small_cnn

FUSIONS = ["rung", "name", "kind", "ops", "border_bytes", "own_bytes", "saved_bytes", "saved_s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--quick", action="store_true", help="measure briefly")
    parser.add_argument("--output", type=Path, default=Path("out/fusion.png"))
    given = parser.parse_args()
    batches = [int(batch) for batch in given.batches.split(",")]

    figure, axes = plt.subplots(
        len(batches), 2, figsize=(4.5, 1.6 * len(batches)), squeeze=False, layout="constrained"
    )
    for (left, right), batch in zip(axes, batches, strict=True):
        study = eg.fusion_study(
            small_cnn(),
            batch=batch,
            processes=3 if given.quick else 7,
            settings=eg.MeasurementSettings.quick() if given.quick else None,
        )
        print(f"\n{study.workload}, batch {batch}")
        print(study.frame[["name", "launches", "bytes", "latency_s"]].to_string(index=False))
        print(*study.conclusions, sep="\n")
        print(study.fusions_frame[FUSIONS].head(5).to_string(index=False))
        study.plot((left, right))
        left.set_title(f"batch {batch}", fontsize=8, loc="left")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.output, dpi=200)
    print(f"\nFigure: {given.output}")


if __name__ == "__main__":
    main()
