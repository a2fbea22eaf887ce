"""What a regression study says of compiling, in a line each."""

from __future__ import annotations

from collections.abc import Iterator

from edgegraph.base.units import seconds
from edgegraph.results.verdicts import FASTER, NO_DIFFERENCE, NOISY, SLOWER
from edgegraph.studies.regress.compile_time import CompileGrowth, CompileTime, PassTime
from edgegraph.studies.regress.passes import PASSES

LEAST_SAVED = 0.1
"""A scan is named where it would save this share of the time to compile."""


def compile_lines(found: CompileTime) -> Iterator[str]:
    """Say whether compiling became slower, in which pass, and what repeated layers cost."""
    words = {
        SLOWER: "compiling became slower", FASTER: "compiling became faster",
        NO_DIFFERENCE: "compiling takes as long", NOISY: "compiling: too noisy to say",
    }  # fmt: skip
    if found.verdict is None and found.before_s is None:
        yield f"compiling takes {seconds(found.after_s)}"
    elif found.verdict in (SLOWER, FASTER) or (found.verdict and found.layers):
        interval = found.interval or (0.0, 0.0)
        yield (
            f"{words[found.verdict]}: {seconds(found.after_s)} against {seconds(found.before_s)},"
            f" ratio {found.ratio:.2f} (95 %: {interval[0]:.2f} to {interval[1]:.2f})"
        )
    longest = moved_pass(found)
    if longest is not None:
        yield f"the pass: {longest.name}, {_span(longest)}"
    yield from (_growth(each) for each in found.growth if _worth(each, found))


def moved_pass(found: CompileTime) -> PassTime | None:
    """Return the pass whose time changed by most, the way that the whole did, if one did."""
    moved = [
        each
        for each in found.passes
        if each.threads == PASSES and each.verdict == found.verdict and each.verdict is not None
    ]
    if found.verdict not in (SLOWER, FASTER):
        return None
    return max(moved, key=lambda x: abs((x.after_s or 0) - (x.before_s or 0)), default=None)


def _span(one: PassTime) -> str:
    before, after = (seconds(x) if x else "none" for x in (one.before_s, one.after_s))
    return f"{before} → {after}"


def _worth(growth: CompileGrowth, found: CompileTime) -> bool:
    return growth.saved_s > LEAST_SAVED * (found.after_s or 0.0)


def _growth(growth: CompileGrowth) -> str:
    said = (
        f"{growth.version}: the {growth.repeats} layers like {growth.layer} take"
        f" {seconds(growth.all_s)} to compile, one {seconds(growth.one_s)}"
    )
    if growth.exponent is not None:
        said += f"; it grows as layers^{growth.exponent:.1f}"
        if growth.interval is not None:
            low, high = growth.interval
            said += f" ({low:.1f} to {high:.1f})"
    return f"{said}; jax.lax.scan over them would save about {seconds(growth.saved_s)}"
