"""Modules of one class are told apart by the arguments that they read, as Equinox names both."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import pytest

import edgegraph as eg
from edgegraph.analysis.instances import is_class, name_instances
from edgegraph.hlo.sources import Sources


@jax.tree_util.register_dataclass
@dataclass
class Linear:
    """Named as `equinox.nn.Linear` is."""

    weight: Any
    bias: Any

    def __call__(self, x: Any) -> Any:
        with jax.named_scope("eqx.nn.Linear"):
            return x @ self.weight.T + self.bias


@jax.tree_util.register_dataclass
@dataclass
class MLP:
    """Named as `equinox.nn.MLP` is."""

    layers: list[Any]

    def __call__(self, x: Any) -> Any:
        with jax.named_scope("eqx.nn.MLP"):
            return self.layers[1](jax.nn.relu(self.layers[0](x)))


@jax.tree_util.register_dataclass
@dataclass
class Model:
    """Two layers of one class, and two more in another module."""

    a: Any
    b: Any
    mlp: Any

    def __call__(self, x: Any) -> Any:
        return self.mlp(self.b(jax.nn.relu(self.a(x))))


BATCH, WIDTH = 5, 8
PRODUCT = BATCH * WIDTH * WIDTH
NAMES = ("a", "b", "mlp/layers_0", "mlp/layers_1")


def array(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, "float32")


def linear() -> Linear:
    return Linear(array(WIDTH, WIDTH), array(WIDTH))


ARGUMENTS = Model(linear(), linear(), MLP([linear(), linear()])), array(BATCH, WIDTH)


class Filtered:
    """As `equinox.filter_jit` makes them: it lowers by itself, and hands arrays on in a list."""

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function

    def __call__(self, *_: Any) -> Any:
        raise AssertionError("it is never called")

    def lower(self, *args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        jitted = jax.jit(lambda lost: self.__wrapped__(*jax.tree.unflatten(structure, lost)))
        return SimpleNamespace(lowered=jitted.lower(leaves))


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_arrays_that_were_handed_on_in_a_list_keep_their_paths(stage: str) -> None:
    function = Filtered(lambda unused, m, x: m(x))
    analysis = eg.analyze(function, args=(array(3), *ARGUMENTS), stage=stage)
    layers = analysis.layers[analysis.layers.leaf].set_index("layer")
    assert layers.loc[[*NAMES], "macs"].tolist() == [PRODUCT] * 4
    assert layers.loc[[*NAMES], "params"].tolist() == [WIDTH * WIDTH + WIDTH] * 4
    assert layers["params"].sum() == 4 * (WIDTH * WIDTH + WIDTH)


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_two_modules_of_a_class_have_a_row_each(stage: str) -> None:
    analysis = eg.analyze(lambda m, x: m(x), args=ARGUMENTS, stage=stage)
    layers = analysis.layers[analysis.layers.leaf].set_index("layer")
    assert layers.loc[[*NAMES], "macs"].tolist() == [PRODUCT] * 4
    assert layers.loc[[*NAMES], "params"].tolist() == [WIDTH * WIDTH + WIDTH] * 4
    assert analysis.totals.macs == 4 * PRODUCT


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_gradients_stand_with_their_modules(stage: str) -> None:
    gradient = jax.grad(lambda m, x: (m(x) ** 2).sum())
    layers = eg.analyze(gradient, args=ARGUMENTS, stage=stage).layers
    backward = layers[layers.leaf & (layers.phase == "backward")].set_index("layer").macs
    # The first needs no gradient towards its input.
    assert backward[[*NAMES]].tolist() == [PRODUCT, *[2 * PRODUCT] * 3]


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_weight_gradients_stand_with_their_modules_behind_views(stage: str) -> None:
    """As `equinox.nn.Conv2d` is under vmap: both operands are rearranged, each time anew."""

    def convolve(x: Any, kernel: Any) -> Any:
        with jax.named_scope("eqx.nn.Conv"):
            return jax.lax.conv_general_dilated(x[None], kernel, (1, 1), "VALID")[0]

    def squares(m: Any, x: Any) -> Any:
        def net(x: Any) -> Any:
            return convolve(jax.nn.relu(convolve(x, m["a"]["k"])), m["b"]["k"])

        return (jax.vmap(net)(x) ** 2).sum()

    m = {"a": {"k": array(8, 1, 3, 3)}, "b": {"k": array(8, 8, 3, 3)}}
    layers = eg.analyze(jax.grad(squares), args=(m, array(4, 1, 12, 12)), stage=stage).layers
    macs = layers[layers.leaf].set_index(["layer", "phase"]).macs
    first, second = 4 * 10 * 10 * 8 * 9, 4 * 8 * 8 * 8 * 8 * 9
    assert (macs["a", "forward"], macs["b", "forward"]) == (first, second)
    # No gradient towards the input; that of the second is the full correlation, padded by 2.
    assert macs["a", "backward"] == first
    assert macs["b", "backward"] >= 2 * second
    assert macs.sum() == macs["a"].sum() + macs["b"].sum()


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_without_scopes_an_op_belongs_to_the_path_of_its_weights(stage: str) -> None:
    def net(p: Any, x: Any) -> Any:
        for layer in p["layers"]:
            x = jax.nn.relu(x @ layer["weight"] + layer["bias"])
        return x @ p["head"]

    p = {
        "layers": [{"weight": array(WIDTH, WIDTH), "bias": array(WIDTH)} for _ in range(2)],
        "head": array(WIDTH, WIDTH),
    }
    rows = eg.analyze(net, args=(p, array(BATCH, WIDTH)), stage=stage).layers.set_index("layer")
    assert rows.macs[["layers_0", "layers_1"]].tolist() == [PRODUCT] * 2
    assert rows.params[["layers_0", "layers_1"]].tolist() == [WIDTH * WIDTH + WIDTH] * 2


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_matrices_that_no_module_holds_have_rows_of_their_own(stage: str) -> None:
    def policy(p: Any, x: Any) -> Any:
        return jax.nn.tanh(x @ p["w1"]) @ p["w2"]

    p = {"w1": array(WIDTH, WIDTH), "w2": array(WIDTH, 2)}
    rows = eg.analyze(policy, args=(p, array(BATCH, WIDTH)), stage=stage).layers.set_index("layer")
    assert rows.macs.to_dict() == {"w1": PRODUCT, "w2": BATCH * WIDTH * 2}
    assert rows.params.to_dict() == {"w1": WIDTH * WIDTH, "w2": WIDTH * 2}


def test_other_names_are_left_alone() -> None:
    assert is_class("Net/eqx.nn.Conv")
    assert not is_class("Net/Conv_0")
    assert not is_class(None)
    assert name_instances(Sources([]), ["Net/Conv_0", None], {}) == ({}, ())
