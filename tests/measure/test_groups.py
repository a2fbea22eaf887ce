"""Groups together do what the whole function does, and lie where XLA says the ops lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core

from edgegraph import xla
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.op_name import parse_op_name
from edgegraph.measure.flow import run_watched
from edgegraph.measure.groups import LayerGroup, cut, deepest
from edgegraph.measure.regions import Region, Regions, find_regions
from tests.measure.traced import FUNCTIONS

DEPTHS = (None, 0, 1, 2)


@cache
def _regions(name: str) -> tuple[Regions, Any, list[Any]]:
    """Return the regions of a function, its result, and its flat arguments."""
    function, arguments = FUNCTIONS[name]()
    traced = jax.jit(function).trace(*arguments)
    return find_regions(traced.jaxpr), function(*arguments), jax.tree.leaves(arguments)


@cache
def _cut(name: str, depth: int | None = None) -> tuple[LayerGroup, ...]:
    return cut(_regions(name)[0], depth)


def _groups(traced: Any) -> tuple[LayerGroup, ...]:
    return cut(find_regions(traced))


def check_replay(
    regions: Regions, groups: tuple[LayerGroup, ...], arguments: list[Any], results: list[Any]
) -> None:
    """Run the groups one by one and compare what each gives, up to the function's results."""
    borders = {v for group in groups for v in (*group.inputs, *group.outputs)}
    outputs = [atom for atom in regions.root.jaxpr.outvars if isinstance(atom, core.Var)]
    flow = run_watched(regions, [*borders, *outputs], [group.region for group in groups], arguments)
    made: dict[Any, Any] = {}
    for group in groups:
        if flow.executions[group.region]:
            inputs = [flow.values[variable] for variable in group.inputs]
            made.update(zip(group.outputs, jax.jit(group.function)(*inputs), strict=True))
    for variable, value in made.items():
        _assert_close(value, flow.values[variable])
    finals = [
        atom.val if isinstance(atom, core.Literal) else {**flow.values, **made}[atom]
        for atom in regions.root.jaxpr.outvars
    ]
    assert len(finals) == len(results)
    for value, expected in zip(finals, results, strict=True):
        _assert_close(value, expected)


def _assert_close(value: Any, expected: Any) -> None:
    if jnp.issubdtype(jnp.asarray(value).dtype, jax.dtypes.prng_key):
        value, expected = jax.random.key_data(value), jax.random.key_data(expected)
    value, expected = np.asarray(value), np.asarray(expected)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=2e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_groups_reproduce_the_whole(name: str, depth: int | None) -> None:
    """Also inside loops: the first row sliced, and the row stacked, are those of the scan."""
    regions, result, arguments = _regions(name)
    check_replay(regions, _cut(name, depth), arguments, jax.tree.leaves(result))


def check_cover(regions: Regions, groups: tuple[LayerGroup, ...]) -> None:
    """Every equation, also inside loops, is in one group, alone or with the loop around it."""
    placed = Counter(id(equation) for group in groups for equation in group.jaxpr.eqns)

    def check(region: Region, above: int) -> None:
        for position, equation in enumerate(region.jaxpr.eqns):
            times = above + placed[id(equation)]
            assert times == 1 or (times == 0 and position in region.inside)
            for inner in region.inside.get(position, ()):
                check(inner, times)

    check(regions.root, 0)
    numbers = set(regions.positions.values())
    keys = Counter(
        (group.layer, group.phase, group.region, not numbers.isdisjoint(group.inputs))
        for group in groups
    )
    assert set(keys.values()) <= {1}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_equation_belongs_to_exactly_one_group(name: str, depth: int | None) -> None:
    check_cover(_regions(name)[0], _cut(name, depth))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_groups_are_sound_jaxprs_that_take_and_give_nothing_superfluous(name: str) -> None:
    regions, groups = _regions(name)[0], _cut(name)
    core.check_jaxpr(regions.root.jaxpr)
    for group in groups:
        core.check_jaxpr(group.jaxpr)
        used = {
            a for equation in group.jaxpr.eqns for a in equation.invars if isinstance(a, core.Var)
        }
        assert set(group.jaxpr.invars) <= used


