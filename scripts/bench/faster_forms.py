"""Measure every rewrite by shapes, and write docs/faster_forms.md.

Every form is compiled alone and timed in turns with the plain one. What was measured is kept in a
file, from which the next run goes on. For a second version of jax, run it in an environment with
that version and the same file, and write the page from any of them:

    python scripts/bench/faster_forms.py                        # out/faster_forms.jsonl
    .venv-3.13/bin/python scripts/bench/faster_forms.py --merge out/faster_forms.jsonl
    python scripts/bench/faster_forms.py --quick --section "max pooling" --no-page
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import numpy as np

import edgegraph as eg
from edgegraph.base.timing import collector_paused, monotonic_clock
from edgegraph.base.units import ratio
from edgegraph.measure.environment import environment
from edgegraph.measure.latency import prefer_synchronous_dispatch
from edgegraph.rewrites.rewriter import find_sites
from edgegraph.rewrites.rule import forms, rules
from edgegraph.studies.improve.search import LEAST_GAIN
from scripts.bench.faster_forms_by_hand import by_hand
from scripts.bench.faster_forms_cases import Case, of_rules

SECONDS, LEAST_ROUNDS, MOST_ROUNDS = 0.6, 5, 200
"""Of timing a form and its plain one in turns."""

ROOT = Path(__file__).resolve().parents[2]
BY_HAND = "by hand"
KEPT = ROOT / "out" / "faster_forms.jsonl"
PAGE = ROOT / "docs" / "faster_forms.md"

Record = dict[str, Any]


def measured(case: Case) -> Iterator[Record]:
    """Yield the time of every form of a case beside the plain one."""
    if case.by_hand:
        operands = values(case.arguments)
        for name, form in case.by_hand.items():
            yield {"form": name, "exactness": BY_HAND, **compared(case.function, form, operands)}
        return
    jaxpr = jax.make_jaxpr(case.function)(*case.arguments)
    for found in find_sites(jaxpr, lambda site: case.primitive in site.name):
        for rule, form in forms(found.site):
            operands = values(found.site.operands)
            if case.primitive == "cholesky":  # Of others there is no factor.
                (a,) = operands
                operands = [a @ a.mT + jax.numpy.eye(a.shape[-1])]
            times = compared(found.site.plain, form, operands)
            yield {"form": rule.name, "exactness": rule.exactness, **times}


def compared(
    plain: Callable[..., Any], form: Callable[..., Any], operands: Sequence[Any]
) -> Record:
    """Time two functions of the same operands in turns, and compare their results.

    Returns:
        The shortest time of each in seconds, which neighbours on the machine disturb least; and
        the largest difference of the results, relative to the largest of them.
    """
    compiled = [jax.jit(each).lower(*operands).compile() for each in (plain, form)]
    one, other = (jax.tree.leaves(each(*operands)) for each in compiled)
    times: list[list[int]] = [[], []]
    end = monotonic_clock() + SECONDS * 1e9
    with collector_paused():
        while len(times[0]) < LEAST_ROUNDS or (
            monotonic_clock() < end and len(times[0]) < MOST_ROUNDS
        ):
            for number in (0, 1) if len(times[0]) % 2 else (1, 0):
                start = monotonic_clock()
                jax.block_until_ready(compiled[number](*operands))
                times[number].append(monotonic_clock() - start)
    plain_s, form_s = (min(each) * 1e-9 for each in times)
    worst = max(map(difference, one, other))
    return {"plain_s": plain_s, "form_s": form_s, "difference": worst}


def difference(one: Any, other: Any) -> float:
    """Return the largest difference, relative to the largest number."""
    wide = np.complex128 if np.iscomplexobj(one) else np.float64
    left, right = (np.asarray(each).astype(wide) for each in (one, other))
    return float(np.max(np.abs(left - right)) / (np.max(np.abs(left)) or 1.0))


def values(structs: Any) -> Any:
    """Return numbers as activations and weights have them."""
    drawn = np.random.default_rng(0)

    def drawn_as(struct: jax.ShapeDtypeStruct) -> jax.Array:
        if np.issubdtype(struct.dtype, np.integer):
            return jax.numpy.asarray(drawn.integers(-9, 9, struct.shape), struct.dtype)
        return jax.numpy.asarray(drawn.standard_normal(struct.shape), struct.dtype)

    return jax.tree.map(drawn_as, list(structs))


def measure(kept: Path, sections: Sequence[str], quick: bool) -> list[Record]:
    """Measure what is not in the file yet, and return all that is."""
    records = read(kept)
    known = {(record["key"], record["jax"]) for record in records}
    seen: set[str] = set()
    here = environment()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as file:
        for case in (*of_rules(), *by_hand()):
            left_out = (sections and case.section not in sections) or (
                quick and case.section in seen
            )
            seen.add(case.section)
            if left_out or (case.key, here.jax) in known:
                continue
            timed = list(measured(case))
            record: Record = {
                "key": case.key,
                "section": case.section,
                "label": case.label,
                "jax": here.jax,
                "python": here.python,
                "processor": here.processor,
                "cores": here.affinity,
                "day": here.created_at[:10],
                "forms": timed,
            }
            records.append(record)
            file.write(json.dumps(record) + "\n")
            file.flush()
            told = ", ".join(f"{each['form']} {gain(each)}" for each in timed)
            print(f"{case.key}: {told}", file=sys.stderr)
    return records


def read(path: Path) -> list[Record]:
    """Return the records of a file, none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def gain(form: Mapping[str, Any] | None) -> str:
    """Write how many times faster a form is."""
    return "-" if form is None else ratio(form["plain_s"] / form["form_s"])


