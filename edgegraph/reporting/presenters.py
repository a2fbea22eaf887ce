"""Sweeps and studies at the terminal, whichever it is."""

from __future__ import annotations

from rich.console import Group

from edgegraph.errors import InputError
from edgegraph.results.files import kind_of
from edgegraph.studies.devices.present import comparison_table
from edgegraph.studies.devices.result import DeviceComparison
from edgegraph.studies.fusion.present import fusion_tables
from edgegraph.studies.fusion.result import FusionStudy
from edgegraph.studies.overlap.present import overlap_table
from edgegraph.studies.overlap.result import OverlapStudy
from edgegraph.studies.scaling.present import scaling_table
from edgegraph.studies.scaling.result import Scaling
from edgegraph.studies.sweep.present import sweep_table
from edgegraph.studies.sweep.result import Sweep

Study = Sweep | FusionStudy | OverlapStudy | DeviceComparison | Scaling
"""What is made of several programs or measurements, and has a table and a section of its own."""


def check_study(result: object) -> Study:
    """Return a study back.

    Raises:
        InputError: It is a saved result of another kind.
    """
    if isinstance(result, Study):
        return result
    raise InputError(
        f"cannot show a saved {kind_of(result)} by itself; expected an analysis, a"
        " sweep, a fusion, overlap or scaling study, or a device comparison"
    )


def study_table(study: Study, *, wide: bool | None = None) -> Group:
    """Show a study by the tables of its kind.

    Args:
        study: Any.
        wide: Whether there is room for long names and for every column; None lets the
            terminal's width say, where a table is drawn on one.

    Returns:
        Lines and tables; readable at 80 columns unless `wide`.
    """
    match study:
        case Sweep():
            return sweep_table(study, wide=wide)
        case FusionStudy():
            return fusion_tables(study, wide=bool(wide))
        case OverlapStudy():
            return overlap_table(study, wide=bool(wide))
        case DeviceComparison():
            return comparison_table(study)
        case Scaling():
            return scaling_table(study, wide=wide)
