"""Analyse every HLO module that stands in the tests of a checkout, such as one of openxla/xla.

Modules are carved out of string literals in C++ and Python and out of `.hlo` files, each once. Each
is opened and analysed in this process, after XLA has read it in a child: what comes out must be an
analysis, or an EdgeGraphError of one line. Anything else is printed, and the exit code is 1. Run
it from EdgeGraph's checkout; a bare git directory serves as well as a folder:

    $ python -m scripts.bench.public_corpus ../xla --most 4000
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import edgegraph as eg

SUFFIXES = (".cc", ".hlo", ".py", ".mlir")
LITERAL = re.compile(r'R"(\w*)\((.*?)\)\1"|"""(.*?)"""', re.DOTALL)
START = re.compile(r"^\s*HloModule\s", re.MULTILINE)
PLACEHOLDER = re.compile(r"\$\d|%s|%d|\{\d\}")
SLOW_S = 30.0


def files(checkout: Path, branch: str) -> Iterator[str]:
    """Yield the text of every file that may hold modules, of a folder or of a git directory."""
    if not (checkout / "HEAD").exists():
        for path in sorted(checkout.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path.read_text("utf-8", "replace")
        return
    git = ["git", "-C", str(checkout)]
    found = subprocess.run(
        [*git, "grep", "-l", "HloModule", branch, "--", *(f"*{each}" for each in SUFFIXES)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in found.stdout.splitlines():
        shown = subprocess.run([*git, "show", name], capture_output=True, check=True)
        yield shown.stdout.decode("utf-8", "replace")


def modules(text: str) -> Iterator[str]:
    """Yield the modules in one file: in its literals, or the file itself."""
    if START.match(text):
        yield text
        return
    for literal in LITERAL.finditer(text):
        found = textwrap.dedent(literal[2] or literal[3] or "").strip()
        if START.match(found) and not PLACEHOLDER.search(found):
            yield found


def outcome(text: str) -> str:
    """Analyse one module, and say how that ended: ``analysed``, ``refused: ...`` or ``FAILED``."""
    start = time.monotonic()
    try:
        analysis = eg.analyze(text)
        assert analysis.totals.flops >= 0
        ended = "analysed"
    except eg.EdgeGraphError as error:
        message = str(error)
        ended = "refused" if "\n" not in message else f"FAILED: {message!r}"
    except Exception as error:  # what the script looks for
        ended = f"FAILED: {type(error).__name__}: {error}"
    took_s = time.monotonic() - start
    return ended if took_s < SLOW_S else f"FAILED: took {took_s:.0f} s ({ended})"


def main() -> int:
    """Carve, analyse, and print how many came to what end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--branch", default="HEAD", help="of a git directory")
    parser.add_argument("--most", type=int, default=4000, metavar="N")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the modules")
    asked = parser.parse_args()
    every = dict.fromkeys(
        module for text in files(asked.checkout, asked.branch) for module in modules(text)
    )
    chosen = list(every)[:: asked.every][: asked.most]
    print(f"{len(every)} modules found, {len(chosen)} chosen", file=sys.stderr)
    ends: Counter[str] = Counter()
    for text in chosen:
        ended = outcome(text)
        ends[ended.partition(":")[0]] += 1
        if ended.startswith("FAILED"):
            print(f"{ended}\n{textwrap.indent(text[:400], '    ')}")
    print(", ".join(f"{count} {end}" for end, count in ends.most_common()))
    return 1 if ends["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
