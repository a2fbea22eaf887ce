"""Keep the whole output of EdgeGraph, and hold it against what the code gives later.

Nothing but the public names, the command line and the corpus is used, so that the code may be
rebuilt inside. What was saved before is shown again, and must not change, but for what is listed
in `scripts/whole_output_meant.toml`.

    python -m scripts.whole_output keep FOLDER            with the code as it should stay
    python -m scripts.whole_output check FOLDER           with the code now; --quick takes a sample
    python -m scripts.whole_output check FOLDER --only 'saved/*' --output out/now
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib
import io
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from scripts.whole_output_cases import MEASURED, REPOSITORY, TRAINED, UNMEASURED, Case, cases
from scripts.whole_output_form import readable
from scripts.whole_output_pieces import changes

MEANT = Path(__file__).with_name("whole_output_meant.toml")
MOST_CHARACTERS = 200
"""Of a change, shown."""


@cache
def command_line() -> Callable[[Sequence[str]], int | str]:
    """Return what the command ``edgegraph`` calls."""
    (entry_point,) = entry_points(group="console_scripts", name="edgegraph")
    found: Callable[[Sequence[str]], int | str] = entry_point.load()
    return found


def printed(command: str, columns: int) -> str:
    """Return all that a command prints, and its exit code where that is not 0."""
    os.environ["COLUMNS"] = str(columns)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command_line()(shlex.split(command))
        except Exception:  # a crash is output too, and the rest goes on
            code = traceback.format_exc(limit=0)
    # Where all went well, what else stands there is progress, which slow work alone prints.
    lines = [line for line in err.getvalue().splitlines() if code or "arning: " in line]
    said = "\n".join(["", "--- on stderr", *lines, ""]) if lines else ""
    return out.getvalue() + said + (f"\n--- exit code {code}\n" if code else "")


def through_names(path: Path) -> str:
    """Return what the public properties of a saved result hold, frames as CSV."""
    import pandas as pd

    import edgegraph as eg

    found = eg.load(path)
    again = found.save(path.with_name("again.edgegraph"))
    same = again.read_bytes() == path.read_bytes()
    again.unlink()
    parts = [repr(found), str(found)[:2000], f"saved again it is the same: {same}"]
    parts.append(getattr(found, "_repr_html_", str)())
    for name in sorted(name for name in dir(type(found)) if not name.startswith("_")):
        value = getattr(found, name)
        if isinstance(value, pd.DataFrame):
            parts.append(f"{name}:\n{value.dtypes.to_string()}\n{value.to_csv()}")
        elif isinstance(value, bool | int | float | str | None):
            parts.append(f"{name} = {value!r}")
    return "\n".join(parts)


def show_case(case: Case, target: Path, since: str) -> str:
    """Write the whole output of a case to a folder of its own; return its name and its time."""
    began, worked, here = time.monotonic(), time.process_time(), Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        for link, path in case.files:
            (work / link).symlink_to(path)
        os.chdir(work)
        try:
            output = dict(run_case(case))
        finally:
            os.chdir(here)
        made = [path for path in work.rglob("*") if path.is_file() and not path.is_symlink()]
        output |= {path.relative_to(work).as_posix(): path.read_bytes() for path in made}
    for file, content in output.items():
        path = target / case.name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(readable(file, content, case, {str(work): "WORK"}, since))
    worked = time.process_time() - worked
    return f"{time.monotonic() - began:6.1f} s ({worked:5.1f} s of work)  {case.name}"


def run_case(case: Case) -> Iterator[tuple[str, bytes]]:
    """Give what the commands of a case print, tables in two widths, by the name of its file."""
    for label, command in case.runs:
        yield f"{label}.out", printed(command, 160).encode()
        if label not in ("analysis", "ops") and "--json" not in command and " -o " not in command:
            yield f"{label}.80.out", printed(command, 80).encode()
    if case.shown is not None:
        yield "names.txt", through_names(Path(case.shown)).encode()
    if case.name == "trace":
        import edgegraph as eg

        trace = eg.read_trace("it.xplane.pb", eg.read_hlo("it.pb"))
        yield "trace.csv", trace.frame.to_csv().encode()
        yield "grouped.csv", trace.grouped().to_csv().encode()


def start_worker(cache: Path) -> None:
    """Prepare a process that runs commands: with this calibration, and no other settings."""
    for name in ("EDGEGRAPH_STORE", "TERMINAL_WIDTH", "FORCE_COLOR", "GITHUB_ACTIONS"):
        os.environ.pop(name, None)
    os.environ |= {
        "JAX_PLATFORMS": "cpu", "EDGEGRAPH_CACHE_DIR": str(cache),
        "NO_COLOR": "1", "TERM": "dumb", "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    sys.path.insert(0, str(REPOSITORY))
    importlib.import_module("models")  # of this repository, whatever folder a command runs in


def show_all(chosen: Sequence[Case], folder: Path, target: Path, verbose: bool = True) -> None:
    """Write the whole output of all cases, two at a time."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as cache:
        shutil.copytree(folder / "inputs" / "cache", cache, dirs_exist_ok=True)
        with ProcessPoolExecutor(2, context, start_worker, (Path(cache),)) as pool:
            show = partial(show_case, target=target, since=since)
            for said in pool.map(show, chosen):
                if verbose:
                    print(said, flush=True)


