"""Records as pandas tables; unknown is NaN or <NA>, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from edgegraph.results.analysis import Analysis, LayerRecord, OpRecord
from edgegraph.results.records import main_memory_bytes

OP_COLUMNS = (
    "name", "opcode", "layer", "phase", "parent", "executions", "macs", "flops",
    "transcendentals", "bytes_read", "bytes_written", "intensity_flops_per_byte",
    "compute_time_s", "memory_time_s", "bound", "time_s", "time_source", "source",
    "shape", "roof", "level", "op_name", "wire_bytes", "flops_lowest",
    "executions_source", "dtype", "passes", "on_chip_bytes", "compiler_time_s",
    "expected_time_s", "expected_low_s", "expected_high_s", "network_time_s",
)  # fmt: skip
LAYER_COLUMNS = (
    "layer", "phase", "ops", "params", "param_bytes", "macs", "flops", "transcendentals",
    "bytes_read", "bytes_written", "intensity_flops_per_byte", "compute_time_s",
    "memory_time_s", "bound", "time_s", "time_source", "share", "efficiency", "depth", "leaf",
    "traced_time_s", "on_chip_bytes", "compiler_time_s",
    "expected_time_s", "expected_low_s", "expected_high_s", "network_time_s",
)  # fmt: skip

_COUNTS = frozenset(
    {
        "executions", "ops", "params", "param_bytes", "macs", "flops", "transcendentals",
        "bytes_read", "bytes_written", "wire_bytes", "flops_lowest", "on_chip_bytes",
    }
)  # fmt: skip
_FLOATS = frozenset(
    {
        "intensity_flops_per_byte", "compute_time_s", "memory_time_s", "time_s", "share",
        "efficiency", "traced_time_s", "compiler_time_s", "expected_time_s", "expected_low_s",
        "expected_high_s", "network_time_s",
    }
)  # fmt: skip

_NUMBERS = frozenset({"depth", "leaf", "passes"})


def ops_frame(analysis: Analysis) -> pd.DataFrame:
    """Return one row per executed instruction, in schedule order.

    Counts are nullable integers (``Int64``), exact; times are seconds.
    """
    return _frame(analysis.op_records, OP_COLUMNS)


def layers_frame(analysis: Analysis) -> pd.DataFrame:
    """Return one row per layer and phase, parents before children."""
    return _frame(analysis.layer_records, LAYER_COLUMNS)


def op_attributes(record: OpRecord) -> dict[str, Any]:
    """Return the node attributes of an op in the graph: those of its row in the frame."""
    attributes = {field: getattr(record, field) for field in record.__struct_fields__}
    attributes["intensity_flops_per_byte"] = intensity(record)
    del attributes["name"]
    return attributes


def intensity(record: OpRecord | LayerRecord) -> float | None:
    """Return the FLOPs per byte of main memory; None where a count is unknown or 0 bytes move."""
    moved = main_memory_bytes(record)
    return record.flops / moved if moved and record.flops is not None else None


def _frame(records: Sequence[OpRecord | LayerRecord], columns: Sequence[str]) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for column in columns:
        if column == "intensity_flops_per_byte":
            values: list[Any] = [intensity(record) for record in records]
        else:
            values = [getattr(record, column) for record in records]
        if column in _COUNTS:
            data[column] = pd.array(values, dtype="Int64")
        elif column in _FLOATS:
            data[column] = pd.array(values, dtype="float64")
        elif column in _NUMBERS:
            data[column] = values
        else:
            data[column] = pd.array(values, dtype="string")
    return pd.DataFrame(data)
