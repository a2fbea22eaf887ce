"""What compiling layers one by one takes, and how it grows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from edgegraph.studies.regress import apart


def four_blocks(x: jax.Array) -> jax.Array:
    for number in range(4):
        with jax.named_scope(f"block{number}"):
            x = jnp.tanh(x @ x)
    with jax.named_scope("head"):
        return jnp.sort(x)


def test_layers_that_are_the_same_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "ROUNDS", 1)
    traced = jax.jit(four_blocks).trace(jnp.ones((8, 8))).jaxpr
    found = apart.compile_apart(traced, {})
    blocks, head = found["layers"]
    assert blocks["layers"] == ["block0", "block1", "block2", "block3"]
    assert head["layers"] == ["head"]
    assert blocks["compile_s"] > 0
    growth = found["growth"]
    assert (growth["layer"], growth["repeats"]) == ("block0", 4)
    assert growth["numbers"] == [1, 2, 4]
    assert [len(each) for each in growth["rounds"]] == [3]


def test_the_exponent_is_the_slope_of_the_logarithms() -> None:
    # 0.5 s is constant; the rest grows as n^2, and in the second round as n.
    numbers = [1, 2, 4]
    rounds = [[0.5 + 0.1 * n**2 for n in numbers], [0.5 + 0.1 * n for n in numbers]]
    assert list(apart._exponents(numbers, rounds, 0.5)) == pytest.approx([2.0, 1.0])
    # What is no longer than what is constant shows no growth.
    assert list(apart._exponents(numbers, [[0.4, 0.6, 0.7]], 0.5)) == []


def test_a_stretch_takes_what_is_made_before_and_gives_what_is_used_after() -> None:
    from edgegraph.measure.groups import cut
    from edgegraph.measure.regions import find_regions

    groups = cut(find_regions(jax.jit(four_blocks).trace(jnp.ones((8, 8))).jaxpr))
    begin, end = apart._extent(groups[1])[0], apart._extent(groups[2])[1]
    function, inputs = apart._stretch(groups[0].region, begin, end)
    (given,) = function(*(jnp.full(each.aval.shape, 0.1) for each in inputs))
    once = jnp.tanh(jnp.full((8, 8), 0.1) @ jnp.full((8, 8), 0.1))
    assert given == pytest.approx(jnp.tanh(once @ once))


def test_few_repeats_show_no_growth() -> None:
    traced = jax.jit(lambda x: jnp.tanh(x @ x)).trace(jnp.ones((8, 8))).jaxpr
    assert apart.compile_apart(traced, {})["growth"] is None
