from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.errors import CompileError, InputError
from edgegraph.rewrites.rewriter import find_sites, rewritten
from edgegraph.rewrites.rule import Site, forms, register_rewrite, rules, unregister_rewrite

WORDS = {"title": "t", "exactness": "exact", "special": "s", "source": "s"}


def test_every_rule_says_what_it_is() -> None:
    for name, rule in rules().items():
        assert name == rule.name
        assert rule.exactness in ("exact", "reassociating", "lower precision")
        assert "->" in rule.title
        assert rule.special
        assert rule.source


def test_a_rule_of_ones_own() -> None:
    @register_rewrite("sine-of-tests", primitive="sin", **WORDS)  # type: ignore[arg-type]
    def rule(site: Site) -> object:
        return lambda x: jnp.cos(x - jnp.pi / 2)

    try:
        [found] = find_sites(jax.make_jaxpr(jnp.sin)(1.0))
        assert [rule.name for rule, _ in forms(found.site)] == ["sine-of-tests"]
        fast = rewritten(jnp.sin, {found.site.signature: "sine-of-tests"})
        assert float(fast(jnp.float32(0.5))) == pytest.approx(float(jnp.sin(0.5)), abs=1e-6)
        with pytest.raises(InputError, match="'sine-of-tests' is already"):
            register_rewrite("sine-of-tests", primitive="sin", **WORDS)  # type: ignore[arg-type]
    finally:
        unregister_rewrite("sine-of-tests")


def test_another_shape_is_refused() -> None:
    @register_rewrite("wrong-of-tests", primitive="sin", **WORDS)  # type: ignore[arg-type]
    def rule(site: Site) -> object:
        return lambda x: x[None]

    try:
        [found] = find_sites(jax.make_jaxpr(jnp.sin)(jnp.ones(3)))
        with pytest.raises(CompileError, match="'wrong-of-tests' returned"):
            rewritten(jnp.sin, {found.site.signature: "wrong-of-tests"})(jnp.ones(3))
    finally:
        unregister_rewrite("wrong-of-tests")


def test_signatures_tell_shapes_and_parameters_apart() -> None:
    def signature(shape: tuple[int, ...], axis: int) -> str:
        jaxpr = jax.make_jaxpr(lambda x: jnp.cumsum(x, axis))(jnp.ones(shape))
        return max((each.site.signature for each in find_sites(jaxpr)), key=len)

    assert signature((4, 4), 0) == signature((4, 4), 0)
    assert len({signature((4, 4), 0), signature((4, 4), 1), signature((4, 5), 0)}) == 3


def test_the_name_of_a_built_in_rule_is_taken() -> None:
    with pytest.raises(InputError, match="'pointwise-as-dot' is already"):

        @register_rewrite("pointwise-as-dot", primitive="sin", **WORDS)  # type: ignore[arg-type]
        def rule(site: Site) -> None: ...


@pytest.mark.parametrize("module", ["convolution", "pooling", "reshaped", "selection"])
def test_every_module_of_rules_may_come_first(module: str) -> None:
    code = f"import edgegraph.rewrites.{module}; from edgegraph.rewrites import rule; rule.rules()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("exactness", "needs"), [("lower precision", None), ("exact", "bf16"), ("lower precision", "x")]
)
def test_lower_precision_needs_a_permission(exactness: Any, needs: str | None) -> None:
    with pytest.raises(InputError, match="needs one of bf16, int8, fast-math"):
        register_rewrite(
            "r", primitive="sin", title="t", exactness=exactness, special="s", source="s",
            needs=needs,
        )  # fmt: skip


def test_rules_that_are_not_allowed_are_left_out() -> None:
    [found] = find_sites(jax.make_jaxpr(jnp.dot)(jnp.ones((64, 64)), jnp.ones((64, 64))))
    assert {rule.needs for rule, _ in forms(found.site, ())} <= {None}
    assert {rule.needs for rule, _ in forms(found.site, ("int8",))} == {"int8"}
    assert {rule.needs for rule, _ in forms(found.site)} == {"bf16", "int8"}
