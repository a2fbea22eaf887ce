"""EdgeGraph: where the time of a compiled JAX graph goes, and what would make it faster."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgegraph import plot as plot
    from edgegraph.analyzer import analyze as analyze
    from edgegraph.compare.diff import diff as diff
    from edgegraph.compiler.compile import compile as compile
    from edgegraph.compiler.compile import read_hlo as read_hlo
    from edgegraph.compiler.program import Program as Program
    from edgegraph.compiler.sharding import DeviceMesh as DeviceMesh
    from edgegraph.cost.cost import Cost as Cost
    from edgegraph.cost.custom_calls import CustomCall as CustomCall
    from edgegraph.cost.custom_calls import register_custom_call as register_custom_call
    from edgegraph.device.calibrate import calibrate as calibrate
    from edgegraph.device.catalogue import devices as devices
    from edgegraph.device.device import Device as Device
    from edgegraph.errors import EdgeGraphError as EdgeGraphError
    from edgegraph.findings.evidence import Evidence as Evidence
    from edgegraph.findings.registry import register_finding as register_finding
    from edgegraph.gate.check import check as check
    from edgegraph.measure.compare import compare_timings as compare_timings
    from edgegraph.measure.sampling import MeasurementSettings as MeasurementSettings
    from edgegraph.measure.trace.trace import read_trace as read_trace
    from edgegraph.results.analysis import Analysis as Analysis
    from edgegraph.results.analysis import Finding as Finding
    from edgegraph.results.comparison import TimingComparison as TimingComparison
    from edgegraph.results.device_comparison import DeviceComparison as DeviceComparison
    from edgegraph.results.diff import Diff as Diff
    from edgegraph.results.files import load as load
    from edgegraph.results.fusion_study import FusionStudy as FusionStudy
    from edgegraph.results.gate import GateResult as GateResult
    from edgegraph.results.op_trace import OpTrace as OpTrace
    from edgegraph.results.overlap_study import OverlapStudy as OverlapStudy
    from edgegraph.results.scaling import Scaling as Scaling
    from edgegraph.results.sweep import Sweep as Sweep
    from edgegraph.store import Store as Store
    from edgegraph.store import open_store as open_store
    from edgegraph.study.compare_devices import compare_devices as compare_devices
    from edgegraph.study.fusion import fusion_study as fusion_study
    from edgegraph.study.overlap import overlap_study as overlap_study
    from edgegraph.study.scaling import scaling_study as scaling_study
    from edgegraph.study.sweep import sweep as sweep
    from edgegraph.study.sweep import sweep_all as sweep_all
    from edgegraph.workload import Workload as Workload

__version__ = "0.1.0"

_HOME = {
    "Analysis": "edgegraph.results.analysis",
    "Cost": "edgegraph.cost.cost",
    "CustomCall": "edgegraph.cost.custom_calls",
    "Device": "edgegraph.device.device",
    "DeviceComparison": "edgegraph.results.device_comparison",
    "DeviceMesh": "edgegraph.compiler.sharding",
    "Diff": "edgegraph.results.diff",
    "EdgeGraphError": "edgegraph.errors",
    "Evidence": "edgegraph.findings.evidence",
    "Finding": "edgegraph.results.analysis",
    "FusionStudy": "edgegraph.results.fusion_study",
    "GateResult": "edgegraph.results.gate",
    "MeasurementSettings": "edgegraph.measure.sampling",
    "OpTrace": "edgegraph.results.op_trace",
    "OverlapStudy": "edgegraph.results.overlap_study",
    "Program": "edgegraph.compiler.program",
    "Scaling": "edgegraph.results.scaling",
    "Store": "edgegraph.store",
    "Sweep": "edgegraph.results.sweep",
    "TimingComparison": "edgegraph.results.comparison",
    "Workload": "edgegraph.workload",
    "analyze": "edgegraph.analyzer",
    "calibrate": "edgegraph.device.calibrate",
    "check": "edgegraph.gate.check",
    "compare_devices": "edgegraph.study.compare_devices",
    "compare_timings": "edgegraph.measure.compare",
    "compile": "edgegraph.compiler.compile",
    "devices": "edgegraph.device.catalogue",
    "diff": "edgegraph.compare.diff",
    "fusion_study": "edgegraph.study.fusion",
    "load": "edgegraph.results.files",
    "open_store": "edgegraph.store",
    "overlap_study": "edgegraph.study.overlap",
    "read_hlo": "edgegraph.compiler.compile",
    "read_trace": "edgegraph.measure.trace.trace",
    "register_custom_call": "edgegraph.cost.custom_calls",
    "register_finding": "edgegraph.findings.registry",
    "scaling_study": "edgegraph.study.scaling",
    "sweep": "edgegraph.study.sweep",
    "sweep_all": "edgegraph.study.sweep",
}

_RENAMED = {"Mesh": "DeviceMesh", "Settings": "MeasurementSettings"}
"""Names of version 0.1, which version 0.2 drops."""

__all__ = [*sorted(_HOME), "plot", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "plot":
        return importlib.import_module("edgegraph.plot")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(
            f"edgegraph.{name} is called edgegraph.{new} now; the old name goes with version 0.2",
            DeprecationWarning,
            stacklevel=2,
        )
        return __getattr__(new)
    raise AttributeError(f"module 'edgegraph' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
