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
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend import core

from edgegraph import xla
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.op_name import parse_op_name
from edgegraph.measure.groups import Partition, layer_groups, partition
from tests.measure.traced import FUNCTIONS


@cache
def _partition(name: str) -> tuple[Partition, Any, list[Any]]:
    """Give the partition of a function, its result, and its flat arguments."""
    function, arguments = FUNCTIONS[name]()
    traced = jax.jit(function).trace(*arguments)
    return partition(traced.jaxpr), function(*arguments), jax.tree.leaves(arguments)


def _check_replay(cut: Partition, arguments: list[Any], results: list[Any]) -> None:
    """Run the groups one by one and compare what each gives, up to the function's results."""
    borders = {v for group in cut.groups for v in (*group.inputs, *group.outputs)}
    outputs = [atom for atom in cut.jaxpr.outvars if isinstance(atom, core.Var)]
    values = cut.values([*borders, *outputs], arguments)
    made: dict[Any, Any] = {}
    for group in cut.groups:
        inputs = [values[variable] for variable in group.inputs]
        made.update(zip(group.outputs, jax.jit(group.function)(*inputs), strict=True))
    for variable, value in made.items():
        _assert_close(value, values[variable])
    inputs_only = {v: values[v] for v in outputs if v not in made}
    finals = [
        atom.val if isinstance(atom, core.Literal) else {**inputs_only, **made}[atom]
        for atom in cut.jaxpr.outvars
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_groups_reproduce_the_whole(name: str) -> None:
    cut, result, arguments = _partition(name)
    _check_replay(cut, arguments, jax.tree.leaves(result))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_equation_belongs_to_exactly_one_group(name: str) -> None:
    cut, _, _ = _partition(name)
    placed = Counter(id(equation) for group in cut.groups for equation in group.jaxpr.eqns)
    assert placed == Counter(id(equation) for equation in cut.jaxpr.eqns)
    assert len({(group.layer, group.phase) for group in cut.groups}) == len(cut.groups)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_groups_are_sound_jaxprs_that_take_and_give_nothing_superfluous(name: str) -> None:
    cut, _, _ = _partition(name)
    core.check_jaxpr(cut.jaxpr)
    used_outside = {v for group in cut.groups for v in group.inputs} | {
        atom for atom in cut.jaxpr.outvars if isinstance(atom, core.Var)
    }
    for group in cut.groups:
        core.check_jaxpr(group.jaxpr)
        assert set(group.outputs) <= used_outside
        used = {
            a for equation in group.jaxpr.eqns for a in equation.invars if isinstance(a, core.Var)
        }
        assert set(group.inputs) <= used


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_call_hides_a_scope(name: str) -> None:
    """What runs once is taken apart; only loops, branches and scalar functions stay whole."""
    cut, _, _ = _partition(name)
    with_bodies = {
        equation.primitive.name
        for equation in cut.jaxpr.eqns
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
    cut, _, _ = _partition(name)
    by_group = {
        (group.layer, group.phase)
        for group in cut.groups
        for equation in group.jaxpr.eqns
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
    }
    assert by_xla == by_group


def test_layers_of_a_forward_pass() -> None:
    cut, _, _ = _partition("cnn")
    assert {(group.layer, group.phase) for group in cut.groups} == {
        ("SmallCNN", "forward"),
        *((f"SmallCNN/{layer}", "forward") for layer in ("conv1", "conv2", "dense1", "dense2")),
    }
    own = next(group for group in cut.groups if group.layer == "SmallCNN")
    assert {v.aval.shape for v in own.inputs} == {(2, 28, 28, 32), (2, 14, 14, 64), (2, 256)}
    conv2 = next(group for group in cut.groups if group.layer == "SmallCNN/conv2")
    assert [v.aval.shape for v in conv2.inputs] == [(2, 14, 14, 32), (3, 3, 32, 64), (64,)]
    assert [v.aval.shape for v in conv2.outputs] == [(2, 14, 14, 64)]


def test_layers_of_a_train_step() -> None:
    cut, _, _ = _partition("train step")
    places = {(group.layer, group.phase) for group in cut.groups}
    for layer in ("plain", "plain/dense", "again", "again/dense", "scanned"):
        assert (f"Blocks/{layer}", "forward") in places
        assert (f"Blocks/{layer}", "backward") in places
    assert ("optimizer", "update") in places
    assert {("loss", "forward"), ("loss", "backward")} <= places


def test_a_loop_belongs_to_what_all_of_its_inside_has_in_common() -> None:
    cut, _, _ = _partition("blocks")
    scanned = next(group for group in cut.groups if group.layer == "Blocks/scanned")
    assert scanned.covers == ("Blocks/scanned/dense",)
    assert not any(group.layer == "Blocks/scanned/dense" for group in cut.groups)


def test_a_branch_covers_the_layers_inside() -> None:
    cut, _, _ = _partition("control")
    covers = {group.layer: group.covers for group in cut.groups if group.covers}
    assert covers == {"Net/branch": ("Net/branch/dear",)}


def test_what_nobody_needs_is_in_no_group() -> None:
    cut, _, _ = _partition("control")
    assert not any(equation.primitive.name == "sin" for equation in cut.jaxpr.eqns)


def test_constants_flow_in_as_values_not_as_constants() -> None:
    table = jnp.arange(4096.0)

    def net(x: Any) -> Any:
        with jax.named_scope("add"):
            return x + table

    (group,) = layer_groups(jax.make_jaxpr(net)(table))
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
    cut = partition(traced)
    ones, total = cut.groups
    assert (ones.layer, len(ones.inputs), len(ones.outputs)) == ("ones", 0, 1)
    assert [v.aval.shape for v in total.outputs] == [()]
    _check_replay(cut, [jnp.arange(3.0)], [jnp.asarray(3.0)])


def test_an_effect_is_needed_although_it_gives_nothing() -> None:
    def net(x: Any) -> Any:
        with jax.named_scope("show"):
            jax.debug.callback(lambda _: None, x)
        return x

    (group,) = layer_groups(jax.make_jaxpr(net)(1.0))
    assert (group.layer, len(group.inputs), len(group.outputs)) == ("show", 1, 0)
    assert jax.jit(group.function)(1.0) == []


def test_a_function_that_does_nothing_has_no_groups() -> None:
    assert layer_groups(jax.make_jaxpr(lambda x: (x, 1.0))(2.0)) == ()


def test_layers_that_share_a_reference_cannot_be_cut_apart() -> None:
    def net(x: Any) -> Any:
        with jax.named_scope("make"):
            reference = jax.new_ref(x)
        with jax.named_scope("use"):
            reference[...] = x + 1.0
        return reference[...]

    with pytest.raises(InputError, match="mutable reference"):
        layer_groups(jax.make_jaxpr(net)(jnp.ones(3)))


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "a/c", "b/c"]),
        st.sampled_from(["add", "mul", "tanh", "call"]),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=12,
)


@jax.jit
def _call(x: Any, y: Any) -> Any:
    with jax.named_scope("inside"):
        return jnp.sin(x) + y


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": jnp.add,
    "mul": jnp.multiply,
    "tanh": lambda x, _: jnp.tanh(x),
    "call": _call,
}


@settings(max_examples=25, deadline=None)
@given(_STEPS)
def test_any_interleaving_of_scopes_can_be_cut(steps: list[tuple[str, str, int, int]]) -> None:
    def net(x: Any, y: Any) -> Any:
        values = [x, y]
        for scope, operation, first, second in steps:
            operands = values[first % len(values)], values[second % len(values)]
            if scope:
                with jax.named_scope(scope):
                    values.append(_OPERATIONS[operation](*operands))
            else:
                values.append(_OPERATIONS[operation](*operands))
        return values[-3:]

    arguments = [jnp.asarray([0.5, -1.0]), jnp.asarray([2.0, 0.1])]
    cut = partition(jax.make_jaxpr(net)(*arguments))
    assert sum(len(group.jaxpr.eqns) for group in cut.groups) == len(cut.jaxpr.eqns)
    _check_replay(cut, arguments, net(*arguments))
