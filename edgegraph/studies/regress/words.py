"""What a regression study says, in a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgegraph.base.units import ratio, seconds
from edgegraph.results.verdicts import FASTER, NO_DIFFERENCE, NOISY, SLOWER
from edgegraph.studies.regress.compile_words import compile_lines

if TYPE_CHECKING:
    from edgegraph.results.timing import TimingComparison
    from edgegraph.studies.regress.result import LayerShift, OpShift, Regression


NOTHING_COMPARED = "fewer than two versions run it, so nothing is compared"


def conclusions(study: Regression) -> tuple[str, ...]:
    """Return what it says: whether, since when, whose, where, and what else is known."""
    compiling = () if study.compile_time is None else tuple(compile_lines(study.compile_time))
    if study.before is None:
        return compiling if len(study.versions) == 1 else (NOTHING_COMPARED,)
    said = [_whether(study)]
    if study.began is not None and len(study.versions) > 2:
        said.append(f"it began with {study.began}")
    if study.whose is not None:
        said.append(f"the change is {of(study.whose)}")
    if (culprit := study.culprit) is not None:
        said.append(_where(culprit))
    if (op := study.culprit_op) is not None:
        said.append(f"the op: {_op(op)}")
    if study.case is not None:
        said.append(_alone(study))
    return (*said, *compiling)


def of(whose: str) -> str:
    """Write whose change it is: ``XLA's``, ``JAX's or Flax's``."""
    for joint in (" and ", " or "):
        if joint in whose:
            return joint.join(f"{each}'s" for each in whose.split(joint))
    return f"{whose}'s"


def _whether(study: Regression) -> str:
    form = {
        True: "the optimised program is the same",
        False: "the optimised program differs",
        None: "whether the programs are the same is not known",
    }[study.same_program]
    timing = study.timing
    rows = [study.row(each) for each in (study.before, study.after)]
    for who, name in (("compiler expects", "compiler_time_s"), ("roofline", "roofline_time_s")):
        one, other = (getattr(row, name, None) for row in rows)
        if one and other:
            said = f"{who} {seconds(other)} against {seconds(one)}, ratio {other / one:.2f}"
            return f"{study.after} against {study.before} for {study.target}: {said}; {form}"
    if timing is None:
        return f"{study.after} against {study.before}: {form}; it was not timed"
    return f"{study.after} against {study.before}: {timed(timing)}; {form}"


def timed(timing: TimingComparison) -> str:
    """Write a comparison of times with its certainty."""
    low, high = timing.interval
    figures = (
        f"{seconds(timing.second_s)} against {seconds(timing.first_s)}, ratio {timing.ratio:.2f}"
        f" (95 %: {low:.2f} to {high:.2f}; the first against itself"
        f" {timing.control_interval[0]:.2f} to {timing.control_interval[1]:.2f})"
    )
    words = {
        SLOWER: "slower",
        FASTER: "faster",
        NO_DIFFERENCE: "no difference in time",
        NOISY: "too noisy to say",
    }
    return f"{words[timing.verdict]}: {figures}"


def _where(culprit: LayerShift) -> str:
    said = f"{culprit.verdict} by most: {culprit.layer or 'what has no layer'}"
    said += "" if culprit.phase == "forward" else f" ({culprit.phase})"
    said += f", {seconds(culprit.before_s)} → {seconds(culprit.after_s)}"
    return said + "".join(f"; {each}" for each in culprit.what[:2])


def _op(op: OpShift) -> str:
    forms = " → ".join(dict.fromkeys(filter(None, (op.before, op.after))))
    where = f" in {op.layer}" if op.layer else ""
    return f"{forms}{where}, {seconds(op.before_s)} → {seconds(op.after_s)}"


def _alone(study: Regression) -> str:
    case = study.case
    assert case is not None
    said = f"alone it shows in {case.what}"
    return said if case.timing is None else f"{said}, ratio {ratio(case.timing.ratio)}"
