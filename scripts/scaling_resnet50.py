"""Data-parallel training of ResNet-50 on TPU v5e, from 1 to 64 chips: docs/scaling.md's figure.

Needs the extra `tpu`, and about 15 minutes the first time: every mesh is compiled ahead of time,
and kept.

    python scripts/scaling_resnet50.py --out docs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import edgegraph as eg
from models.resnet import resnet50_train

CHIPS = (1, 4, 16, 64)


def main() -> None:
    """Compile over every mesh; print the table, and write the figure and the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the files")
    parser.add_argument("--batch-per-chip", type=int, default=32, help="weak scaling")
    parser.add_argument("--batch", type=int, default=256, help="strong scaling")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    study = eg.scaling_study(
        resnet50_train(),
        CHIPS,
        target="tpu:v5e",
        batch_per_chip=options.batch_per_chip,
        batch=options.batch,
        progress=lambda message, fraction: print(message, file=sys.stderr),
    )
    columns = [
        "scaling", "chips", "batch", "step_s", "efficiency", "compute_time_s", "memory_time_s",
        "network_time_s", "exposed_network_s", "wire_bytes", "bound",
    ]  # fmt: skip
    print(study.frame[columns].to_string(index=False))
    print("\n".join(study.conclusions))
    figure = study.plot()[0].get_figure(root=True)
    assert figure is not None
    figure.savefig(options.out / "scaling_resnet50.png", dpi=200)
    study.save(options.out / "scaling_resnet50.edgegraph")


if __name__ == "__main__":
    main()
