"""Activation memory, against published figures and arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgegraph as eg
from edgegraph import xla
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Module
from edgegraph.memory.activations import ActivationMemory, Policy, activation_memory
from models.alexnet import alexnet
from models.mobilenet import mobilenet_v2
from models.resnet import resnet18, resnet50
from models.vgg import vgg16

KIB = 1024


def network(workload: eg.Workload) -> Module:
    return eg.compile(workload, batch=1, stage="lowered").module


def lowered(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Module:
    """Lower a function of ``params`` (square weights of 8x8) and of inputs of these shapes."""
    params = {f"w{number}": jax.ShapeDtypeStruct((8, 8), "float32") for number in range(3)}
    inputs = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    return decode(xla.lowered_module(jax.jit(function, keep_unused=True).lower(params, *inputs)))


def elements(memory: ActivationMemory) -> list[tuple[str, int]]:
    return [(layer.opcode, layer.elements) for layer in memory.layers]


@pytest.mark.parametrize("policy", ["in_out", "liveness"])
def test_the_lectures_alexnet(policy: Policy) -> None:
    memory = activation_memory(network(alexnet()), policy=policy)
    assert memory.peak_elements == 440_928
    assert memory.peak_bytes == 4 * 440_928
    assert memory.peak is not None
    assert memory.peak.layer == "AlexNet/conv1"
    assert memory.total_elements == 932_264


MOBILENET_V2_KIB = {
    "in_out": [539, 784, 1470, 882, 551.25, 294, 294, 183.75],
    "inplace_depthwise": [539, 588, 1372, 514.5, 514.5, 171.5, 171.5, 171.5],
}
"""Peak of the stem and the first seven blocks in int8; MCUNetV2 publishes the largest, 1372."""


@pytest.mark.parametrize("policy", ["in_out", "inplace_depthwise"])
def test_mobilenet_v2_in_int8(policy: Policy) -> None:
    memory = activation_memory(network(mobilenet_v2()), policy=policy, dtype="s8")
    first = list(memory.peaks(2).values())[:8]
    assert [peak / KIB for peak in first] == MOBILENET_V2_KIB[policy]
    assert memory.peak_bytes == max(MOBILENET_V2_KIB[policy]) * KIB


def test_linen_needs_what_nnx_needs() -> None:
    for policy in ("in_out", "inplace_depthwise", "liveness"):
        nnx, linen = (
            activation_memory(network(mobilenet_v2(flavor=flavor)), policy=policy)
            for flavor in ("nnx", "linen")
        )
        assert nnx.peaks(3) == linen.peaks(3)


@pytest.mark.parametrize(
    ("build", "published"),
    [(resnet18, 2_484_712), (resnet50, 11_114_984), (vgg16, 13_556_712)],
    ids=["resnet18", "resnet50", "vgg16"],
)
def test_outputs_of_convolutions_and_products(
    build: Callable[[], eg.Workload], published: int
) -> None:
    layers = activation_memory(network(build())).layers
    products = [layer for layer in layers if layer.opcode in ("convolution", "dot")]
    assert sum(layer.output_elements for layer in products) == published


def test_a_residual_is_held_by_liveness_alone() -> None:
    def block(params: Any, x: Any) -> Any:
        return x + jax.nn.relu(x @ params["w0"]) @ params["w1"]

    module = lowered(block, (4, 8))
    two, three = 2 * 4 * 8, 3 * 4 * 8
    # The sum overwrites one of its operands.
    assert elements(activation_memory(module, policy="in_out")) == [
        ("dot", two), ("dot", two), ("add", two),
    ]  # fmt: skip
    assert elements(activation_memory(module, policy="liveness")) == [
        ("dot", two), ("dot", three), ("add", two),
    ]  # fmt: skip


def test_an_elementwise_op_copies_what_is_still_needed() -> None:
    def preactivation(params: Any, x: Any) -> Any:
        return x + jax.nn.relu(x) @ params["w0"]

    memory = activation_memory(lowered(preactivation, (4, 8)), policy="liveness")
    # x and its ReLU; both and the product; the sum over one of two.
    assert elements(memory) == [("maximum", 64), ("dot", 96), ("add", 64)]


@pytest.mark.parametrize("function", [jax.nn.silu, jax.nn.gelu, jax.nn.relu, jnp.tanh])
@pytest.mark.parametrize("policy", ["in_out", "liveness"])
def test_an_activation_function_happens_in_place(
    function: Callable[[Any], Any], policy: Policy
) -> None:
    def net(params: Any, x: Any) -> Any:
        return function(x @ params["w0"]) @ params["w1"]

    memory = activation_memory(lowered(net, (4, 8)), policy=policy)
    assert elements(memory) == [("dot", 64), ("dot", 64)]


def test_softmax_happens_in_place() -> None:
    def net(params: Any, x: Any) -> Any:
        return jax.nn.softmax(x @ params["w0"]) @ params["w1"]

    memory = activation_memory(lowered(net, (4, 8)), policy="liveness")
    # Each row has a maximum and a sum; the last product reads rows that are divided already.
    assert elements(memory) == [("dot", 64), ("reduce", 36), ("reduce", 40), ("dot", 64)]


def test_an_input_that_nothing_reads_is_not_held() -> None:
    def net(params: Any, x: Any, unused: Any) -> Any:
        return x @ params["w0"]

    memory = activation_memory(lowered(net, (4, 8), (1000,)), policy="liveness")
    assert memory.peak_elements == 64


def test_a_program_without_layers_needs_its_input() -> None:
    memory = activation_memory(lowered(lambda params, x: x, (4, 8)), policy="in_out")
    assert (memory.peak, memory.peak_elements, memory.peak_bytes) == (None, 32, 0)


def test_unknown_policy_and_dtype_are_refused() -> None:
    module = lowered(lambda params, x: x, (4, 8))
    with pytest.raises(InputError, match="policy 'best' is unknown; expected one of in_out"):
        activation_memory(module, policy="best")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InputError, match="dtype 'int8' is not one of XLA's"):
        activation_memory(module, dtype="int8")


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
    by_layer = activation_memory(module, policy="in_out")
    alive = activation_memory(module, policy="liveness")
    held = {layer.name: layer.elements for layer in alive.layers}
    for layer in by_layer.layers:
        assert held[layer.name] >= layer.elements
    everything = alive.input_elements + sum(layer.output_elements for layer in alive.layers)
    assert all(count <= everything for count in held.values())


def test_four_bit_activations_are_packed() -> None:
    memory = activation_memory(
        lowered(lambda params, x: x @ params["w0"][:, :7], (3, 8)), policy="in_out", dtype="s4"
    )
    # 24 numbers in 12 bytes, 21 in 11.
    assert (memory.peak_elements, memory.peak_bytes) == (45, 12 + 11)
