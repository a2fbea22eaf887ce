from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from edgegraph.rewrites.rewriter import find_sites
from edgegraph.rewrites.rule import Site, register_rewrite, unregister_rewrite
from edgegraph.studies.improve.search import agreeing_forms, time_forms, time_in_turns


class Stopwatch:
    """A clock that every call moves on by what it is said to take."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def taking(self, nanoseconds: int) -> Callable[..., Any]:
        def call(*operands: Any) -> Any:
            self.now += nanoseconds
            return jnp.zeros(())

        return call


def test_turns_give_medians_and_drop_the_hopeless() -> None:
    clock = Stopwatch()
    calls = {"plain": clock.taking(9_000), "fast": clock.taking(2_000), "slow": clock.taking(5_000)}
    found = time_in_turns(calls, [], clock)
    assert found == pytest.approx({"plain": 9e-6, "fast": 2e-6})


@pytest.mark.parametrize(("offset", "applies"), [(0.0, True), (1.0, False)])
def test_a_form_with_other_results_is_no_form(offset: float, applies: bool) -> None:
    @register_rewrite(
        "sine-of-search", primitive="sin", title="a -> b", exactness="exact", special="s",
        source="s",
    )  # fmt: skip
    def rule(site: Site) -> Callable[[Array], Array]:
        return lambda x: jnp.sin(x) + offset

    try:
        [found] = find_sites(jax.make_jaxpr(jnp.sin)(jnp.ones(8)))
        changes = time_forms(found, allow=(), clock=Stopwatch())
        assert [change.rule for change in changes] == ["sine-of-search"] * applies
    finally:
        unregister_rewrite("sine-of-search")


@pytest.mark.parametrize(("allow", "tried"), [((), set()), (("bf16",), {"dot-in-bf16"})])
def test_lower_precision_is_tried_where_it_is_allowed(allow: Any, tried: set[str]) -> None:
    [found] = find_sites(jax.make_jaxpr(jnp.dot)(jnp.ones((64, 64)), jnp.ones((64, 64))))
    changes = time_forms(found, allow=allow, clock=Stopwatch())
    assert {change.rule for change in changes} == tried


def test_what_depends_on_weights_alone_is_not_timed() -> None:
    @register_rewrite(
        "sorted-first", primitive="dot_general", title="a -> b", exactness="reassociating",
        special="s", source="s",
    )  # fmt: skip
    def rule(site: Site) -> Callable[[Array, Array], Array]:
        return lambda a, b: a @ -jnp.sort(-jnp.sort(b, 0), 0)[::-1] * 0 + a @ b

    try:
        [found] = find_sites(jax.make_jaxpr(jnp.dot)(jnp.ones((4, 8)), jnp.ones((8, 3))))
        agreeing = agreeing_forms(found.site, (), prepared=(1,))
        form, plain = (agreeing.compiled[name] for name in ("sorted-first", "plain"))
        x = jnp.ones((4, 8))
        # The weights are those that were prepared, whatever is handed in.
        np.testing.assert_allclose(
            form(x, jnp.zeros((8, 3))), plain(x, jnp.zeros((8, 3))), rtol=1e-5
        )
        assert float(jnp.abs(form(x, jnp.zeros((8, 3)))).max()) > 0
    finally:
        unregister_rewrite("sorted-first")


def test_forms_of_what_is_sensitive_agree_as_far_as_the_plain_one_with_itself() -> None:
    # Among 4096 random matrices some are nearly singular, and no two inverses of these agree.
    [found] = find_sites(
        jax.make_jaxpr(jnp.linalg.inv)(jnp.ones((4096, 2, 2))),
        lambda site: site.params.get("name") == "inv",
    )
    candidates = agreeing_forms(found.site, ()).candidates
    assert candidates["inverse-of-2x2"].difference > 1e-6
