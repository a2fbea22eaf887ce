"""Print EdgeGraph's figures of the zoo beside the published ones.

Run in the checkout: ``python scripts/reference_tables.py``. Every network is traced, lowered and
counted; nothing is compiled, and no weight is made. The exit code is 1 if a figure differs.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import edgegraph as eg
from models.published import ALEXNET_LAYER_MACS, NETWORKS, Published


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What EdgeGraph counts of one network at batch 1."""

    params: int | None
    macs: int
    valid_tap_macs: int

    def agrees_with(self, published: Published) -> bool:
        """Return whether every figure is the published one."""
        return self == Counted(
            params=published.params,
            macs=published.macs,
            valid_tap_macs=published.valid_tap_macs or published.macs,
        )


def analyse(spec: str) -> eg.Analysis:
    """Analyse a network before optimisation, at batch 1."""
    module, _, name = spec.partition(":")
    workload = getattr(importlib.import_module(module), name)()
    return eg.analyze(workload, batch=1, stage="lowered")


def count(analysis: eg.Analysis) -> Counted:
    """Take the figures out of an analysis; XLA counts two FLOPs for each valid tap."""
    products = [op for op in analysis.op_records if op.opcode in ("convolution", "dot")]
    return Counted(
        params=analysis.totals.params,
        macs=analysis.totals.macs,
        valid_tap_macs=sum(op.flops or 0 for op in products) // 2,
    )


def networks_table(counted: dict[str, Counted]) -> Table:
    """Lay out every network: ours, whether they are the published figures, and whose."""
    table = Table("network", "input", title="The zoo at batch 1")
    for column in ("parameters", "MACs", "valid-tap MACs"):
        table.add_column(column, justify="right")
    for column in ("agrees", "the source writes", "source"):
        table.add_column(column)
    for published in NETWORKS:
        ours = counted[published.spec]
        table.add_row(
            published.spec.partition(":")[2],
            "x".join(map(str, published.input_shape)),
            f"{ours.params:,}",
            f"{ours.macs:,}",
            f"{ours.valid_tap_macs:,}",
            "yes" if ours.agrees_with(published) else _difference(ours, published),
            published.figures,
            published.source,
        )
    return table


def _difference(ours: Counted, published: Published) -> str:
    return (
        f"no: {published.params:,}, {published.macs:,},"
        f" {published.valid_tap_macs or published.macs:,}"
    )


def alexnet_table(analysis: eg.Analysis) -> Table:
    """Lay out the lecture's AlexNet layer by layer."""
    table = Table("layer", title="AlexNet of EfficientML, lecture 2")
    table.add_column("MACs", justify="right")
    table.add_column("lecture", justify="right")
    ours = {record.layer: record.macs for record in analysis.layer_records}
    for layer, macs in ALEXNET_LAYER_MACS.items():
        table.add_row(layer, f"{ours[f'AlexNet/{layer}']:,}", f"{macs:,}")
    return table


def main() -> int:
    """Print both tables; return the exit code."""
    counted = {}
    for published in NETWORKS:
        print(f"counting {published.spec}", file=sys.stderr)
        counted[published.spec] = count(analyse(published.spec))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(networks_table(counted))
    console.print(alexnet_table(analyse("models.alexnet:alexnet")))
    return 0 if all(counted[one.spec].agrees_with(one) for one in NETWORKS) else 1


if __name__ == "__main__":
    sys.exit(main())
