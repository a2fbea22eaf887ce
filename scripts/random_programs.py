"""Take random programs the whole way: rewritten, analysed, saved, compared, shown on a page.

Each program gets one of the rules that apply, exact and reassociating ones, at every site, and is
held against the plain one. Its analysis comes back from its file as it was, does not differ from
itself, and has a page. CI does this for some tens of programs; what CI does not reach is run from
here, by hand:

    python -m scripts.random_programs --programs 500
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import given

import edgegraph as eg
from tests.random_programs.strategies import RandomProgram, programs
from tests.random_programs.test_properties import analysed
from tests.rewrites.test_all_rules import check, decisions, examples, patched_sites


def show(program: RandomProgram) -> None:
    """Analyse a program, and do with the analysis all that is done with one."""
    analysis = analysed(program, "optimized")
    with tempfile.TemporaryDirectory() as folder:
        saved = eg.load(analysis.save(Path(folder, "random.edgegraph")))
        assert saved == analysis
        assert eg.diff(saved, analysis).empty
        assert eg.report([saved], Path(folder, "random.html")).stat().st_size


def main() -> int:
    """Run them all and say which rules were tried; hypothesis raises at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=3600.0, help="after which to stop")
    options = parser.parse_args()
    tried: Counter[str] = Counter()
    start, count = time.monotonic(), 0

    @examples(options.programs)
    @given(program=programs(depth=3))
    def held(program: RandomProgram) -> None:
        nonlocal count
        if time.monotonic() - start > options.seconds:
            return
        exact = program.dtype != "float32"
        check(program, {"exact"} if exact else {"exact", "reassociating"}, 0.0 if exact else 1e-4)
        show(program)
        count += 1
        tried.update(decisions(program, {"exact", "reassociating"}).values())
        if count % 20 == 0:
            print(f"{count} programs, {time.monotonic() - start:.0f} s", flush=True)

    with patched_sites():
        held()
    print(f"{count} programs of {options.programs} agree; rules on sites: {dict(tried)}")
    return 0 if count == options.programs else 1


if __name__ == "__main__":
    raise SystemExit(main())
