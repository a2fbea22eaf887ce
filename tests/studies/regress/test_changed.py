"""Whose change it is, and what differs."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.compare.result import Diff
from edgegraph.results.timing import TimingComparison
from edgegraph.studies.regress import changed
from edgegraph.studies.regress.result import Setting
from edgegraph.studies.regress.turns import Generation, Spent, concluded
from tests.studies.regressions import seen

X = jax.ShapeDtypeStruct((16, 16), "float32")


def timing(ratio: float) -> TimingComparison:
    return concluded(("a", "b"), [seen(ratio), seen(1.001 * ratio), seen(0.999 * ratio)])


def plain(x: jax.Array) -> jax.Array:
    with jax.named_scope("first"):
        x = x @ x
    with jax.named_scope("second"):
        return jnp.tanh(x)


def sorts(x: jax.Array) -> jax.Array:
    with jax.named_scope("first"):
        x = x @ x
    with jax.named_scope("second"):
        return jnp.sort(jnp.tanh(x), axis=1)


@pytest.fixture(scope="module")
def analyses() -> tuple[eg.Analysis, eg.Analysis]:
    one, other = (eg.analyze(each, args=(X,), name="net") for each in (plain, sorts))
    return one, other


@pytest.fixture(scope="module")
def differs(analyses: tuple[eg.Analysis, eg.Analysis]) -> Diff:
    return eg.diff(*analyses)


@pytest.fixture(scope="module")
def alike(analyses: tuple[eg.Analysis, eg.Analysis]) -> Diff:
    return eg.diff(analyses[0], analyses[0])


def test_settings_that_differ_or_are_new() -> None:
    found = list(changed.settings("flag", {"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}))
    assert [(each.name, each.before, each.after) for each in found] == [
        ("b", "2", "3"), ("c", None, "4"),
    ]  # fmt: skip


def test_what_the_artifact_does_not_show_is_of_what_lowers(alike: Diff, differs: Diff) -> None:
    assert changed.whose_graph(differs, alike, "JAX") == "JAX"
    assert changed.whose_graph(differs, differs, "JAX") == "XLA"
    assert changed.whose_graph(alike, alike, "JAX") is None
    assert changed.whose_graph(differs, None, "JAX") is None


def test_times_tell_whose_change_it_is() -> None:
    assert changed.whose_time(timing(2.0), timing(1.0), "JAX") == "JAX"
    assert changed.whose_time(timing(2.0), timing(2.0), "JAX") == "XLA"
    assert changed.whose_time(timing(3.0), timing(1.5), "JAX or Flax") == "JAX or Flax and XLA"
    assert changed.whose_time(timing(1.0), timing(2.0), "JAX") is None
    assert changed.whose_time(timing(2.0), None, "JAX") is None


def test_the_front_end_is_what_has_another_version() -> None:
    def package(name: str) -> Setting:
        return Setting(kind="package", name=name, before="1", after="2")

    assert changed.front_end([package("jax")]) == "JAX"
    assert changed.front_end([package("flax")]) == "Flax"
    assert changed.front_end([package("flax"), package("jax")]) == "JAX or Flax"
    assert changed.front_end([]) == "JAX"


def generation(analysis: eg.Analysis, other: eg.Analysis, after_s: float) -> Generation:
    def spent(of: eg.Analysis, second_s: float) -> Spent:
        kernels = [each.name for each in of.op_records if each.parent is None]
        return Spent(
            ops=dict.fromkeys(kernels, second_s / len(kernels)),
            layers={"first\tforward": 1e-3, "second\tforward": second_s},
        )

    return Generation(
        source=None, artifact=None, compile_s={},
        spent={
            "first": spent(analysis, 1e-3), "control": spent(analysis, 1.001e-3),
            "second": spent(other, after_s),
        },
    )  # fmt: skip


def test_layers_have_their_times_and_what_differs(
    analyses: tuple[eg.Analysis, eg.Analysis], differs: Diff, alike: Diff
) -> None:
    generations = [generation(*analyses, after_s) for after_s in (5e-3, 5.1e-3, 4.9e-3)]
    (layer,) = changed.layer_shifts(differs, alike, *analyses, generations, "JAX")
    assert (layer.layer, layer.verdict, layer.whose) == ("second", "slower", "JAX")
    assert layer.ratio == pytest.approx(5.0, rel=0.01)
    ops = changed.op_shifts(differs, *analyses, generations)
    assert any("sort" in each.after and not each.before for each in ops)


def test_a_kernel_that_layers_share_claims_nothing_by_itself(
    analyses: tuple[eg.Analysis, eg.Analysis], differs: Diff, alike: Diff
) -> None:
    def shared(after_s: float) -> Generation:
        made = generation(*analyses, 1e-3)
        held = {
            role: Spent(
                ops=each.ops,
                split={"second\tforward": 1e-4 if role != "second" else after_s},
                shared={"second\tforward": 1e-2},
            )
            for role, each in made.spent.items()
        }
        return Generation(source=None, artifact=None, compile_s={}, spent=held)

    (layer, *_) = changed.layer_shifts(
        differs, alike, *analyses, [shared(5e-3) for _ in range(3)], "JAX"
    )
    assert layer.verdict is None
    assert layer.after_s == pytest.approx(5e-3)


def test_without_an_artifact_equal_lowering_makes_it_xla_s(differs: Diff) -> None:
    assert changed.whose_graph(differs, None, "JAX", same_lowering=True) == "XLA"
    assert changed.whose_graph(differs, None, "JAX", same_lowering=False) is None


def test_on_a_target_layers_have_what_its_compiler_expects(
    analyses: tuple[eg.Analysis, eg.Analysis],
) -> None:
    # A module of a TPU from the corpus would do; here the compiler's figures are put in by hand.
    before, after = (
        replace(
            each,
            target="tpu:v5e",
            layer_records=tuple(
                replace(one, compiler_time_s=1e-3 * factor) for one in each.layer_records
            ),
        )
        for each, factor in zip(analyses, (1.0, 2.0), strict=True)
    )
    found = changed.layer_shifts(eg.diff(before, after), None, before, after, [], "JAX")
    second = next(each for each in found if each.layer == "second")
    assert second.verdict == "estimated"
    assert second.ratio == pytest.approx(2.0)
    assert (second.before_s, second.after_s) == pytest.approx((1e-3, 2e-3))
