"""``--store``: the run database that a command keeps its results in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edgegraph.store import Store

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="EDGEGRAPH_STORE",
        metavar="PATH",
        help="Keep the results in this run database, such as runs.db.",
    ),
]


@contextmanager
def open_if_given(path: Path | None) -> Iterator[Store | None]:
    """Open the run database before any work, so that it fails early; None where none is named."""
    if path is None:
        yield None
        return
    from edgegraph.store import open_store

    with open_store(path) as store:
        yield store


@contextmanager
def saving_to(path: Path | None) -> Iterator[Callable[[Any], None]]:
    """Provide a function that saves a result to the run database; without one, it does nothing."""
    with open_if_given(path) as store:

        def keep(result: Any) -> None:
            if store is not None:
                numbers = store.put(result)
                names = ", ".join(f"{path}#{number}" for number in numbers)
                typer.echo(f"edgegraph: kept as {names}", err=True)

        yield keep
