"""How one kind of result is shown: every kind brings a presenter of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.console import RenderableType

Result = TypeVar("Result")

Section = Mapping[str, Any]
"""What a template shows; ``id``, ``number``, ``template`` and ``scene`` are in every one."""

Tab = dict[str, str | None]
"""What chooses a section: its ``id``, ``name``, ``summary`` and ``bound``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter(Generic[Result]):
    """The functions that show results of one kind.

    Attributes:
        table: At the terminal; the second argument says whether there is room for long names and
            every column, None lets the terminal's width say.
        section: On a page, at the place that the second argument counts.
        tab: What chooses that section; the third argument says whether the page shows several
            workloads, so that they have to be named.
        workloads: Names of what the result is about.
        headline: In one line.
        notebook: As HTML in a notebook.
        markdown: For a pull request.
    """

    table: Callable[[Result, bool | None], RenderableType]
    section: Callable[[Result, int], Section]
    tab: Callable[[Result, int, bool], Tab]
    workloads: Callable[[Result], tuple[str, ...]]
    headline: Callable[[Result], str] = repr
    notebook: Callable[[Result], str] = repr
    markdown: Callable[[Result], str] = repr
