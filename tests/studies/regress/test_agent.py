"""The script stands alone: it imports nothing but Python's own library before it is asked to."""

from __future__ import annotations

import ast
import sys

from edgegraph.studies.regress.workers import SCRIPT


def test_the_script_needs_only_python_before_it_is_asked() -> None:
    tree = ast.parse(SCRIPT.read_text("utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | {"__future__"}
