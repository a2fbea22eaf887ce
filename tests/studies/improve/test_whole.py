from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import edgegraph as eg
from edgegraph.studies.improve.trials import FOLDED, PREPARED
from edgegraph.studies.improve.whole import PLAIN, Recipe, Whole, ratios

X = jnp.linspace(0.0, 1.0, 64)


@pytest.fixture(scope="module")
def whole() -> Whole:
    return Whole(eg.Workload.from_function(lambda x: x**2 + 1.0, lambda _: (X,), name="f"), 1)


def test_a_program_is_compiled_once(whole: Whole) -> None:
    assert whole.program(PLAIN) is whole.program(Recipe())
    assert whole.compile_s(PLAIN) > 0
    found = whole.program(PLAIN).executable(*whole.arguments)
    np.testing.assert_allclose(found, X**2 + 1, rtol=1e-6)
    assert whole.seconds_of(PLAIN) > 0


def test_arguments_are_made_once() -> None:
    made: list[int] = []

    def arguments() -> tuple[Any, ...]:
        made.append(1)
        return (X,)

    plain = eg.Workload.from_function(jnp.sin, lambda _: (X,))
    workload = replace(plain, call=lambda batch: replace(plain.call(batch), concrete=arguments))
    whole = Whole(workload, 1)
    for recipe in (PLAIN, PLAIN.with_option("xla_cpu_multi_thread_eigen", False)):
        concrete = whole.program(recipe).concrete
        assert concrete is not None
        np.testing.assert_array_equal(concrete()[0], X)
    assert made == [1]


def test_what_donates_is_run_on_copies() -> None:
    made = eg.Workload.from_function(jnp.sin, lambda _: (jnp.asarray(X),), donate=(0,))
    whole = Whole(made, 1)
    for _ in range(2):
        np.testing.assert_allclose(whole.runs(PLAIN)(*whole.arguments), jnp.sin(X), rtol=1e-6)


def test_without_a_rule() -> None:
    recipe = Recipe(decisions=frozenset({("a", "one"), ("b", "one"), ("c", "two")}))
    assert recipe.without("one") == Recipe(decisions=frozenset({("c", "two")}))


def test_compiler_options_reach_the_compiler(whole: Whole) -> None:
    recipe = PLAIN.with_option("xla_cpu_multi_thread_eigen", False)
    assert whole.program(recipe).options == {"xla_cpu_multi_thread_eigen": False}


def test_programs_take_turns(whole: Whole) -> None:
    found = whole.ratios(PLAIN, [PLAIN])
    assert found is not None
    assert 0.2 < found[0].ratio < 5.0


@pytest.mark.parametrize(
    ("second", "control", "verdict"),
    [
        ([1.2, 1.3] * 10, [1.0, 1.01] * 10, "slower"),
        ([0.8, 0.9] * 10, [1.0, 1.01] * 10, "faster"),
        ([1.005] * 20, [1.0] * 20, "no difference"),  # less than 1 %
        ([1.2, 1.3] * 10, [1.0, 1.4] * 10, "no difference"),  # the control strays as far
        ([0.5, 2.0] * 10, [1.0] * 20, "no difference"),  # on both sides
    ],
)
def test_a_ratio_counts_beyond_its_interval_and_the_control(
    second: list[float], control: list[float], verdict: str
) -> None:
    found = ratios([[1.0] * 20, control, second])
    assert found is not None
    assert found[0].verdict == verdict


def test_few_rounds_say_nothing() -> None:
    assert ratios([[1.0] * 5, [1.0] * 5, [2.0] * 9]) is None


def test_the_interval_is_that_of_the_binomial_distribution() -> None:
    values = [float(n) for n in range(1, 101)]
    found = ratios([[1.0] * 100, [1.0] * 100, values])
    assert found is not None
    # Of 100 sorted samples, the 41st and the 60th hold the median with 95 %: published tables.
    assert found[0].interval == (41.0, 60.0)


def test_a_recipe_with_prepared_weights() -> None:
    w = jnp.linspace(1.0, 2.0, 64).reshape(8, 8)
    x = jnp.ones((2, 8))

    def function(w: Any, x: Any) -> Any:
        return (x @ jnp.sort(w)) * w[0]

    plain = eg.Workload.from_function(function, lambda _: (w, x), name="f")
    workload = replace(plain, call=lambda batch: replace(plain.call(batch), held=1))
    whole = Whole(workload, 1)
    recipe = replace(PLAIN, prepared=True)
    assert recipe.without(PREPARED) == replace(recipe, folded=True).without(PREPARED) == PLAIN
    np.testing.assert_allclose(whole.runs(recipe)(w, x * 2), function(w, x * 2), rtol=1e-5)
    assert not whole.program(recipe).jaxpr.eqns[0].primitive.name.startswith("sort")
    assert whole.prepare_s(recipe) > 0
    folded = replace(recipe, folded=True)
    assert folded.without(FOLDED) == recipe
    np.testing.assert_allclose(whole.runs(folded)(w, x * 2), function(w, x * 2), rtol=1e-5)
    assert "mul" not in str(whole.program(folded).jaxpr)
    assert whole.ratios(PLAIN, [recipe]) is not None
