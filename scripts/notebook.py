"""Run a notebook from top to bottom, and keep what it shows in it.

python scripts/notebook.py docs/from_model_to_figure.ipynb
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

LIMIT_S = 120
"""For one cell."""


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with what its cells show, run in a folder of its own.

    A cell that fails raises nbclient's CellExecutionError, which quotes it.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=LIMIT_S, resources=resources)
        client.execute()
    return notebook


def main() -> None:
    """Run each notebook that is named, in its place."""
    for path in map(Path, sys.argv[1:]):
        notebook = executed(path)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when it ran
            # What libraries tell stderr is of this machine.
            told = [each for each in cell.get("outputs", ()) if each.get("name") == "stderr"]
            for each in told:
                cell.outputs.remove(each)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
