"""Forces rules on random programs, wherever they apply."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from edgegraph.rewrites import products, scans, selection
from edgegraph.rewrites.rewriter import find_sites, rewritten
from edgegraph.rewrites.rule import Exactness, forms
from tests.random_programs.strategies import RandomProgram, programs

FAST = {"xla_backend_optimization_level": 0}
"""Machine code that is compiled faster, from the same HLO."""


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
    one, other = (
        np.asarray(jax.jit(function, compiler_options=FAST)(*arguments), np.float64)
        for function in (program.function, rewritten(program.function, chosen))
    )
    largest = np.max(np.abs(one), initial=0.0, where=np.isfinite(one))
    np.testing.assert_allclose(other, one, rtol=near, atol=near * largest, err_msg=str(chosen))


@pytest.fixture(autouse=True, scope="module")
def small_sites() -> Iterator[None]:
    """Let rules take rows as short as random programs have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "SHORTEST", 2)
        patch.setattr(selection, "SHORTEST", 2)
        patch.setattr(products, "LEAST", 1)
        yield


@examples(30)
@given(program=programs(depth=3))
def test_exact_rules_leave_random_programs_as_they_are(program: RandomProgram) -> None:
    check(program, {"exact"}, 0.0)


@examples(30)
@given(program=programs(depth=3))
def test_rules_leave_random_programs_near(program: RandomProgram) -> None:
    check(program, {"exact", "reassociating"}, NEAR[program.dtype])


NEAR = {"float32": 1e-4, "bfloat16": 5e-2}


@pytest.mark.slow
@examples(100)
@given(program=programs(depth=3))
def test_exact_rules_leave_100_random_programs_as_they_are(program: RandomProgram) -> None:
    check(program, {"exact"}, 0.0)


@pytest.mark.slow
@examples(100)
@given(program=programs(depth=3))
def test_rules_leave_100_random_programs_near(program: RandomProgram) -> None:
    check(program, {"exact", "reassociating"}, NEAR[program.dtype])
