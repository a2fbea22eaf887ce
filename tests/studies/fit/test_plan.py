"""The integer program against all choices there are."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgegraph.studies.fit.options import Option
from edgegraph.studies.fit.plan import choose


def _options(draw: st.DrawFn) -> tuple[Option, ...]:
    plain = Option(kept=None, kept_bytes=draw(st.integers(50, 200)), working_bytes=0, time_s=0.0)
    others = [
        Option(
            kept=frozenset({n}),
            kept_bytes=draw(st.integers(0, 50)),
            working_bytes=draw(st.integers(0, 100)),
            time_s=draw(st.integers(1, 100)) * 1e-6,
        )
        for n in range(draw(st.integers(0, 2)))
    ]
    return (plain, *others)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], list[tuple[Option, ...]], int]:
    options = [_options(draw) for _ in range(draw(st.integers(1, 3)))]
    extra = draw(st.lists(st.integers(0, len(options) - 1), max_size=3))
    return [*range(len(options)), *extra], options, draw(st.integers(0, 1000))


@settings(phases=[Phase.explicit, Phase.generate], max_examples=25, deadline=None)
@given(problems())
def test_no_choice_within_the_budget_is_quicker(
    problem: tuple[list[int], list[tuple[Option, ...]], int],
) -> None:
    groups, options, budget = problem
    best = None
    for chosen in product(*(range(len(options[group])) for group in groups)):
        each = [options[group][number] for group, number in zip(groups, chosen, strict=True)]
        needed = sum(o.kept_bytes for o in each) + max(o.working_bytes for o in each)
        time_s = sum(o.time_s for o in each)
        if needed <= budget and (best is None or time_s < best):
            best = time_s
    found = choose(groups, options, budget)
    assert (found is None) == (best is None)
    if found is not None and best is not None:
        assert found.bytes <= budget
        assert found.time_s == pytest.approx(best, rel=1e-3, abs=1e-9)


def test_the_first_of_equal_layers_keep_least() -> None:
    plain = Option(kept=None, kept_bytes=100, working_bytes=0, time_s=0.0)
    again = Option(kept=frozenset(), kept_bytes=10, working_bytes=80, time_s=1e-3)
    found = choose([0, 0, 0], [(plain, again)], 299)
    assert found is not None
    assert found.options == (1, 0, 0)
    assert (found.kept_bytes, found.working_bytes) == (210, 80)
