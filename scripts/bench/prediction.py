"""How far the times that EdgeGraph expects are from those it measures, over the zoo.

The machine is calibrated in the same run, on single kernels. Then every network is measured, whole
and by an op trace, and held against what was expected of it. Kernels of the table that have the
size of one of a network's own layers are left out for that network, so that none calibrates itself.

    python scripts/bench/prediction.py
    python scripts/bench/prediction.py --batch 1 --model small_cnn --model resnet18
    python scripts/bench/prediction.py --keep out/zoo           # and once more, without measuring:
    python scripts/bench/prediction.py --from out/zoo
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import edgegraph as eg
from edgegraph.analysis.estimates import with_expected_times
from edgegraph.analysis.kernel_work import product_sizes
from edgegraph.base.units import seconds
from edgegraph.hlo.graph import Node, flatten
from edgegraph.measure.latency import prefer_synchronous_dispatch

MODELS = (
    "cnn:small_cnn", "mlp:mlp", "lenet:lenet5", "alexnet:alexnet", "vgg:vgg_lab",
    "resnet:resnet18", "resnet:resnet50", "mobilenet:mobilenet_v1", "mobilenet:mobilenet_v2",
    "efficientnet:efficientnet_b0", "mixer:mixer_s16", "vit:vit_b16",
    "transformer:transformer_prefill", "transformer:transformer_decode", "vgg:vgg16",
    "mixer:mixer_b16", "alexnet:alexnet_torchvision",
)  # fmt: skip
WORTH_A_LOOK = 0.01
"""Share of the time from which a layer counts."""

WHOLE_LIMIT, LAYER_LIMIT = 0.20, 0.30


def measured(models: list[str], batches: list[int], keep: Path | None) -> Iterator[eg.Analysis]:
    """Measure every network at every batch size, the largest included."""
    for batch in batches:
        for name in models:
            module, _, function = name.partition(":")
            workload = getattr(importlib.import_module(f"models.{module}"), function)()
            analysis = eg.analyze(workload, batch=batch, measure=True, depth=0)
            if keep is not None:
                analysis.save(keep / f"{function}_b{batch}.edgegraph")
            yield analysis


def expected_of(analysis: eg.Analysis, device: eg.Device) -> eg.Analysis:
    """Expect the times of a network from all kernels but those of its own sizes."""
    nodes = flatten(analysis.module)
    own = set(_sizes(nodes))
    others = [k for k in device.kernel_rates if (k.kind, (k.rows, k.columns, k.depth)) not in own]
    device = replace(device, kernel_rates=tuple(others))
    records = with_expected_times(nodes, analysis.op_records, device)
    whole = sum(r.expected_time_s or 0.0 for r in records if r.parent is None)
    totals = replace(analysis.totals, expected_time_s=whole + (device.dispatch_s or 0.0))
    return replace(analysis, op_records=records, totals=totals)


def _sizes(nodes: Sequence[Node]) -> Iterator[tuple[str, tuple[int, int, int]]]:
    shapes = {node.name: node.instruction.shape for node in nodes}
    for node in nodes:
        found = product_sizes(node.instruction, [shapes[operand] for operand in node.operands])
        if found is not None:
            yield found


def layer_errors(analysis: eg.Analysis) -> list[float]:
    """Hold the traced time of every layer against what was expected of it."""
    ops = analysis.ops[~analysis.ops["name"].isin(analysis.ops["parent"].dropna())]
    layers = ops.groupby(["layer", "phase"])[["time_s", "expected_time_s"]].sum()
    layers = layers[layers["time_s"] > WORTH_A_LOOK * layers["time_s"].sum()]
    return [float(e) for e in (layers["expected_time_s"] / layers["time_s"] - 1).abs()]


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--model", action="append", help="a function of the zoo")
    parser.add_argument("--keep", type=Path, help="folder to keep the analyses in")
    parser.add_argument("--from", dest="source", type=Path, help="folder of kept analyses")
    options = parser.parse_args()
    prefer_synchronous_dispatch()
    device = eg.calibrate()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    if options.source is not None:
        files = sorted(options.source.glob("*.edgegraph"))
        found: Iterator[eg.Analysis] = (eg.load(path) for path in files)
    else:
        chosen = [n for n in MODELS if not options.model or n.partition(":")[2] in options.model]
        found = measured(chosen, options.batch or [1, 8, 32], options.keep)
    whole: list[float] = []
    layers: list[float] = []
    print(
        f"{'network':24} {'batch':>5} {'measured':>10} {'expected':>10} {'error':>6} {'layers':>7}"
    )
    for analysis in (expected_of(each, device) for each in found):
        assert analysis.latency is not None
        assert analysis.totals.expected_time_s is not None
        took, told = analysis.latency.median_s, analysis.totals.expected_time_s
        errors = layer_errors(analysis)
        whole.append(abs(told / took - 1))
        layers += errors
        error, off = told / took - 1, median(errors)
        print(
            f"{analysis.workload:24} {analysis.batch or 0:5} {seconds(took):>10}"
            f" {seconds(told):>10} {error:+6.0%} {off:7.0%}  {analysis.latency.verdict}",
            flush=True,
        )
    print(f"median error: whole networks {median(whole):.0%}, layers {median(layers):.0%}")
    return 0 if median(whole) <= WHOLE_LIMIT and median(layers) <= LAYER_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
