"""The lecture's questions, answered on this machine: the tables and figures of docs/lecture.md.

    python scripts/lecture.py                          # all parts, about ten minutes
    python scripts/lecture.py --quick --part macs --part alexnet

Source of the questions: Song Han, EfficientML (MIT 6.5940), lecture 2, basics of neural networks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import edgegraph as eg
from models import blocks
from models.alexnet import alexnet
from models.cnn import small_cnn
from models.mobilenet import mobilenet_v2
from models.resnet import resnet18

BLUE, ORANGE = "#0072b2", "#e69f00"


def macs(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """MACs of every layer of AlexNet."""
    layers = leaves(eg.analyze(alexnet(), batch=1, stage="lowered"))
    table = layers.loc[layers["macs"] > 0, ["macs", "params"]]
    table["share of MACs"] = percent(table["macs"] / table["macs"].sum())
    show(table)
    print(f"sum: {table['macs'].sum():,} MACs, {layers['params'].sum():,} parameters")


def alexnet_time(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """Which layers of AlexNet wait for memory, and what the dense ones take, at batch 1."""
    analysis = eg.analyze(alexnet(), batch=1, measure=True, settings=settings)
    layers = leaves(analysis)
    layers = layers[layers["macs"] > 0]
    share_of_macs = layers["macs"] / layers["macs"].sum()
    share_of_time = layers["time_s"] / layers["time_s"].sum()
    show(
        pd.DataFrame(
            {
                "FLOP/B": layers["intensity_flops_per_byte"].round(2),
                "bound": layers["bound"],
                "MACs": percent(share_of_macs),
                "time": percent(share_of_time),
                "time_ms": (layers["time_s"] * 1e3).round(3),
            }
        )
    )
    dense = layers["bound"].index.str.contains("fc|dense")
    print(
        f"dense layers: {share_of_macs[dense].sum():.1%} of the MACs,"
        f" {share_of_time[dense].sum():.1%} of the time;"
        f" one call {milliseconds(analysis)}, verdict {verdict(analysis)}"
    )
    _, ax = plt.subplots(figsize=(3.5, 2.6), layout="constrained")
    shares = pd.DataFrame({"MACs": share_of_macs, "time": share_of_time}) * 100
    shares.plot.barh(ax=ax, color=[BLUE, ORANGE], width=0.75)
    ax.invert_yaxis()
    ax.set_xlabel("share of the network (%)")
    ax.set_ylabel("")
    ax.legend(frameon=False)
    keep(ax, folder / "alexnet.png")


def convolutions(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """A 3x3 convolution against depthwise 3x3 and 1x1, at the same sizes."""
    workloads = {
        "3x3": blocks.conv(inputs=128, outputs=128, size=28),
        "depthwise 3x3 + 1x1": blocks.depthwise_separable(inputs=128, outputs=128, size=28),
    }
    rows = {
        name: figures(eg.analyze(workload, batch=1, measure=True, settings=settings))
        for name, workload in workloads.items()
    }
    compare(rows)


def mobilenet(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """MobileNetV2 against ResNet-18: fewer MACs, and how much less time; then improved."""
    study = eg.improve(mobilenet_v2(), batch=1)
    print(*study.conclusions, sep="\n")
    analyses = {
        workload.name: eg.analyze(workload, batch=1, measure=True, settings=settings)
        for workload in (resnet18(), mobilenet_v2(), study.improved_workload)
    }
    compare({name: figures(analysis) for name, analysis in analyses.items()})
    for name, analysis in analyses.items():
        layers = leaves(analysis)
        timed = layers[layers["time_s"] > 0]
        roof_s = timed[["compute_time_s", "memory_time_s"]].max(axis=1)
        kinds = pd.Series("other", index=timed.index)
        kinds[timed["macs"] > 0] = "1x1 and other convolutions, dense"
        kinds[timed.index.str.contains("depthwise")] = "depthwise convolutions"
        table = pd.DataFrame(
            {
                "MACs": percent(timed["macs"].groupby(kinds).sum() / timed["macs"].sum()),
                "time": percent(timed["time_s"].groupby(kinds).sum() / timed["time_s"].sum()),
                "of its roof": percent(
                    roof_s.groupby(kinds).sum() / timed["time_s"].groupby(kinds).sum()
                ),
            }
        )
        print(f"\n{name}")
        show(table)


def batch(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """Latency against throughput over the batch size."""
    sweep = eg.sweep(small_cnn(), batches=[1, 2, 4, 8, 16, 32, 64, 128], settings=settings)
    table = sweep.frame.set_index("batch")
    show(
        pd.DataFrame(
            {
                "latency_ms": (table["latency_s"] * 1e3).round(3),
                "throughput_per_s": table["throughput_per_s"].round(),
                "T_compute_ms": (table["compute_time_s"] * 1e3).round(3),
                "T_memory_ms": (table["memory_time_s"] * 1e3).round(3),
                "bound": table["bound"],
            }
        )
    )
    for knee in sweep.knees:
        print(f"knee: {knee}")
    keep(sweep.plot()[0], folder / "batch.png")


def fusion(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """What fusion brings, at batch 1 and 32."""
    for size in (1, 32):
        study = eg.fusion_study(small_cnn(), batch=size, settings=settings)
        show(study.frame)
        keep(study.plot()[0], folder / f"fusion_b{size}.png")


def overlap(folder: Path, settings: eg.MeasurementSettings | None) -> None:
    """What overlap brings, at batch 1 and 32."""
    for size in (1, 32):
        study = eg.overlap_study(small_cnn(), batch=size, settings=settings)
        show(study.frame.drop(columns="phase").set_index("layer"))
        host = study.host_input
        assert host is not None  # the network has an input pipeline
        print(
            f"calls in flight: {study.dispatch_gain:.2f} times as many;"
            f" input pipeline: {host.serial_s * 1e3:.3f} ms a step one after the other,"
            f" {host.overlapped_s * 1e3:.3f} ms side by side; verdict {study.verdict}"
        )
        keep(study.plot(), folder / f"overlap_b{size}.png")


PARTS: dict[str, Callable[[Path, eg.MeasurementSettings | None], None]] = {
    "macs": macs,
    "alexnet": alexnet_time,
    "convolutions": convolutions,
    "mobilenet": mobilenet,
    "batch": batch,
    "fusion": fusion,
    "overlap": overlap,
}


def leaves(analysis: eg.Analysis) -> pd.DataFrame:
    """Return the layers without children, by their names within the network."""
    layers = analysis.layers
    parents = {path.rpartition("/")[0] for path in layers["layer"]}
    layers = layers[~layers["layer"].isin(parents)]
    return layers.set_index(layers["layer"].str.partition("/")[2].rename(None))


def figures(analysis: eg.Analysis) -> dict[str, Any]:
    """Return the figures by which two networks are compared."""
    totals = analysis.totals
    assert analysis.latency is not None  # it was measured
    return {
        "MACs (M)": totals.macs / 1e6,
        "bytes (MB)": (totals.bytes_read + totals.bytes_written) / 1e6,
        "FLOP/B": totals.intensity_flops_per_byte,
        "roof (ms)": None if totals.overlapped_time_s is None else totals.overlapped_time_s * 1e3,
        "time (ms)": analysis.latency.median_s * 1e3,
        "GMAC/s": totals.macs / analysis.latency.median_s / 1e9,
        "verdict": verdict(analysis),
    }


def compare(rows: dict[str, dict[str, Any]]) -> None:
    """Print two rows of figures, and how often the second fits into the first."""
    table = pd.DataFrame(rows).T
    show(table)
    first, second = rows.values()
    for name in ("MACs (M)", "time (ms)"):
        print(f"{name}: {first[name] / second[name]:.2f} to 1")


def percent(shares: pd.Series) -> pd.Series:
    """Write shares in percent."""
    return (shares * 100).round(1).astype(str) + " %"


def milliseconds(analysis: eg.Analysis) -> str:
    """Write the measured time of one call."""
    assert analysis.latency is not None  # it was measured
    return f"{analysis.latency.median_s * 1e3:.3g} ms"


def verdict(analysis: eg.Analysis) -> str:
    """Describe how far the measurement can be trusted."""
    return "not measured" if analysis.latency is None else analysis.latency.verdict


def keep(ax: Axes, path: Path) -> None:
    """Write the figure that holds `ax`."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(path, dpi=200)
    print(f"figure: {path}")


def show(table: pd.DataFrame) -> None:
    """Print a table in full."""
    print(table.to_string(float_format=lambda value: f"{value:.4g}", na_rep="?"))


def main() -> None:
    """Answer the questions that were asked for, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: all")
    parser.add_argument("--quick", action="store_true", help="measure briefly")
    parser.add_argument("--output", type=Path, default=Path("out/lecture"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    # Chosen before JAX starts: times are of calls in this thread.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    settings = eg.MeasurementSettings.quick() if given.quick else None
    for name in given.part or PARTS:
        part = PARTS[name]
        print(f"\n## {name}: {(part.__doc__ or '').splitlines()[0]}\n")
        part(given.output, settings)


if __name__ == "__main__":
    main()
