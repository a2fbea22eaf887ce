from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.studies.improve.donation import donatable, weighed_again, with_donation
from edgegraph.studies.improve.trials import Donation
from edgegraph.studies.improve.whole import PLAIN, Ratio, Whole
from tests.studies.improve.improvements import improvement

NOBODY: Any = lambda *_: None  # noqa: E731
STATE = {"a": jnp.ones((256, 256)), "b": jnp.ones(1000)}


def step(state: dict[str, jax.Array], x: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
    return jax.tree.map(lambda leaf: 0.9 * leaf + x.mean(), state), x.sum()


def whole_of(function: Any, *arguments: Any, held: int = 0, **keywords: Any) -> Whole:
    made = eg.Workload.from_function(function, lambda _: arguments, **keywords)
    return Whole(replace(made, call=lambda _: replace(made.call(1), held=held)), 1)


def donated(whole: Whole) -> tuple[int, ...]:
    return donatable(whole.call, whole.program(PLAIN).executable)


def test_arguments_whose_place_results_can_take() -> None:
    x = jnp.ones((8, 8))
    assert donated(whole_of(step, STATE, x)) == (0,)
    # One result takes the place of one argument.
    assert donated(whole_of(jnp.add, x, x)) == (0,)
    assert donated(whole_of(lambda a, b: (a + b, a - b), x, x)) == (0, 1)
    assert donated(whole_of(jnp.sum, x)) == ()
    assert donated(whole_of(lambda a: a.astype(jnp.int32), x)) == ()


def test_weights_stay_and_what_is_donated_already_too() -> None:
    x = jnp.ones((8, 8))
    assert donated(whole_of(jnp.dot, x, x, held=1)) == (1,)
    assert donated(whole_of(jnp.add, x, x, donate=(1,))) == ()


@pytest.mark.parametrize(
    ("ratio", "kept", "reason"),
    [(0.9, True, None), (1.0, True, None), (1.2, False, "makes the whole slower")],
)
def test_donation_is_kept_for_memory_unless_it_takes_longer(
    monkeypatch: pytest.MonkeyPatch, ratio: float, kept: bool, reason: str | None
) -> None:
    found = Ratio(ratio=ratio, interval=(ratio - 0.02, ratio + 0.02), control=(0.99, 1.01))
    monkeypatch.setattr(Whole, "ratios", lambda *_: [found])
    whole = whole_of(step, STATE, jnp.ones((8, 8)))
    study = with_donation(improvement(changes=()), whole, NOBODY)
    assert study.donation is not None
    tried = study.donation
    assert (tried.kept, tried.reason, tried.ratio) == (kept, reason, ratio)
    # The state's 256 * 256 + 1000 numbers of 4 bytes are counted once.
    before, after = study.donation.before_bytes, study.donation.after_bytes
    assert before is not None
    assert after is not None
    assert before - after == 4 * (256 * 256 + 1000)
    assert study.donate_argnums == ((0,) if kept else ())
    assert weighed_again(study, whole) == study


def test_nothing_is_tried_where_nothing_can_be_donated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Whole, "ratios", lambda *_: pytest.fail("timed"))
    whole = whole_of(jnp.sum, jnp.ones(8))
    assert with_donation(improvement(), whole, NOBODY).donation is None
    prepared = improvement(prepared=True)
    assert with_donation(prepared, whole_of(step, STATE, jnp.ones(8)), NOBODY) is prepared


def test_the_kept_donation_is_in_the_improved_program() -> None:
    whole = whole_of(step, STATE, jnp.ones((8, 8)))
    recipe = replace(PLAIN, donate=(0,))
    assert whole.program(recipe).memory.alias_bytes == 4 * (256 * 256 + 1000)  # type: ignore[union-attr]
    # It is run on copies, so that the arguments are there for the next program.
    runs = whole.runs(recipe)
    assert float(runs(*whole.arguments)[1]) == float(runs(*whole.arguments)[1]) == 64.0
    assert improvement(donation=Donation(arguments=(0,), kept=True)).donate_argnums == (0,)
