"""The README's examples run as they stand, and its commands have the options they show."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from edgegraph.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [
        line.removeprefix("$ ")
        for page in PAGES
        for block in blocks(page, "console") + blocks(page, "sh")
        for line in block.splitlines()
        if line.removeprefix("$ ").startswith("edgegraph ")
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "pycon")], ids=lambda p: p.name)
def test_python_examples_print_what_they_show(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    text = "\n".join(blocks(page, "pycon"))
    example = doctest.DocTestParser().get_doctest(text, {}, page.name, None, None)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    told: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(example, out=told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    group.commands[name].make_context(name, arguments).close()


def test_scripts_that_are_shown_exist() -> None:
    shown = {
        match
        for page in PAGES
        for match in re.findall(
            r"(?<![\w/])(?:scripts|docs|models|edgegraph)/[\w./-]+", page.read_text()
        )
    }
    assert shown
    missing = [name for name in shown if not (ROOT / name.rstrip("./")).exists()]
    assert not missing