def test_a_depth_takes_what_lies_below_into_one_group() -> None:
    layers = {(group.layer, group.phase) for group in _cut("train step", 0)}
    assert ("Blocks", "forward") in layers
    assert ("Blocks", "rematerialised") in layers
    assert not any("/" in (layer or "") for layer, _ in layers)
    blocks = {g.layer: g for g in _cut("train step", 1) if g.phase == "forward"}
    assert set(blocks) >= {"Blocks/plain", "Blocks/again", "Blocks/Dropout_0", "loss"}
    assert blocks["Blocks/plain"].covers == ("Blocks/plain/dense",)
    assert deepest(_regions("train step")[0]) == 2
    assert [str(g.jaxpr) for g in _cut("train step", 2)] == [
        str(g.jaxpr) for g in _cut("train step")
    ]


def test_at_a_depth_that_holds_the_whole_loop_it_stays_whole() -> None:
    (blocks,) = _cut("blocks", 0)
    assert blocks.region is _regions("blocks")[0].root
    assert any(equation.primitive.name == "scan" for equation in blocks.jaxpr.eqns)
    assert "Blocks/scanned/dense" in blocks.covers


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_call_hides_a_scope(name: str) -> None:
    """What runs once is taken apart; only loops, branches and scalar functions stay whole."""
    with_bodies = {
        equation.primitive.name
        for region in _regions(name)[0].root.walk()
        for equation in region.jaxpr.eqns
        if list(core.jaxprs_in_params(equation.params))
    }
    assert with_bodies <= {"scan", "while", "cond", "scatter-add"}


@pytest.mark.parametrize("name", ["cnn", "blocks", "train step", "nnx"])
def test_products_lie_where_xla_puts_them(name: str) -> None:
    """The op_names of XLA's own graph, before optimisation, name the same layers and phases."""
    function, arguments = FUNCTIONS[name]()
    module = decode(xla.lowered_module(jax.jit(function).lower(*arguments)))
    by_xla = {
        (named.layer, named.phase)
        for instruction in module.computations[module.entry].instructions
        if instruction.opcode in ("dot", "convolution")
        for named in [parse_op_name(instruction.op_name)]
    }
    groups = _cut(name)
    by_group = {
        (group.layer, group.phase)
        for group in groups
        for equation in group.jaxpr.eqns
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
    }
    assert by_xla <= by_group
    assert {layer for layer, _ in by_group - {*by_xla}} <= {"Blocks/scanned/dense"}


def test_layers_of_a_forward_pass() -> None:
    groups = _cut("cnn")
    assert {(group.layer, group.phase) for group in groups} == {
        ("SmallCNN", "forward"),
        *((f"SmallCNN/{layer}", "forward") for layer in ("conv1", "conv2", "dense1", "dense2")),
    }
    own = next(group for group in groups if group.layer == "SmallCNN")
    assert {v.aval.shape for v in own.inputs} == {(2, 28, 28, 32), (2, 14, 14, 64), (2, 256)}
    conv2 = next(group for group in groups if group.layer == "SmallCNN/conv2")
    assert [v.aval.shape for v in conv2.inputs] == [(2, 14, 14, 32), (3, 3, 32, 64), (64,)]
    assert [v.aval.shape for v in conv2.outputs] == [(2, 14, 14, 64)]


def test_layers_of_a_train_step() -> None:
    places = {(group.layer, group.phase) for group in _cut("train step")}
    for layer in ("plain", "plain/dense", "again", "again/dense", "scanned", "scanned/dense"):
        assert (f"Blocks/{layer}", "forward") in places
        assert (f"Blocks/{layer}", "backward") in places
    assert ("optimizer", "update") in places
    assert {("loss", "forward"), ("loss", "backward")} <= places


