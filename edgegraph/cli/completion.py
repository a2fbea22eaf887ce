"""What a shell offers where a SPEC is typed."""

from __future__ import annotations

import ast
from pathlib import Path

FILE_SUFFIXES = (".edgegraph", ".txt", ".hlo", ".pb")


def complete_spec(incomplete: str) -> list[str]:
    """Offer the networks of ``models/`` in this folder, and files that can be analysed."""
    here = Path()
    specs = [
        f"models.{path.stem}:{name}"
        for path in sorted(here.glob("models/*.py"))
        for name in _networks(path)
    ]
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    files = [
        str(path) + ("/" if path.is_dir() else "")
        for path in sorted(folder.glob("*"))
        if path.is_dir() or path.suffix in FILE_SUFFIXES
    ]
    return [text for text in specs + files if text.startswith(incomplete)]


def _networks(path: Path) -> list[str]:
    """Name the public functions of a source file that are annotated to return a Workload."""
    return [
        node.name
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.returns is not None
        and ast.unparse(node.returns).rpartition(".")[2] == "Workload"
    ]