def page(records: Sequence[Record]) -> str:
    """Write the page."""
    versions = sorted({record["jax"] for record in records}, key=_version)
    used: dict[str, None] = {}
    for record in records:
        used |= dict.fromkeys(each["form"] for each in record["forms"])
    tables = {
        name: rows
        for name in used
        if (rows := [record for record in records if _form(record, name)])
    }
    of_rule = [name for name in rules() if name in tables]
    known, tried = (
        {name: tables[name] for name in names}
        for names in (of_rule, [name for name in tables if name not in rules()])
    )
    lines = [HEAD, _circumstances(records), SUMMARY, *_summary(known, versions)]
    lines.append("\n## Rules, by shape")
    for name, rows in known.items():
        rule = rules()[name]
        lines += [f"\n### {rule.title}", f"\n`{name}`, {rule.exactness}. {rule.source}.\n"]
        lines += _rows(name, rows, versions)
    lines.append(TRIED)
    lines += _heading("operation", "shape", "form", "plain", *versions, "difference")
    for name, rows in tried.items():
        lines += [
            _line(record["section"], record["label"], name, *_figures(both, name, versions))
            for record, both in _by_shape(rows)
        ]
    return "\n".join(lines) + "\n"


HEAD = """# Faster forms: what each rewrite gains, by shape

XLA's CPU backend computes some operations slowly that it computes quickly in another form.
[`edgegraph improve`](improve.md) tries these forms on a program's own shapes. This page says where
they win on one machine: times faster than the plain form, each compiled alone.
"""
SUMMARY = """
A figure below 1 is a loss. Forms of lower precision are never tried unless allowed. What wins here
may lose on another processor or version, and the other way round: `improve` measures anew. Rules
that win at no shape here are kept where they did elsewhere: `channels-padded` (2.4 to 4.7 times on
an Intel processor with jax 0.10) and `sum-pool-gradient-as-broadcast` (1.3 to 1.5 times there).

## Summary
"""
TRIED = """
## Tried by hand, no rule

These need several operations at once, or did not win often enough. `difference` is relative to the
largest result. What else was tried, on this processor or another, and never won: strided
convolutions of few channels as convolutions of blocks (0.2 to 0.9 times here; elsewhere 1.8, where
a padded channel was 4.7), Winograd's 3x3 convolution (1.3), one-hot products for embeddings,
histograms and segment sums (0.9 at most), other forms of top k (0.5), and of LSTM loops (1.06).

Not taken though they are faster: a gradient without its `remat`, since the memory that this saves
was asked for (XLA finding common subexpressions does not undo it: a barrier keeps them apart);
inverses of 3x3 matrices by cofactors, whose error grows with the square of the condition.

A logarithm in place of `log1p` or `arcsinh` loses all digits of small numbers, which the random
ones here hardly show: these are no equivalent forms.

"""