def test_a_loop_is_opened_and_its_slicing_and_stacking_are_a_group() -> None:
    inside = [group for group in _cut("blocks") if group.region.kind == "scan"]
    assert [group.layer for group in inside] == ["Blocks/scanned/dense", "Blocks/scanned", "Blocks"]
    assert {group.region.name for group in inside} == {"scan of 3"}
    *_, slicing = inside
    assert [v.aval.shape for v in slicing.inputs] == [(), (3, 8), (3, 8, 8)]
    assert [v.aval.shape for v in slicing.outputs] == [(8,), (8, 8)]


def test_a_loop_of_a_single_layer_stays_whole() -> None:
    (loop,) = [group for group in _cut("control") if group.layer == "Net/loop"]
    assert [equation.primitive.name for equation in loop.jaxpr.eqns] == ["scan", "while"]


def test_branches_are_opened() -> None:
    branches = [g for g in _cut("control") if g.region.kind == "branch"]
    assert [(g.layer, g.region.name) for g in branches] == [
        ("Net/branch", "branch 0"),
        ("Net/branch/dear", "branch 1"),
    ]


def test_a_loop_under_vmap_cannot_be_opened_and_covers_what_is_inside() -> None:
    def net(x: Any) -> Any:
        with jax.named_scope("Net"):
            return lax.while_loop(lambda v: v < 3.0, named_layer("inner", lambda v: v + 1.0), x)

    groups = _groups(jax.make_jaxpr(jax.vmap(net))(jnp.zeros(4)))
    assert [(g.layer, g.covers) for g in groups] == [("Net", ("Net/inner",))]


def named_layer(scope: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        with jax.named_scope(scope):
            return function(x)

    return run


def test_what_nobody_needs_is_in_no_group() -> None:
    primitives = {e.primitive.name for e in _regions("control")[0].root.jaxpr.eqns}
    assert "sin" not in primitives


def test_constants_flow_in_as_values_not_as_constants() -> None:
    table = jnp.arange(4096.0)

    def net(x: Any) -> Any:
        with jax.named_scope("add"):
            return x + table

    (group,) = _groups(jax.make_jaxpr(net)(table))
    assert len(group.inputs) == 2
    assert not group.jaxpr.constvars
    assert "dense" not in jax.jit(group.function).lower(table, table).as_text()


def test_a_group_may_take_nothing_or_give_a_scalar() -> None:
    def net(x: Any) -> Any:
        with jax.named_scope("ones"):
            ones = jnp.ones(3)
        with jax.named_scope("sum"):
            return (x * ones).sum()

    traced = jax.make_jaxpr(net)(jnp.arange(3.0))
    regions = find_regions(traced)
    ones, total = groups = cut(regions)
    assert (ones.layer, len(ones.inputs), len(ones.outputs)) == ("ones", 0, 1)
    assert [v.aval.shape for v in total.outputs] == [()]
    check_replay(regions, groups, [jnp.arange(3.0)], [jnp.asarray(3.0)])


def test_an_effect_is_needed_although_it_gives_nothing() -> None:
    def net(x: Any) -> Any:
        with jax.named_scope("show"):
            jax.debug.callback(lambda _: None, x)
        return x

    (group,) = _groups(jax.make_jaxpr(net)(1.0))
    assert (group.layer, len(group.inputs), len(group.outputs)) == ("show", 1, 0)
    assert jax.jit(group.function)(1.0) == []


def test_a_function_that_does_nothing_has_no_groups() -> None:
    assert _groups(jax.make_jaxpr(lambda x: (x, 1.0))(2.0)) == ()


def test_layers_that_share_a_reference_cannot_be_cut_apart() -> None:
    def net(x: Any) -> Any:
        with jax.named_scope("make"):
            reference = jax.new_ref(x)
        with jax.named_scope("use"):
            reference[...] = x + 1.0
        return reference[...]

    with pytest.raises(InputError, match="mutable reference"):
        _groups(jax.make_jaxpr(net)(jnp.ones(3)))
