"""Arguments as people hand them in, and which of them are parameters of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import edgegraph as eg
from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import Node, flatten
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.hlo.parameters import ModelArguments, ParameterName, model_arguments, module_paths

Arguments = Mapping[str, tuple[int, ...] | Shape]


def read(arguments: Arguments, *, trains: bool = False, multiplies: bool = True) -> ModelArguments:
    """Find the parameters among arguments, whose nodes are called like them.

    A product reads all of them, or something else does.
    """
    instructions = [
        Instruction(
            name=op_name,
            opcode="parameter",
            shape=shape if isinstance(shape, Shape) else Shape(dtype="f32", dimensions=shape),
            op_name=op_name,
            parameter_number=number,
        )
        for number, (op_name, shape) in enumerate(arguments.items())
    ]
    gradient = "jit(f)/transpose(jvp())/mul" if trains else "jit(f)/mul"
    opcode, operands = "dot" if multiplies else "add", tuple(arguments)
    instructions.append(
        Instruction(
            name="y", opcode=opcode, operands=operands, shape=Shape(dtype="f32"), op_name=gradient
        )
    )
    return model_arguments(
        [
            Node(
                name=each.name, opcode=each.opcode, instruction=each,
                computation="main", parent=None, operands=each.operands, position=position,
            )
            for position, each in enumerate(instructions)
        ]
    )  # fmt: skip


def found(op_name: str) -> dict[str, tuple[str, str]]:
    parameters = read({op_name: (4, 8)}).parameters
    return {name: (each.path, each.leaf) for name, each in parameters.items()}


@pytest.mark.parametrize(
    ("op_name", "path", "leaf"),
    [
        ("params['conv1']['kernel']", "conv1", "kernel"),
        ("params['kernel']", "", "kernel"),
        ("params['my_own_leaf']", "", "my_own_leaf"),
        ("variables['params']['a']['b']['kernel']", "a/b", "kernel"),
        ("args[0]['params']['a']['kernel']", "a", "kernel"),
        ("train_state.params['params']['conv1']['bias']", "conv1", "bias"),
        ("state.params['conv1']['bias']", "conv1", "bias"),
        ("params['blocks'][0]['dense']['kernel']", "blocks_0/dense", "kernel"),
        ("params['blocks'][1]['dense']['kernel'].value", "blocks_1/dense", "kernel"),
        ("params['blocks'][1]['dense']['kernel'].raw_value", "blocks_1/dense", "kernel"),
        ("params['w'][0]", "", "w_0"),
        ("state['conv1']['kernel'].value", "conv1", "kernel"),
        ("model['conv1']['my_own_leaf'].value", "conv1", "my_own_leaf"),
        ("p['conv1']['kernel']", "conv1", "kernel"),
        ("variables['params'][\"it's\"]['b']", "it's", "b"),
        ("variables['params']['a/b']['k\"q']", "a/b", 'k"q'),
        (r"params['a\'b\"']['k']", "a'b\"", "k"),
        ("params.conv1.kernel", "conv1", "kernel"),
        ("m.a.weight", "a", "weight"),
        ("m.layers[2].weight", "layers_2", "weight"),
        ("p[0]['w']", "p_0", "w"),
        ("params['mlp/~/linear_0']['w']", "mlp/linear_0", "w"),
        ("params['net/~encode/conv']['w']", "net/conv", "w"),
    ],
)
def test_a_parameters_path_and_name(op_name: str, path: str, leaf: str) -> None:
    assert found(op_name) == {op_name: (path, leaf)}


@pytest.mark.parametrize(
    "op_name",
    [
        "", "x", "params", "reduce_sum", "batch[0]", "batch[1]['image']", "labels['params'",
        "variables['batch_stats']['bn']['mean']",
        "state['bn']['mean']", "state['bn']['mean'].value", "state['bn']['var'].value",
        "opt_state[0].count", "opt_state[0].mu['conv1']['kernel']",
        "opt_state[0].nu['params']['conv1']['kernel']",
        "train_state.opt_state[0].mu['conv1']['kernel']",
        "grads['conv1']['kernel']", "jit(f)/params['a']", "params['a'] b", "params['a",
        "state['rngs']['default']['count'].value",
    ],
)  # fmt: skip
def test_what_is_no_parameter_of_the_model(op_name: str) -> None:
    assert found(op_name) == {}


INT = Shape(dtype="s32", dimensions=(8,))
DENSE: dict[str, Any] = {"p['weight']": (784, 256), "p['bias']": (256,)}
SQUARE = {"p['w']": (16, 16), "p['b']": (16,)}


@pytest.mark.parametrize(
    ("parameters", "others"),
    [
        (DENSE, {"x": (8, 784)}),
        (SQUARE, {"x": (8, 16)}),
        ({"theta['A']": (16, 4)}, {"d['x']": (8, 16), "d['y']": (8, 4)}),
        (DENSE, {"batch['image']": (8, 784), "batch['scale']": (1,)}),
        (DENSE, {"d['image']": (8, 784), "d['label']": INT}),
        (DENSE, {"inputs[0]": (8, 784), "inputs[1]": (4, 4)}),
        (DENSE, {"c.x": (8, 784), "c.y": (8,)}),
        ({f"args[0]{name[1:]}": shape for name, shape in DENSE.items()}, {"args[1]": (8, 784)}),
        ({"p[0][0]": (8, 4), "p[0][1]": (4,), "p[1][0]": (4, 4), "p[1][1]": (4,)}, {"x": (2, 8)}),
        ({"params['w']": (8, 8)}, {"batch['x']": (4, 8), "batch['y']": (4, 8)}),
        ({"g_params['w']": (8, 8), "d_params['w']": (8, 8)}, {"x": (4, 8)}),
        ({"enc['w']": (8, 4), "enc['b']": (4,), "dec['w']": (4, 8), "dec['b']": (8,)}, {}),
        (DENSE | {"p['codes']": Shape(dtype="s8", dimensions=(784, 8))}, {}),
        ({"ts['net']['w']": (8, 4), "ts['net']['b']": (4,)}, {"ts['step']": INT}),
    ],
)  # fmt: skip
def test_a_tree_is_one_of_parameters_as_a_whole(parameters: Any, others: Any) -> None:
    for arguments in (parameters | others, others | parameters):
        if next(iter(arguments)) in parameters or "x" in others or "inputs[0]" in others:
            assert read(arguments).parameters.keys() == parameters.keys()


@pytest.mark.parametrize(
    "moving",
    [{"s['x']": (64, 3), "s['v']": (64, 3)}, {"s.position": (64, 3), "s.mass": ()}],
)
@pytest.mark.parametrize("trains", [False, True])
def test_what_no_product_reads_holds_parameters_where_it_is_called_so(
    moving: Any, trains: bool
) -> None:
    assert not read(moving, multiplies=False, trains=trains).parameters
    named = {name.replace("s", "params", 1): shape for name, shape in moving.items()}
    assert read(named, multiplies=False).parameters.keys() == named.keys()


def test_trees_that_stand_side_by_side_keep_their_names() -> None:
    names = read({"enc['w']": (8, 4), "enc['b']": (4,), "dec['w']": (4, 8), "dec['b']": (8,)})
    assert {name.path for name in names.parameters.values()} == {"enc", "dec"}


def test_paths_of_modules_are_asked_for_where_one_is_called_like_a_scope_of_jax() -> None:
    def paths(*found: str) -> frozenset[str]:
        return module_paths(ParameterName(path=path, leaf="w") for path in found)

    assert paths("a/b", "c") == frozenset()
    assert paths("a/checkpoint/c", "d") == {"a", "a/checkpoint", "a/checkpoint/c", "d"}


def test_an_optimisers_state_repeats_the_parameters() -> None:
    state: dict[str, Any] = {
        "opt[0].count": INT, "opt[0].mu['weight']": (784, 256), "opt[0].mu['bias']": (256,),
        "v['weight']": (784, 256), "v['bias']": (256,),
    }  # fmt: skip
    arguments = read(DENSE | state | {"x": (8, 784)}, trains=True)
    assert arguments.parameters.keys() == DENSE.keys()
    assert arguments.held == (DENSE | state).keys()


@pytest.mark.parametrize(
    ("op_name", "is_state"),
    [
        ("params['dense']['kernel']", True), ("batch_stats['mean']", True), ("x", False),
        ("opt_state[0].mu['dense']['kernel']", True), ("images[0]", False),
    ],
)  # fmt: skip
def test_arguments_that_are_state(op_name: str, is_state: bool) -> None:
    assert (op_name in read({op_name: (4,)}).held) == is_state


@given(st.text(alphabet="pab[]0.'\\", max_size=40))
def test_any_text_is_read_without_error(text: str) -> None:
    read({text: (4, 8)})


def test_a_deep_path_is_read_without_error() -> None:
    read({"p" + ".a" * 10_000: INT})


def test_a_function_of_a_dict_and_an_array() -> None:
    def dense(p: Any, x: Any) -> Any:
        return x @ p["weight"] + p["bias"]

    shapes = {"weight": (784, 256), "bias": (256,)}
    p = {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}
    analysis = eg.analyze(dense, args=(p, jax.ShapeDtypeStruct((32, 784), "float32")))
    assert analysis.totals.params == 784 * 256 + 256
    assert analysis.live_memory is not None
    assert analysis.live_memory.peak_by_kind["weights"] == 4 * (784 * 256 + 256)


def test_parameters_of_a_raw_nnx_model() -> None:
    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.blocks = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
            self.norm = nnx.BatchNorm(4, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            for block in self.blocks:
                x = block(x)
            y: jax.Array = self.norm(x)
            return y

    graph, params, *rest = nnx.split(Net(), nnx.Param, ...)
    state = rest[0]

    def forward(params: Any, state: Any, x: jax.Array) -> Any:
        return nnx.merge(graph, params, state)(x)

    lowered = jax.jit(forward, keep_unused=True).lower(params, state, jnp.ones((2, 4)))
    parameters = model_arguments(flatten(decode(xla.lowered_module(lowered)))).parameters
    linear = {(f"blocks_{k}", leaf) for k in range(2) for leaf in ("kernel", "bias")}
    assert {(name.path, name.leaf) for name in parameters.values()} == linear | {
        ("norm", "scale"), ("norm", "bias"),
    }  # fmt: skip