def keep(folder: Path, calibration: Path | None) -> None:
    """Make the inputs that are not there yet, and write the whole output of the code now."""
    inputs = folder / "inputs"
    for name in ("cache", "saved", "zoo", "damaged"):
        (inputs / name).mkdir(parents=True, exist_ok=True)
    start_worker(inputs / "cache")
    if calibration is not None:
        shutil.copy(calibration, inputs / "cache" / "calibration.json")
    call("calibrate", inputs)
    for name, command in (MEASURED | UNMEASURED).items():
        make = f"{command} -o {name}.edgegraph" + (" --quick" if name in MEASURED else "")
        if not (inputs / "saved" / f"{name}.edgegraph").exists():
            call(make, inputs / "saved")
    keep_more(inputs)
    keep_zoo(inputs)
    shutil.rmtree(folder / "expected", ignore_errors=True)
    show_all([case for case, _ in cases(folder)], folder, folder / "expected")


def call(command: str, folder: Path) -> None:
    """Run a command in a process of its own, in a folder."""
    program = Path(sys.executable).with_name("edgegraph")
    print(f"edgegraph {command}", flush=True)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [program, *shlex.split(command)], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        print(f"exit code {done.returncode}: edgegraph {command}", flush=True)


def keep_zoo(inputs: Path) -> None:
    """Write the compiled module of every network of the zoo, and of some of their train steps."""
    from models import catalogue

    specs = [network["name"] for network in catalogue()]
    specs += [f"models.{name}_train" for name in TRAINED]

    def keep_one(spec: str) -> None:
        name = spec.removeprefix("models.").replace(":", ".")
        module, saved = inputs / "zoo" / f"{name}.pb", inputs / f"{name}.edgegraph"
        if not module.exists():
            call(f"analyze {spec} --no-measure -o {saved}", inputs)
            module.write_bytes(module_of(saved))
            saved.unlink()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(keep_one, specs))


def module_of(saved: Path) -> bytes:
    """Return the HLO module in a saved analysis, made by code that stands nowhere.

    Which sources are EdgeGraph's own, and so not shown, is told by the folder that it stands in.
    """
    with zipfile.ZipFile(saved) as archive:
        return archive.read("module.hlo.pb").replace(b"/edgegraph/", b"/edgegrap_/")


def keep_more(inputs: Path) -> None:
    """Save what no command makes, what the tests make by hand, and damaged files."""
    import edgegraph as eg
    from models.cnn import small_cnn
    from models.mlp import mlp

    saved, damaged = inputs / "saved", inputs / "damaged"
    (inputs / "cnn_b1.pb").write_bytes(module_of(saved / "cnn_b1.edgegraph"))
    content = (saved / "cnn_b1.edgegraph").read_bytes()
    (damaged / "cut.edgegraph").write_bytes(content[:2000])
    (damaged / "bent.edgegraph").write_bytes(content.replace(b"result.json", b"result.text"))
    (damaged / "notes.txt").write_text("no HLO\n")
    if (saved / "by_hand_timing.edgegraph").exists():
        return
    loaded = {name: eg.load(saved / f"{name}.edgegraph") for name in ("cnn_b1", "cnn_b8")}
    eg.diff(loaded["cnn_b1"], loaded["cnn_b8"]).save(saved / "diff.edgegraph")
    loaded["cnn_b1"].op_trace.save(saved / "op_trace.edgegraph")
    timings = eg.compare_timings(small_cnn(), mlp(), batch=1, processes=3)
    timings.save(saved / "timings.edgegraph")
    for name, result in by_hand().items():
        result.save(saved / f"by_hand_{name}.edgegraph")


