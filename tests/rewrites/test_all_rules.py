"""Forces rules on random programs, wherever they apply."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from edgegraph.rewrites import products, scans, selection
from edgegraph.rewrites.rewriter import find_sites, rewritten
from edgegraph.rewrites.rule import Exactness, forms
from edgegraph.studies.improve.proof import moved_by_one_ulp
from tests.programs import SAME_MODULE_SOONER
from tests.random_programs.strategies import RandomProgram, programs


def examples(number: int) -> settings:
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
        phases=[Phase.explicit, Phase.generate],
    )


def values(program: RandomProgram) -> Any:
    drawn = np.random.default_rng(0)

    def array(struct: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.asarray(drawn.standard_normal(struct.shape) / 2, struct.dtype)

    return jax.tree.map(array, program.arguments)


def decisions(program: RandomProgram, allowed: set[Exactness]) -> dict[str, str]:
    """Choose one of the rules that apply, for every site."""
    chosen = random.Random(0)
    found = {}
    for each in find_sites(jax.make_jaxpr(program.function)(*program.arguments)):
        names = [rule.name for rule, _ in forms(each.site) if rule.exactness in allowed]
        if names:
            found[each.site.signature] = chosen.choice(names)
    return found


def check(program: RandomProgram, allowed: set[Exactness], near: float) -> None:
    # A loop that ends when data says so does not end with these.
    assume("while the sum is below" not in program.text)
    chosen = decisions(program, allowed)
    assume(chosen)
    arguments = values(program)
    plain, form = (
        jax.jit(function, compiler_options=SAME_MODULE_SOONER)
        for function in (program.function, rewritten(program.function, chosen))
    )
    runs = plain(*arguments), form(*arguments), plain(*moved_by_one_ulp(arguments))
    one, other, moved = (np.asarray(run, np.float64) for run in runs)
    # Loops of products magnify the last bit; what the plain program does with it is the measure.
    finite = np.isfinite(one)
    largest, sensitivity = (
        np.max(np.abs(found), initial=0.0, where=finite) for found in (one, moved - one)
    )
    # XLA may compute a softmax's logits twice, and round them differently: beyond some 1e9 one unit
    # in their last place is more than exp can take (docs/behaviour.md).
    assume(largest < 1e4)
    # Where numbers overflow, infinities and NaN stand where partial sums do, which are others when
    # they are added in another order.
    assume(finite.all() or not near)
    near = near * largest + (16 * sensitivity if near else 0.0)
    np.testing.assert_allclose(other, one, rtol=0, atol=near, err_msg=str(chosen))


@contextmanager
def patched_sites() -> Iterator[None]:
    """Let rules take rows as short as random programs have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "SHORTEST", 2)
        patch.setattr(selection, "SHORTEST", 2)
        patch.setattr(products, "LEAST", 1)
        patch.setattr(products, "MANY", 1)
        yield


@pytest.fixture(autouse=True, scope="module")
def small_sites() -> Iterator[None]:
    with patched_sites():
        yield


@examples(5)
@given(program=programs(depth=3))
def test_exact_rules_leave_random_programs_as_they_are(program: RandomProgram) -> None:
    check(program, {"exact"}, 0.0)


@examples(5)
@given(program=programs(depth=3))
def test_rules_leave_random_programs_near(program: RandomProgram) -> None:
    check_near(program)


def check_near(program: RandomProgram) -> None:
    # In bfloat16 a sum has no digits to spare: the tests of single rules hold those.
    assume(program.dtype == "float32")
    check(program, {"exact", "reassociating"}, 1e-4)


@pytest.mark.slow
@examples(10)
@given(program=programs(depth=3))
def test_exact_rules_leave_more_random_programs_as_they_are(program: RandomProgram) -> None:
    check(program, {"exact"}, 0.0)


@pytest.mark.slow
@examples(10)
@given(program=programs(depth=3))
def test_rules_leave_more_random_programs_near(program: RandomProgram) -> None:
    check_near(program)
