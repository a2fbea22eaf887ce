"""How activations flow: what makes, reads and overwrites them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from edgegraph import xla
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.memory.activations import activation_memory
from edgegraph.memory.dataflow import is_held, trace_activations
from models.transformer import transformer_decode
from tests.memory.test_activations import elements, lowered, network


def test_a_gate_joins_two_activations() -> None:
    def net(params: Any, x: Any) -> Any:
        return (jax.nn.silu(x @ params["w0"]) * (x @ params["w1"])) @ params["w2"]

    memory = activation_memory(lowered(net, (4, 8)), policy="in_out")
    assert elements(memory) == [("dot", 64), ("dot", 64), ("multiply", 64), ("dot", 64)]


def test_views_and_weights_are_free() -> None:
    def net(params: Any, x: Any) -> Any:
        turned = (params["w0"] * 2).T
        return (x.reshape(8, 4).T @ turned)[:2]

    memory = activation_memory(lowered(net, (4, 8)), policy="liveness")
    assert elements(memory) == [("dot", 64)]


def test_a_call_is_looked_into() -> None:
    @jax.jit
    def inner(params: Any, x: Any) -> Any:
        return jax.nn.relu(x @ params["w0"]), x @ params["w1"]

    def net(params: Any, x: Any) -> Any:
        first, second = inner(params, x)
        return first @ params["w2"] + second

    memory = activation_memory(lowered(net, (4, 8)), policy="liveness")
    assert [opcode for opcode, _ in elements(memory)] == ["dot", "dot", "dot", "add"]
    assert memory.peak_elements == 96


def test_a_loop_is_one_layer() -> None:
    def net(params: Any, x: Any) -> Any:
        return lax.fori_loop(0, 3, lambda _, x: jnp.tanh(x @ params["w0"]), x)

    (layer,) = activation_memory(lowered(net, (4, 8)), policy="in_out").layers
    assert layer.opcode == "while"
    assert layer.elements >= 64


def test_a_cache_is_state() -> None:
    workload = transformer_decode(context=4096, width=32, depth=2, heads=4, vocabulary=50)
    memory = activation_memory(network(workload), policy="liveness")
    # Scores of every head for every position of the cache, and no keys or values.
    assert memory.peak_elements < 2 * 4 * 4096


def test_an_optimised_module_is_refused() -> None:
    x = jax.ShapeDtypeStruct((64, 64), "float32")
    compiled = jax.jit(lambda x: jnp.tanh(x) + jnp.sin(x) * 2).lower(x).compile()
    with pytest.raises(InputError, match=r"is optimised: .* give the module of stage='lowered'"):
        activation_memory(decode(xla.compiled_module(compiled)))


def test_who_reads_what_and_what_is_written_over() -> None:
    def net(params: Any, x: Any) -> Any:
        hidden = x @ params["w0"]
        return jnp.tanh(hidden) @ params["w1"] + hidden

    flow = trace_activations(lowered(net, (4, 8)))
    # x, its product, the tanh of that, the product of the tanh, and the sum with what came before.
    assert [shape.size for shape in flow.shapes] == [32] * 5
    assert flow.inputs == (0,)
    assert flow.outputs == {4}
    assert [(s.opcode, s.reads, s.makes, s.in_place, s.joins) for s in flow.steps] == [
        ("dot", (0,), 1, False, False),
        ("tanh", (1,), 2, True, False),
        ("dot", (2,), 3, False, False),
        ("add", (3, 1), 4, True, True),
    ]


def test_convolutions_of_every_channel_by_itself_are_told() -> None:
    def net(params: Any, x: Any) -> Any:
        w = params["w0"]
        for groups, kernel in ((8, w[:1]), (1, w), (1, w[:, :1]), (1, w[:1, :1])):
            x = lax.conv_general_dilated(
                x, kernel[None, None], (1, 1), "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
            )  # fmt: skip
        return x

    flow = trace_activations(lowered(net, (1, 4, 4, 8)))
    assert [s.depthwise for s in flow.steps if s.opcode == "convolution"] == [
        True, False, False, False
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("op_name", "is_state"),
    [
        ("params['dense']['kernel']", True), ("batch_stats['mean']", True), ("x", False),
        ("opt_state[0].mu['dense']['kernel']", True), ("images[0]", False),
    ],
)  # fmt: skip
def test_arguments_that_are_state(op_name: str, is_state: bool) -> None:
    assert is_held(op_name) == is_state