def by_hand() -> dict[str, Any]:
    """Return the results that the tests make by hand; only `keep` needs them."""
    from tests import analyses
    from tests.studies import (
        device_comparisons,
        fusion_studies,
        overlap_studies,
        scalings,
        sweeps,
    )

    made = {
        name: getattr(analyses, name)()
        for name in ("under_conditions", "gradient", "without_device", "hostile", "memory_bound",
                     "unpriced", "small_cnn")
    }  # fmt: skip
    return made | {
        "measured": analyses.measured(analyses.gradient()),
        "devices": device_comparisons.three(),
        "fusion": fusion_studies.study(),
        "fusion_slower": fusion_studies.study(full_s=9e-3, recomputed=10**7),
        "fusion_unmeasured": fusion_studies.unmeasured(),
        "overlap": overlap_studies.made(),
        "scaling": scalings.MADE,
        "sweep": sweeps.saturating(),
        "timing": fusion_studies.comparison("one", "other", 2e-3, 1e-3),
    }


def compare(before: Path, after: Path, names: Sequence[str], meant: Path) -> int:
    """Print what differs in the folders of cases and was not meant; return the count of files."""
    listed = [Meant(**entry) for entry in tomllib.loads(meant.read_text("utf-8"))["meant"]]
    counts, used = Counter[str](), Counter[str]()
    unmeant: dict[str, list[tuple[str, str]]] = {}
    for path in sorted({*files_of(before, names), *files_of(after, names)}):
        found = changes(path, before / path, after / path)
        fitting = [each for each in listed if each.concerns(path)]
        left = [change for change in found if not explained(change, fitting, used)]
        counts["unmeant" if left else "meant" if found else "equal"] += 1
        for change in left:
            unmeant.setdefault(change.partition("=")[0], []).append((change, path))
    for group in sorted(unmeant.values(), key=len, reverse=True):
        (change, path), files = group[0], {path for _, path in group}
        more = f", and {len(group) - 1:,} more in {len(files):,} files" if len(group) > 1 else ""
        print(f"{change[:MOST_CHARACTERS]}\n    in {path}{more}")
    for each in listed:
        if not used[each.why]:
            print(f"meant, but nothing differs so: {each.why}")
    print(", ".join(f"{counts[kind]:,} {kind}" for kind in ("equal", "meant", "unmeant")))
    return counts["unmeant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """One kind of change that was meant.

    Attributes:
        why: The reason, as the changelog gives it.
        outputs: Patterns of paths, as a shell has them.
        changes: Regular expressions of the changes, as `changes` writes them, from end to end.
    """

    why: str
    outputs: Sequence[str] = ("*",)
    changes: Sequence[str]

    def concerns(self, path: str) -> bool:
        """Return whether it is of that output."""
        return any(fnmatch.fnmatch(path, pattern) for pattern in self.outputs)


def explained(change: str, fitting: Sequence[Meant], used: Counter[str]) -> bool:
    """Return whether a change was meant, and count for what reason."""
    for each in fitting:
        if any(re.fullmatch(pattern, change, re.DOTALL) for pattern in each.changes):
            used[each.why] += 1
            return True
    return False


def files_of(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Give the files of cases, by their path from the folder."""
    for name in names:
        for path in (folder / name).rglob("*"):
            if path.is_file():
                yield path.relative_to(folder).as_posix()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("keep", "check"))
    parser.add_argument("folder", type=Path, help="with inputs/ and expected/")
    parser.add_argument("--calibration", type=Path, help="keep: copy this calibration.json")
    parser.add_argument("--quick", action="store_true", help="check: a sample of everything")
    parser.add_argument("--only", metavar="PATTERN", help="check: cases of these names: 'zoo/*'")
    parser.add_argument("--output", type=Path, help="check: leave the output there")
    parser.add_argument("--again", action="store_true", help="check: what lies in --output")
    parser.add_argument("--meant", type=Path, default=MEANT, help="check: changes that were meant")
    parser.add_argument("--verbose", action="store_true", help="check: each case with its time")
    options = parser.parse_args()
    folder, began = options.folder.resolve(), time.monotonic()
    if options.action == "keep":
        keep(folder, options.calibration)
        print(f"kept in {time.monotonic() - began:.0f} s")
        return
    chosen = [case for case, quick in cases(folder) if quick or not options.quick]
    chosen = [case for case in chosen if fnmatch.fnmatch(case.name, options.only or "*")]
    with tempfile.TemporaryDirectory() as temporary:
        target = (options.output or Path(temporary)).resolve()
        for case in () if options.again else chosen:
            shutil.rmtree(target / case.name, ignore_errors=True)
        if not options.again:
            show_all(chosen, folder, target, options.verbose)
        names = [case.name for case in chosen]
        wrong = compare(folder / "expected", target, names, options.meant)
    print(f"{len(chosen)} cases of the code in {REPOSITORY}, {time.monotonic() - began:.0f} s")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