def _version(jax_version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in jax_version.split(".") if part.isdigit())


def _circumstances(records: Sequence[Record]) -> str:
    first, days = records[0], sorted({record["day"] for record in records})
    environments = sorted({f"jax {each['jax']} (Python {each['python']})" for each in records})
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    return (
        f"Measured {when} on {first['processor']},\n{first['cores']} cores shared with other work,"
        f" with {' and '.join(environments)},\nby `scripts/bench/faster_forms.py`: shortest of"
        " calls in turns. Single ratios may be off by half."
    )


def _form(record: Record, name: str) -> Mapping[str, Any] | None:
    return next((each for each in record["forms"] if each["form"] == name), None)


def _heading(*names: str) -> list[str]:
    return [_line(*names), _line(*("---" for _ in names))]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _by_shape(rows: Sequence[Record]) -> Iterator[tuple[Record, dict[str, Record]]]:
    """Yield each case, with its records by version of jax."""
    groups: dict[str, dict[str, Record]] = {}
    for record in rows:
        groups.setdefault(record["key"], {})[record["jax"]] = record
    for both in groups.values():
        yield next(iter(both.values())), both


def _figures(both: Mapping[str, Record], name: str, versions: Sequence[str]) -> list[str]:
    found = {version: _form(both[version], name) for version in versions if version in both}
    each = [form for form in found.values() if form is not None]
    worst = max(form["difference"] for form in each)
    return [
        f"{each[0]['plain_s'] * 1e3:.3g} ms",
        *(gain(found.get(version)) for version in versions),
        "?" if math.isnan(worst) else f"{worst:.0e}" if worst else "0",
    ]


def _rows(name: str, rows: Sequence[Record], versions: Sequence[str]) -> list[str]:
    lines = _heading("operation", "shape", "plain", *versions, "difference")
    for record, both in _by_shape(rows):
        lines.append(_line(record["section"], record["label"], *_figures(both, name, versions)))
    return lines


def _summary(tables: Mapping[str, Sequence[Record]], versions: Sequence[str]) -> list[str]:
    lines = _heading("rule", "shapes", *(f"{v}: median, best" for v in versions), "wins at")
    for name, rows in tables.items():
        cells, wins = [], set()
        for version in versions:
            gains = []
            for record in rows:
                if record["jax"] == version and (form := _form(record, name)):
                    times = form["plain_s"] / form["form_s"]
                    gains.append(times)
                    wins |= {record["key"]} if times >= LEAST_GAIN else set()
            cells.append(f"{ratio(median(gains))}, {ratio(max(gains))}" if gains else "-")
        shapes = len({record["key"] for record in rows})
        lines.append(_line(rules()[name].title, str(shapes), *cells, f"{len(wins)} of {shapes}"))
    return lines


def main() -> int:
    """Measure, and write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one shape of every operation")
    parser.add_argument("--section", action="append", default=[], help="one operation only")
    parser.add_argument("--merge", type=Path, default=KEPT, help="file of measurements")
    parser.add_argument("--no-page", action="store_true", help="write no page")
    options = parser.parse_args()
    prefer_synchronous_dispatch()
    records = measure(options.merge, options.section, options.quick)
    if not options.no_page:
        if not records:
            raise eg.InputError("nothing was measured")
        PAGE.write_text(page(records), "utf-8")
        print(f"Page: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
