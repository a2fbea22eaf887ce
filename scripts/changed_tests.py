"""Print the tests that belong to what differs from another commit, for `scripts/test --changed`.

Of a test file itself; of a module of the package the file of tests that mirrors it, or its room's
where there is none, and every test file that imports it. The architecture is always tested.

    python scripts/changed_tests.py main
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALWAYS = "tests/test_architecture.py"


def changed(since: str) -> list[str]:
    """Return the files that differ from a commit, with those that git does not know yet."""
    found: list[str] = []
    for command in (["diff", "--name-only", since], ["ls-files", "--others", "--exclude-standard"]):
        ran = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True)
        if ran.returncode:
            sys.exit(ran.stderr.strip())
        found += ran.stdout.split("\n")
    return sorted({name for name in found if name.endswith(".py") and (ROOT / name).exists()})


def tests_of(names: Iterable[str]) -> Iterator[str]:
    """Yield the test files that belong to some files; some may come twice."""
    every = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("tests/**/test_*.py")}
    texts = {name: path.read_text("utf-8") for name, path in every.items()}
    for name in names:
        path = Path(name)
        if name in every:
            yield name
        if path.parts[0] == "edgegraph":
            mirror = Path("tests", *path.parts[1:-1], f"test_{path.name}").as_posix()
            room = f"{Path('tests', *path.parts[1:-1]).as_posix()}/"
            yield from [mirror] if mirror in every else (each for each in every if room in each)
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        yield from (each for each, text in texts.items() if module in text)


def main() -> None:
    names = changed(sys.argv[1] if len(sys.argv) > 1 else "main")
    print("\n".join(sorted({ALWAYS, *tests_of(names)})))


if __name__ == "__main__":
    main()
