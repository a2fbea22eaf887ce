"""EdgeGraph: where the time of a compiled JAX graph goes, and what would make it faster."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from edgegraph.doors.registry import register_door
from edgegraph.results.kinds import Kind, provide, register, register_study

if TYPE_CHECKING:
    from edgegraph import plot as plot
    from edgegraph.analysis.analyze import Measurement as Measurement
    from edgegraph.analysis.analyze import analyze as analyze
    from edgegraph.analysis.analyze import read_trace as read_trace
    from edgegraph.analysis.findings.registry import Evidence as Evidence
    from edgegraph.analysis.findings.registry import register_finding as register_finding
    from edgegraph.analysis.profile import Profile as Profile
    from edgegraph.analysis.profile import profile as profile
    from edgegraph.compare.diff import diff as diff
    from edgegraph.compare.result import Diff as Diff
    from edgegraph.compiler.compile import compile as compile
    from edgegraph.compiler.program import Program as Program
    from edgegraph.compiler.read import read_hlo as read_hlo
    from edgegraph.compiler.sharding import DeviceMesh as DeviceMesh
    from edgegraph.cost.cost import Cost as Cost
    from edgegraph.cost.custom_calls import CustomCall as CustomCall
    from edgegraph.cost.custom_calls import register_custom_call as register_custom_call
    from edgegraph.device.calibration.calibrate import calibrate as calibrate
    from edgegraph.device.catalogue import devices as devices
    from edgegraph.device.device import Device as Device
    from edgegraph.doors.registry import open as open
    from edgegraph.errors import EdgeGraphError as EdgeGraphError
    from edgegraph.gate.gate import GateResult as GateResult
    from edgegraph.gate.gate import check as check
    from edgegraph.measure.compare import compare_timings as compare_timings
    from edgegraph.measure.sampling import MeasurementSettings as MeasurementSettings
    from edgegraph.reporting.page import report as report
    from edgegraph.results.analysis import Analysis as Analysis
    from edgegraph.results.analysis import Finding as Finding
    from edgegraph.results.files import load as load
    from edgegraph.results.op_trace import OpTrace as OpTrace
    from edgegraph.results.timing import TimingComparison as TimingComparison
    from edgegraph.rewrites.decisions import rewrite as rewrite
    from edgegraph.rewrites.rule import register_rewrite as register_rewrite
    from edgegraph.store import Store as Store
    from edgegraph.store import open_store as open_store
    from edgegraph.studies.devices.result import DeviceComparison as DeviceComparison
    from edgegraph.studies.devices.run import compare_devices as compare_devices
    from edgegraph.studies.fit.batch import LargestBatch as LargestBatch
    from edgegraph.studies.fit.batch import largest_batch as largest_batch
    from edgegraph.studies.fit.result import Fit as Fit
    from edgegraph.studies.fit.run import fit as fit
    from edgegraph.studies.fusion.result import FusionStudy as FusionStudy
    from edgegraph.studies.fusion.run import fusion_study as fusion_study
    from edgegraph.studies.improve.result import Improvement as Improvement
    from edgegraph.studies.improve.run import improve as improve
    from edgegraph.studies.overlap.result import OverlapStudy as OverlapStudy
    from edgegraph.studies.overlap.run import overlap_study as overlap_study
    from edgegraph.studies.regress.environments import make_environment as make_environment
    from edgegraph.studies.regress.result import Regression as Regression
    from edgegraph.studies.regress.run import regress as regress
    from edgegraph.studies.scaling.result import Scaling as Scaling
    from edgegraph.studies.scaling.run import scaling_study as scaling_study
    from edgegraph.studies.serve.result import Serving as Serving
    from edgegraph.studies.serve.run import serve as serve
    from edgegraph.studies.sweep.result import Sweep as Sweep
    from edgegraph.studies.sweep.run import sweep as sweep
    from edgegraph.studies.sweep.run import sweep_all as sweep_all
    from edgegraph.workload import Workload as Workload

__version__ = "0.1.0"

_HOME = {
    "Analysis": "edgegraph.results.analysis",
    "Cost": "edgegraph.cost.cost",
    "CustomCall": "edgegraph.cost.custom_calls",
    "Device": "edgegraph.device.device",
    "DeviceComparison": "edgegraph.studies.devices.result",
    "DeviceMesh": "edgegraph.compiler.sharding",
    "Diff": "edgegraph.compare.result",
    "EdgeGraphError": "edgegraph.errors",
    "Evidence": "edgegraph.analysis.findings.registry",
    "Finding": "edgegraph.results.analysis",
    "Fit": "edgegraph.studies.fit.result",
    "FusionStudy": "edgegraph.studies.fusion.result",
    "GateResult": "edgegraph.gate.gate",
    "Improvement": "edgegraph.studies.improve.result",
    "LargestBatch": "edgegraph.studies.fit.batch",
    "Measurement": "edgegraph.analysis.analyze",
    "MeasurementSettings": "edgegraph.measure.sampling",
    "OpTrace": "edgegraph.results.op_trace",
    "OverlapStudy": "edgegraph.studies.overlap.result",
    "Profile": "edgegraph.analysis.profile",
    "Program": "edgegraph.compiler.program",
    "Regression": "edgegraph.studies.regress.result",
    "Scaling": "edgegraph.studies.scaling.result",
    "Serving": "edgegraph.studies.serve.result",
    "Store": "edgegraph.store",
    "Sweep": "edgegraph.studies.sweep.result",
    "TimingComparison": "edgegraph.results.timing",
    "Workload": "edgegraph.workload",
    "analyze": "edgegraph.analysis.analyze",
    "calibrate": "edgegraph.device.calibration.calibrate",
    "check": "edgegraph.gate.gate",
    "compare_devices": "edgegraph.studies.devices.run",
    "compare_timings": "edgegraph.measure.compare",
    "compile": "edgegraph.compiler.compile",
    "devices": "edgegraph.device.catalogue",
    "diff": "edgegraph.compare.diff",
    "fit": "edgegraph.studies.fit.run",
    "fusion_study": "edgegraph.studies.fusion.run",
    "improve": "edgegraph.studies.improve.run",
    "largest_batch": "edgegraph.studies.fit.batch",
    "load": "edgegraph.results.files",
    "make_environment": "edgegraph.studies.regress.environments",
    "open": "edgegraph.doors.registry",
    "open_store": "edgegraph.store",
    "overlap_study": "edgegraph.studies.overlap.run",
    "profile": "edgegraph.analysis.profile",
    "read_hlo": "edgegraph.compiler.read",
    "read_trace": "edgegraph.analysis.analyze",
    "register_custom_call": "edgegraph.cost.custom_calls",
    "register_finding": "edgegraph.analysis.findings.registry",
    "register_rewrite": "edgegraph.rewrites.rule",
    "regress": "edgegraph.studies.regress.run",
    "report": "edgegraph.reporting.page",
    "rewrite": "edgegraph.rewrites.decisions",
    "scaling_study": "edgegraph.studies.scaling.run",
    "serve": "edgegraph.studies.serve.run",
    "sweep": "edgegraph.studies.sweep.run",
    "sweep_all": "edgegraph.studies.sweep.run",
}

register(
    Kind(
        word="analysis",
        home="edgegraph.results.analysis:Analysis",
        presenter="edgegraph.reporting.analysis_page:PRESENTER",
        figures={
            "roofline": "edgegraph.reporting.plots:roofline",
            "layers": "edgegraph.reporting.plots:layer_times",
            "memory": "edgegraph.reporting.plots:memory",
            "graph": "edgegraph.reporting.graph_plot:layer_graph",
        },
        exports="edgegraph.reporting.exports:export",
    )
)
register_study("sweep", word="sweep", result="Sweep")
register_study("serve", word="serving study", result="Serving")
register_study("fusion", word="fusion study", result="FusionStudy")
register_study("improve", word="improvement", result="Improvement", more=["roofline"])
register_study("overlap", word="overlap study", result="OverlapStudy")
register_study(
    "devices", word="device comparison", result="DeviceComparison", command="compare-devices"
)
register_study("scaling", word="scaling study", result="Scaling")
register_study("fit", word="fit", result="Fit")
register_study("regress", word="regression study", result="Regression")
register(
    Kind(
        word="diff",
        home="edgegraph.compare.result:Diff",
        presenter="edgegraph.compare.present:PRESENTER",
        command="diff",
    )
)
register(Kind(word="op trace", home="edgegraph.results.op_trace:OpTrace"))
register(Kind(word="comparison of timings", home="edgegraph.results.timing:TimingComparison"))
provide(
    document="edgegraph.results.document:document",
    page="edgegraph.reporting.page:report",
    load_address="edgegraph.store:load_address",
    diff_page="edgegraph.compare.present:write_diff_page",
    history_figure="edgegraph.store.present:draw_history",
)

# In the order in which they are tried.
register_door(
    "a saved result", "edgegraph.doors.saved:is_saved", "edgegraph.doors.saved:open_saved",
    saved=True,
)  # fmt: skip
register_door(
    "a profile", "edgegraph.doors.profile:is_profile", "edgegraph.doors.profile:open_profile",
    choices=("module",),
)  # fmt: skip
register_door(
    "HLO", "edgegraph.doors.hlo:is_hlo", "edgegraph.doors.hlo:open_hlo", choices=("module",)
)
register_door(
    "an XLA dump folder", "edgegraph.doors.hlo:is_dump", "edgegraph.doors.hlo:open_dump",
    choices=("module",),
)  # fmt: skip
register_door(
    "StableHLO", "edgegraph.doors.exported:is_stablehlo", "edgegraph.doors.exported:open_stablehlo",
    compiled=True,
)  # fmt: skip
register_door(
    "a file of jax.export", "edgegraph.doors.exported:is_exported",
    "edgegraph.doors.exported:open_exported", compiled=True,
)  # fmt: skip
register_door(
    "Python code", "edgegraph.doors.code:is_code", "edgegraph.doors.code:open_code",
    choices=("input_shape", "dtype", "arguments", "method", "args", "kwargs"), compiled=True,
)  # fmt: skip
register_door(
    "a Python object", "edgegraph.doors.code:is_object", "edgegraph.doors.code:open_object",
    choices=("args", "kwargs"), compiled=True,
)  # fmt: skip

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
