"""Where does doing two things at once help? A convolutional network, from batch 1 to 64.

    python scripts/where_overlap_helps.py                 # out/overlap.png, a few minutes
    python scripts/where_overlap_helps.py --quick --batches 1,8

Prints what overlaps at every batch size, and draws how much of the input pipeline, of the
dispatch and of the data traffic hides behind the arithmetic.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import edgegraph as eg
from models.cnn import small_cnn


def main() -> None:
    """Study SmallCNN at several batch sizes, print the table, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batches", default="1,8,32,64")
    parser.add_argument("--quick", action="store_true", help="measure briefly")
    parser.add_argument("--output", type=Path, default=Path("out/overlap.png"))
    given = parser.parse_args()
    settings = eg.MeasurementSettings.quick() if given.quick else None
    rows = []
    for batch in map(int, given.batches.split(",")):
        study = eg.overlap_study(small_cnn(), batch=batch, settings=settings)
        host = study.host_input
        assert host is not None  # networks of the zoo for images have an input pipeline
        rows.append(
            {
                "batch": batch,
                "latency_ms": study.latency.median_s * 1e3,
                "calls in flight, gain": study.dispatch_gain,
                "host_ms": (host.prepare_s + host.transfer_s) * 1e3,
                "serial_ms": host.serial_s * 1e3,
                "overlapped_ms": host.overlapped_s * 1e3,
                "input overlap, gain": host.serial_s / host.overlapped_s,
                "verdict": study.verdict,
            }
        )
    table = pd.DataFrame(rows).set_index("batch")
    print(table.round(3).to_string())
    given.output.parent.mkdir(parents=True, exist_ok=True)
    figure, ax = plt.subplots(figsize=(3.5, 2.6), layout="constrained")
    draw(table, ax)
    figure.savefig(given.output, dpi=200)
    print(f"Figure: {given.output}")


def draw(table: pd.DataFrame, ax: Axes) -> None:
    """Draw both gains over the batch size; 1 is no gain."""
    for column, marker in (("calls in flight, gain", "o"), ("input overlap, gain", "s")):
        ax.plot(table.index, table[column], marker=marker, label=column.removesuffix(", gain"))
    ax.axhline(1, color="0.6", linewidth=0.8)
    ax.set_xscale("log", base=2)
    ax.set_xticks(table.index, [str(batch) for batch in table.index])
    ax.set_xlabel("batch size")
    ax.set_ylabel("throughput against one\nthing after the other")
    ax.legend(frameon=False)


if __name__ == "__main__":
    main()
