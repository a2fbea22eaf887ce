"""Which batch size? Latency against throughput of a convolutional and a dense network.

    python scripts/latency_vs_throughput.py             # out/latency_vs_throughput.png, minutes
    python scripts/latency_vs_throughput.py --quick     # one network, few batch sizes

At batch 1 the dense network waits for its weights, so that batching is nearly free until the
arithmetic binds; the convolutional one is bound by arithmetic from the start.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import edgegraph as eg
from models.cnn import small_cnn
from models.mlp import mlp

COLUMNS = ["batch", "latency_s", "latency_p90_s", "throughput_per_s", "bound", "verdict", "error"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--quick", action="store_true", help="one network, few batch sizes, briefly"
    )
    parser.add_argument("--max-latency-ms", type=float, default=2.0)
    parser.add_argument("--output", type=Path, default=Path("out/latency_vs_throughput.png"))
    given = parser.parse_args()
    workloads = [mlp()] if given.quick else [small_cnn(), mlp()]
    batches = [1, 8, 64] if given.quick else [2**power for power in range(9)]
    settings = eg.MeasurementSettings.quick() if given.quick else None

    figure, axes = plt.subplots(
        2, len(workloads), figsize=(3.5 * len(workloads), 3.8), sharex=True, squeeze=False
    )
    for column, workload in enumerate(workloads):
        sweep = eg.sweep(
            workload,
            batches=batches,
            max_latency_s=given.max_latency_ms / 1e3,
            settings=settings,
        )
        print(f"\n{sweep.workload}")
        print(sweep.frame[COLUMNS].to_string(index=False))
        print(*sweep.conclusions, sep="\n")
        sweep.plot((axes[0, column], axes[1, column]))
        axes[0, column].set_title(sweep.workload, fontsize=8, loc="left", pad=16)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(given.output, dpi=200)
    print(f"\nFigure: {given.output}")


if __name__ == "__main__":
    main()
