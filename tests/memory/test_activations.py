"""Activation memory and what flows into it, against published figures and arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import edgegraph as eg
from edgegraph import xla
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Module
from edgegraph.memory.activations import (
    POLICIES,
    LayerActivations,
    Policy,
    activations,
    trace_activations,
)
from models.alexnet import alexnet
from models.mobilenet import mobilenet_v2
from models.resnet import resnet18, resnet50
from models.transformer import transformer_decode
from models.vgg import vgg16

KIB = 1024
FLAVORS: tuple[Literal["nnx", "linen"], ...] = ("nnx", "linen")


def network(workload: eg.Workload) -> Module:
    return eg.compile(workload, batch=1, stage="lowered").module


def lowered(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Module:
    """Lower a function of ``params`` (square weights of 8x8) and of inputs of these shapes."""
    params = {f"w{number}": jax.ShapeDtypeStruct((8, 8), "float32") for number in range(3)}
    inputs = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    return decode(xla.lowered_module(jax.jit(function, keep_unused=True).lower(params, *inputs)))


def layers_of(module: Module, policy: Policy = "liveness") -> tuple[LayerActivations, ...]:
    return activations(trace_activations(module), policy)


def elements(layers: Sequence[LayerActivations]) -> list[tuple[str, int]]:
    return [(layer.opcode, layer.elements) for layer in layers]


def largest(layers: Sequence[LayerActivations]) -> LayerActivations:
    return max(layers, key=lambda layer: layer.bytes)


def peaks(layers: Sequence[LayerActivations], depth: int) -> dict[str, int]:
    """Return the peak elements of every scope of `depth` names, in order of execution."""
    found: dict[str, int] = {}
    for layer in layers:
        scope = "/".join((layer.layer or "").split("/")[:depth])
        found[scope] = max(found.get(scope, 0), layer.elements)
    return found


@pytest.mark.parametrize("policy", ["in_out", "liveness"])
def test_the_lectures_alexnet(policy: Policy) -> None:
    layers = layers_of(network(alexnet()), policy)
    peak = largest(layers)
    assert (peak.elements, peak.bytes, peak.layer) == (440_928, 4 * 440_928, "AlexNet/conv1")
    image = 224 * 224 * 3
    assert image + sum(layer.output_elements for layer in layers) == 932_264


MOBILENET_V2_KIB = {
    "in_out": [539, 784, 1470, 882, 551.25, 294, 294, 183.75],
    "inplace_depthwise": [539, 588, 1372, 514.5, 514.5, 171.5, 171.5, 171.5],
}
"""Peak of the stem and the first seven blocks in int8; MCUNetV2 publishes the largest, 1372."""


@pytest.mark.parametrize("policy", ["in_out", "inplace_depthwise"])
def test_mobilenet_v2_in_int8(policy: Policy) -> None:
    layers = layers_of(network(mobilenet_v2()), policy)
    first = list(peaks(layers, 2).values())[:8]
    assert [peak / KIB for peak in first] == MOBILENET_V2_KIB[policy]
    assert largest(layers).elements == max(MOBILENET_V2_KIB[policy]) * KIB


def test_linen_needs_what_nnx_needs() -> None:
    flows = [trace_activations(network(mobilenet_v2(flavor=flavor))) for flavor in FLAVORS]
    for policy in POLICIES:
        nnx, linen = (peaks(activations(flow, policy), 3) for flow in flows)
        assert nnx == linen


@pytest.mark.parametrize(
    ("build", "published"),
    [(resnet18, 2_484_712), (resnet50, 11_114_984), (vgg16, 13_556_712)],
    ids=["resnet18", "resnet50", "vgg16"],
)
def test_outputs_of_convolutions_and_products(
    build: Callable[[], eg.Workload], published: int
) -> None:
    layers = layers_of(network(build()))
    products = [layer for layer in layers if layer.opcode in ("convolution", "dot")]
    assert sum(layer.output_elements for layer in products) == published


def test_a_residual_is_held_by_liveness_alone() -> None:
    def block(params: Any, x: Any) -> Any:
        return x + jax.nn.relu(x @ params["w0"]) @ params["w1"]

    module = lowered(block, (4, 8))
    two, three = 2 * 4 * 8, 3 * 4 * 8
    # The sum overwrites one of its operands.
    assert elements(layers_of(module, "in_out")) == [
        ("dot", two), ("dot", two), ("add", two),
    ]  # fmt: skip
    assert elements(layers_of(module, "liveness")) == [
        ("dot", two), ("dot", three), ("add", two),
    ]  # fmt: skip


def test_an_elementwise_op_copies_what_is_still_needed() -> None:
    def preactivation(params: Any, x: Any) -> Any:
        return x + jax.nn.relu(x) @ params["w0"]

    memory = layers_of(lowered(preactivation, (4, 8)), "liveness")
    # x and its ReLU; both and the product; the sum over one of two.
    assert elements(memory) == [("maximum", 64), ("dot", 96), ("add", 64)]


@pytest.mark.parametrize("function", [jax.nn.silu, jax.nn.gelu, jax.nn.relu, jnp.tanh])
@pytest.mark.parametrize("policy", ["in_out", "liveness"])
def test_an_activation_function_happens_in_place(
    function: Callable[[Any], Any], policy: Policy
) -> None:
    def net(params: Any, x: Any) -> Any:
        return function(x @ params["w0"]) @ params["w1"]

    memory = layers_of(lowered(net, (4, 8)), policy)
    assert elements(memory) == [("dot", 64), ("dot", 64)]


def test_softmax_happens_in_place() -> None:
    def net(params: Any, x: Any) -> Any:
        return jax.nn.softmax(x @ params["w0"]) @ params["w1"]

    memory = layers_of(lowered(net, (4, 8)), "liveness")
    # Each row has a maximum and a sum; the last product reads rows that are divided already.
    assert elements(memory) == [("dot", 64), ("reduce", 36), ("reduce", 40), ("dot", 64)]


def test_an_input_that_nothing_reads_is_not_held() -> None:
    def net(params: Any, x: Any, unused: Any) -> Any:
        return x @ params["w0"]

    memory = layers_of(lowered(net, (4, 8), (1000,)), "liveness")
    assert largest(memory).elements == 64


def test_a_program_without_layers_needs_none() -> None:
    assert layers_of(lowered(lambda params, x: x, (4, 8))) == ()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["dot", "relu", "silu", "add", "concatenate"]), st.integers(0, 99)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_policy_lacks_what_it_must_hold(program: list[tuple[str, int]]) -> None:
    def net(params: Any, x: Any) -> Any:
        values = [x]
        for kind, pick in program:
            value, other = values[pick % len(values)], values[pick * 7 % len(values)]
            match kind:
                case "dot":
                    values.append(value @ params["w0"])
                case "relu":
                    values.append(jax.nn.relu(value))
                case "silu":
                    values.append(jax.nn.silu(value))
                case "add":
                    values.append(value + other)
                case _:
                    values.append(jnp.concatenate([value, other])[::2])
        return values[-1]

    module = lowered(net, (4, 8))
    by_layer = layers_of(module, "in_out")
    alive = layers_of(module, "liveness")
    held = {layer.name: layer.elements for layer in alive}
    for layer in by_layer:
        assert held[layer.name] >= layer.elements
    everything = 4 * 8 + sum(layer.output_elements for layer in alive)
    assert all(count <= everything for count in held.values())


def test_four_bit_activations_are_packed() -> None:
    module = decode(
        xla.parse_text("""HloModule m
        ENTRY e { x = s4[3,8] parameter(0), metadata={op_name="x"}
                  w = s4[8,7] parameter(1), metadata={op_name="params['w']"}
                  ROOT y = s4[3,7] dot(x, w),
                    lhs_contracting_dims={1}, rhs_contracting_dims={0} }""")
    )
    (layer,) = layers_of(module, "in_out")
    # 24 numbers in 12 bytes, 21 in 11.
    assert (layer.elements, layer.bytes) == (45, 12 + 11)


def test_a_gate_joins_two_activations() -> None:
    def net(params: Any, x: Any) -> Any:
        return (jax.nn.silu(x @ params["w0"]) * (x @ params["w1"])) @ params["w2"]

    memory = layers_of(lowered(net, (4, 8)), "in_out")
    assert elements(memory) == [("dot", 64), ("dot", 64), ("multiply", 64), ("dot", 64)]


def test_views_and_weights_are_free() -> None:
    def net(params: Any, x: Any) -> Any:
        turned = (params["w0"] * 2).T
        return (x.reshape(8, 4).T @ turned)[:2]

    memory = layers_of(lowered(net, (4, 8)), "liveness")
    assert elements(memory) == [("dot", 64)]


def test_a_call_is_looked_into() -> None:
    @jax.jit
    def inner(params: Any, x: Any) -> Any:
        return jax.nn.relu(x @ params["w0"]), x @ params["w1"]

    def net(params: Any, x: Any) -> Any:
        first, second = inner(params, x)
        return first @ params["w2"] + second

    memory = layers_of(lowered(net, (4, 8)), "liveness")
    assert [opcode for opcode, _ in elements(memory)] == ["dot", "dot", "dot", "add"]
    assert largest(memory).elements == 96


def test_a_loop_is_one_layer() -> None:
    def net(params: Any, x: Any) -> Any:
        return lax.fori_loop(0, 3, lambda _, x: jnp.tanh(x @ params["w0"]), x)

    (layer,) = layers_of(lowered(net, (4, 8)), "in_out")
    assert layer.opcode == "while"
    assert layer.elements >= 64


def test_a_cache_is_state() -> None:
    workload = transformer_decode(context=4096, width=32, depth=2, heads=4, vocabulary=50)
    memory = layers_of(network(workload), "liveness")
    # Scores of every head for every position of the cache, and no keys or values.
    assert largest(memory).elements < 2 * 4 * 4096


def test_an_optimised_module_is_refused() -> None:
    x = jax.ShapeDtypeStruct((64, 64), "float32")
    compiled = jax.jit(lambda x: jnp.tanh(x) + jnp.sin(x) * 2).lower(x).compile()
    with pytest.raises(InputError, match=r"is optimised: .* give the module of stage='lowered'"):
        trace_activations(decode(xla.compiled_module(compiled)))


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
