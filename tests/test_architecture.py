"""The house as it was drawn: imports run one way, and private jax names stand in one file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "edgegraph"
LONGEST_MODULE_LINES = 400
LONGEST_FUNCTION_LINES = 40

FOUNDATION = {"base", "errors"}
"""What knows nothing of models or compilers; every part may import it."""

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "base": {"errors"},
    "xla": set(),
    "hlo": {"xla"},
    "device": {"hlo", "xla"},
    "results": {"hlo", "device"},
    "workload": {"hlo"},
    "compiler": {"xla", "hlo", "device", "results", "workload"},
    "doors": {"hlo", "results", "workload", "compiler", "measure"},
    "cost": {"xla", "hlo"},
    "rewrites": {"device", "workload"},
    "memory": {"hlo"},
    "measure": {"xla", "hlo", "device", "results", "workload", "compiler", "cost"},
    "analysis": {
        "hlo", "device", "results", "workload", "compiler", "doors", "cost", "memory", "measure",
        "rewrites",
    },
    "reporting": {"hlo", "device", "results"},
    "compare": {"hlo", "results", "reporting"},
    "gate": {"hlo", "results", "compare", "reporting"},
    "store": {"device", "results", "reporting"},
    "studies": {
        "hlo", "device", "results", "workload", "compiler", "cost", "measure", "analysis",
        "doors", "reporting", "compare", "store", "rewrites", "gate",
    },
    "plot": {"results", "reporting", "studies"},
    "pytest_plugin": {"results", "gate", "analysis"},
    "cli": {
        "xla", "hlo", "device", "results", "workload", "compiler", "doors", "measure", "analysis",
        "reporting", "plot", "store", "studies", "compare", "gate",
    },
}  # fmt: skip
"""Which parts of the package a part may import besides itself; arrows run downwards only."""

ROOTS = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}
"""What puts the parts together; nothing imports them but for the version."""


@dataclass(frozen=True)
class Import:
    file: str
    line: int
    module: str
    name: str | None

    @property
    def part(self) -> str:
        """The part of EdgeGraph that is imported; "" for the package's own public names."""
        names = self.module.split(".")[1:] + ([self.name] if self.name else [])
        return names[0] if names and names[0] in MAY_IMPORT else ""


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[Import]:
    """Yield every import that runs, those inside functions too, but not those for type checkers."""
    file = path.relative_to(ROOT).as_posix()
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                waiting.extend(node.orelse)
                continue
            case ast.Import():
                for alias in node.names:
                    yield Import(file, node.lineno, alias.name, None)
            case ast.ImportFrom():
                assert node.level == 0, f"{file}:{node.lineno}: write imports in full"
                for alias in node.names:
                    yield Import(file, node.lineno, node.module or "", alias.name)
            case ast.Call(
                func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]
            ):
                yield Import(file, node.lineno, name, None)
        waiting.extend(ast.iter_child_nodes(node))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def own(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def allowed(part: str) -> set[str]:
    may = MAY_IMPORT.get(part, set())
    return may | {part, ""} | (set() if part in FOUNDATION else FOUNDATION)


def test_the_arrows_have_no_cycle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()


def test_every_part_has_its_arrows() -> None:
    parts = {own(path) for path in python_files("edgegraph")} - {"__init__", "__main__"}
    assert parts <= set(MAY_IMPORT)


def test_imports_run_along_the_arrows() -> None:
    against = [
        f"{found.file}:{found.line}: {own(path)} imports {found.part}"
        for path in python_files("edgegraph")
        if path not in ROOTS
        for found in imports(path)
        if found.module.split(".")[0] == "edgegraph" and found.part not in allowed(own(path))
    ]
    assert not against


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Late imports count, too; those for type checkers do not."""
    modules = {module_name(path): path for path in python_files("edgegraph")}
    graph = {
        name: {
            full if (full := f"{found.module}.{found.name}") in modules else found.module
            for found in imports(path)
        }
        & set(modules) - {name}
        for name, path in modules.items()
    }
    TopologicalSorter(graph).prepare()


def test_the_package_does_not_import_its_own_public_face() -> None:
    """The face is lazy and imports everything, so an arrow to it would be an arrow to all."""
    through_the_face = [
        f"{found.file}:{found.line}: import {found.name or found.module}"
        for path in python_files("edgegraph")
        for found in imports(path)
        if found.module == "edgegraph" and not found.part and found.name != "__version__"
    ]
    assert not through_the_face


def test_private_jax_names_stand_in_one_file() -> None:
    private = ("jax._src", "jax.interpreters", "jaxlib")
    elsewhere = [
        f"{found.file}:{found.line}: {found.module}"
        for path in python_files("edgegraph", "models", "scripts")
        for found in imports(path)
        if path != PACKAGE / "xla.py"
        and any(
            f"{full}.".startswith(f"{name}.")
            for name in private
            for full in (found.module, f"{found.module}.{found.name}")
        )
    ]
    assert not elsewhere


def test_one_file_draws_with_matplotlib() -> None:
    elsewhere = [
        f"{found.file}:{found.line}: {found.module}"
        for path in python_files("edgegraph")
        for found in imports(path)
        if found.module.split(".")[0] == "matplotlib" and path != PACKAGE / "reporting/figure.py"
    ]
    assert not elsewhere


def test_models_and_scripts_use_public_names_only() -> None:
    inside = [
        f"{found.file}:{found.line}: {found.module}"
        for path in python_files("models", "scripts")
        if (ROOT / "scripts" / "bench") not in path.parents  # these time single stages
        for found in imports(path)
        if found.module.split(".")[0] == "edgegraph" and (found.module != "edgegraph" or found.part)
    ]
    assert not inside


@pytest.mark.parametrize("part", ["hlo", "results", "reporting", "store", "compare", "gate"])
def test_what_only_shows_imports_no_jax(part: str) -> None:
    modules = [module_name(path) for path in python_files(f"edgegraph/{part}")]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "found = {'jax', 'jaxlib', 'flax'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(found)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_modules_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in python_files("edgegraph", "models", "scripts", "tests")
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_MODULE_LINES
    ]
    assert not long


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    match function.body[0]:
        case ast.Expr(value=ast.Constant(value=str())) as docstring:
            assert docstring.end_lineno is not None
            told = docstring.end_lineno - docstring.lineno + 1
        case _:
            told = 0
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - told


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {lines} lines"
        for path in python_files("edgegraph", "models", "scripts")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := code_lines(node)) > LONGEST_FUNCTION_LINES
    ]
    assert not long


def test_every_room_is_on_the_map() -> None:
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if (path / "__init__.py").exists() or path.suffix == ".py"
    } - {"__init__.py", "__main__.py"}
    listed = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("## The rooms")[1]
    missing = {room for room in rooms if f"\n| `{room}` |" not in listed}
    assert not missing


def test_what_the_map_names_is_there() -> None:
    named = re.findall(
        r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?)", (ROOT / "ARCHITECTURE.md").read_text()
    )
    missing = [
        name for name in named if not any((base / name).exists() for base in (PACKAGE, ROOT))
    ]
    assert not missing


def test_every_module_has_a_test_of_its_name() -> None:
    modules = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name[:2] != "__")
    missing = [
        str(module)
        for module in modules
        if not (ROOT / "tests" / module.with_name(f"test_{module.name}")).exists()
    ]
    assert not missing
