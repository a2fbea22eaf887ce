"""A study that nothing in the package knows of: its result, its presenter, its figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from edgegraph.reporting.figure import COLUMN_INCHES, column_axes
from edgegraph.reporting.presenters import Summary, study_presenter
from edgegraph.results.analysis import Environment
from edgegraph.results.base import Notes, Study


@dataclass(frozen=True, kw_only=True, repr=False)
class Toy(Study):
    """What a few dice showed."""

    workload: str
    environment: Environment
    eyes: tuple[int, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame({"eyes": self.eyes})

    @property
    def conclusions(self) -> tuple[str, ...]:
        return (f"{sum(self.eyes)} eyes in all",)

    def run_notes(self) -> Notes:
        return Notes(
            workload=self.workload,
            target="table",
            options={},
            environment=self.environment,
            metrics={"eyes": sum(self.eyes)},
        )


def draw(toy: Toy, ax: Any = None, *, width: float = COLUMN_INCHES) -> Any:
    ax = column_axes(2.0, left=0.3, width=width) if ax is None else ax
    ax.plot(toy.eyes)
    return ax


def _table(toy: Toy, wide: bool | None) -> Group:
    table = Table("throw", "eyes")
    for number, eyes in enumerate(toy.eyes):
        table.add_row(str(number), str(eyes))
    return Group(Text(toy.workload), table, *map(Text, toy.conclusions))


def _summary(toy: Toy) -> Summary:
    return Summary(
        name="dice",
        workloads=(toy.workload,),
        target=None,
        environment=toy.environment,
        headline=("The dice show ", str(sum(toy.eyes)), "."),
        found=f"{len(toy.eyes)} throws",
        lead=toy.conclusions,
        figure="Eyes by throw",
    )


PRESENTER = study_presenter(_table, _summary)
