"""Take random programs the whole way: rewritten, analysed, saved, compared, shown on a page.

Each program gets one of the rules that apply, exact and reassociating ones, at every site, and is
held against the plain one. Its analysis comes back from its file as it was, does not differ from
itself, and has a page. CI does this for some tens of programs; what CI does not reach is run from
here, by hand:

    python -m scripts.random_programs --programs 500
    python -m scripts.random_programs --programs 500 --seed 7 --folder /var/tmp/programs

With a folder it goes on where it was interrupted. A program that was drawn before counts once.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

from hypothesis import given, seed, settings

import edgegraph as eg
from tests.random_programs.strategies import RandomProgram, programs
from tests.random_programs.test_properties import analysed
from tests.rewrites.test_all_rules import check, decisions, examples, patched_sites

BATCH = 20
"""Programs that are drawn with one seed, and lost where they are interrupted."""


class Kept:
    """What was done so far, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "programs.json"
        self.batches = 0
        self.programs: set[str] = set()
        self.tried: Counter[str] = Counter()
        if self._path.exists():
            state = json.loads(self._path.read_text())
            self.batches, self.programs = state["batches"], set(state["programs"])
            self.tried.update(state["tried"])

    def save(self) -> None:
        """Write it down, with one more batch."""
        self.batches += 1
        state = {
            "batches": self.batches, "programs": sorted(self.programs), "tried": dict(self.tried),
        }  # fmt: skip
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(state))
        written.replace(self._path)


def show(program: RandomProgram) -> None:
    """Analyse a program, and do with the analysis all that is done with one."""
    analysis = analysed(program, "optimized")
    with tempfile.TemporaryDirectory() as folder:
        saved = eg.load(analysis.save(Path(folder, "random.edgegraph")))
        assert saved == analysis
        assert eg.diff(saved, analysis).empty
        assert eg.report([saved], Path(folder, "random.html")).stat().st_size


def run_batch(kept: Kept, drawn_with: int, count: int) -> None:
    """Run programs that were not run before; hypothesis raises at the first difference."""

    @seed(f"{drawn_with}:{kept.batches}")
    @settings(examples(count), derandomize=False)
    @given(program=programs(depth=3))
    def held(program: RandomProgram) -> None:
        digest = sha256(repr(program).encode()).hexdigest()
        if digest in kept.programs:
            return
        exact = program.dtype != "float32"
        check(program, {"exact"} if exact else {"exact", "reassociating"}, 0.0 if exact else 1e-4)
        show(program)
        kept.programs.add(digest)
        kept.tried.update(decisions(program, {"exact", "reassociating"}).values())

    with patched_sites():
        held()
    kept.save()


def main() -> int:
    """Run them all and say which rules were tried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=3600.0, help="after which to stop")
    parser.add_argument("--seed", type=int, default=0, help="which ones (0)")
    parser.add_argument("--folder", type=Path, help="what was done is kept here, to go on later")
    options = parser.parse_args()
    kept = Kept(options.folder or Path(tempfile.mkdtemp(prefix="edgegraph-programs-")))
    start = time.monotonic()
    while (left := options.programs - len(kept.programs)) > 0:
        if time.monotonic() - start > options.seconds:
            break
        run_batch(kept, options.seed, min(BATCH, left))
        print(f"{len(kept.programs)} programs, {time.monotonic() - start:.0f} s", flush=True)
    count = len(kept.programs)
    print(f"{count} programs of {options.programs} agree; rules on sites: {dict(kept.tried)}")
    return 0 if count >= options.programs else 1


if __name__ == "__main__":
    raise SystemExit(main())
