from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn
from msgspec import structs

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.attribution import attribute, attribute_frames
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Instruction
from tests import programs
from tests.analysis.test_places import F32, node
from tests.hlo.test_frames import chain, module


def test_every_op_of_a_fused_network_keeps_its_layer() -> None:
    nodes = flatten(programs.module(programs.small_cnn, 32))
    attributions = attribute(nodes)
    work = {
        (n.instruction.opcode, attributions[n.name].layer)
        for n in nodes
        if n.instruction.opcode in ("convolution", "dot")
    }
    assert work == {
        ("convolution", "SmallCNN/conv1"),
        ("convolution", "SmallCNN/conv2"),
        ("dot", "SmallCNN/dense1"),
        ("dot", "SmallCNN/dense2"),
    }


def test_parameters_belong_to_the_layer_that_owns_them() -> None:
    nodes = flatten(programs.module(programs.small_cnn, 1))
    attributions = attribute(nodes)
    owner = {
        n.instruction.op_name: attributions[n.name].layer
        for n in nodes
        if n.parent is None and n.instruction.opcode == "parameter"
    }
    assert owner["params['conv1']['kernel']"] == "SmallCNN/conv1"
    assert owner["params['dense2']['bias']"] == "SmallCNN/dense2"


def test_a_container_that_spans_layers_is_placed_in_their_common_ancestor() -> None:
    nodes = [
        node("fusion", "fusion", "jit(f)/Net/b/dot_general"),
        node("x", "multiply", "jit(f)/Net/a/mul", parent="fusion"),
        node("y", "dot", "jit(f)/Net/b/dot_general", "x", parent="fusion"),
    ]
    assert attribute(nodes)["fusion"].layer == "Net"


def test_phases_of_a_gradient() -> None:
    nodes = flatten(programs.module(programs.small_cnn_gradient, 4))
    attributions = attribute(nodes)
    convolutions = sorted(
        (attributions[n.name].layer, attributions[n.name].phase)
        for n in nodes
        if n.instruction.opcode == "convolution"
    )
    # conv1 needs no gradient towards its input.
    assert convolutions == [
        ("SmallCNN/conv1", "backward"),
        ("SmallCNN/conv1", "forward"),
        ("SmallCNN/conv2", "backward"),
        ("SmallCNN/conv2", "backward"),
        ("SmallCNN/conv2", "forward"),
    ]


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_the_backward_pass_of_a_function_without_scopes_is_a_phase_too(stage: str) -> None:
    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        return jnp.tanh(x @ w).sum()

    x = jax.ShapeDtypeStruct((16, 32), jnp.float32)
    w = jax.ShapeDtypeStruct((32, 64), jnp.float32)
    analysis = eg.analyze(jax.grad(loss, (0, 1)), args=(x, w), stage=stage)
    layers = analysis.layers.set_index(["layer", "phase"])
    assert layers.macs.to_dict() == {
        ("(unattributed)", "forward"): 16 * 32 * 64,
        ("(unattributed)", "backward"): 2 * 16 * 32 * 64,
    }


def test_before_optimisation_scopes_inside_called_functions_are_complete() -> None:
    @jax.jit
    def inner(x: jax.Array) -> jax.Array:
        with jax.named_scope("inner"):
            return jnp.sin(x)

    def outer(x: jax.Array) -> jax.Array:
        with jax.named_scope("outer"):
            result: jax.Array = inner(x)
        return result

    lowered = jax.jit(outer).lower(jax.ShapeDtypeStruct((4,), jnp.float32))
    nodes = flatten(decode(xla.lowered_module(lowered)))
    attributions = attribute(nodes)
    sine = next(n for n in nodes if n.instruction.opcode == "sine")
    assert attributions[sine.name].layer == "outer/inner"


def test_before_optimisation_loops_inside_called_functions_are_complete() -> None:
    @jax.jit
    def inner(x: jax.Array) -> jax.Array:
        with jax.named_scope("inner"):
            result: jax.Array = jax.lax.fori_loop(0, 3, lambda _, value: jnp.sin(value), x)
        return result

    def outer(x: jax.Array) -> jax.Array:
        with jax.named_scope("outer"):
            result: jax.Array = inner(x)
        return result

    lowered = jax.jit(outer).lower(jax.ShapeDtypeStruct((4,), jnp.float32))
    nodes = flatten(decode(xla.lowered_module(lowered)))
    attributions = attribute(nodes)
    sine = next(n for n in nodes if n.instruction.opcode == "sine")
    assert attributions[sine.name].layer == "outer/inner"


def test_a_dot_without_metadata_belongs_to_the_layer_whose_weights_it_reads() -> None:
    """At batch 1 XLA rewrites a dense layer's dot and drops its op_name."""
    nodes = flatten(programs.module(programs.small_cnn, 1))
    attributions = attribute(nodes)
    dots = [n for n in nodes if n.instruction.opcode == "dot"]
    assert {n.instruction.op_name for n in dots} == {""}
    assert [attributions[n.name].layer for n in dots] == ["SmallCNN/dense1", "SmallCNN/dense2"]


def test_what_the_backward_pass_computes_once_more_is_a_phase_of_its_own() -> None:
    function, arguments = programs.remat_gradient()
    nodes = flatten(decode(xla.lowered_module(jax.jit(function).lower(*arguments))))
    attributions = attribute(nodes)
    dots = sorted(
        (attributions[n.name].layer or "", attributions[n.name].phase)
        for n in nodes
        if n.instruction.opcode == "dot"
    )
    # The values of block_1 are needed only for its own recomputation; block_0 needs no gradient
    # towards the input of the network.
    assert dots == [
        ("Remat/block_0/dense", "backward"),
        ("Remat/block_0/dense", "forward"),
        ("Remat/block_0/dense", "rematerialised"),
        ("Remat/block_1/dense", "backward"),
        ("Remat/block_1/dense", "backward"),
        ("Remat/block_1/dense", "rematerialised"),
    ]


class LikeJax(nn.Module):
    """Layers with the names that JAX gives to its own scopes."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Dense(8, name="checkpoint")(x)
        x = nn.remat(nn.Dense)(8, name="remat")(x)
        return nn.Dense(8, name="while")(nn.remat(nn.Dense)(8, name="cond")(x))


def test_layers_may_be_called_like_scopes_of_jax() -> None:
    infer = eg.analyze(eg.Workload.from_flax(LikeJax(), (8,)), batch=2, stage="lowered").layers
    train = eg.analyze(
        eg.Workload.train_step(LikeJax(), optax.sgd(0.1), input_shape=(8,), loss="mse"),
        batch=2,
        stage="lowered",
    ).layers
    product = 2 * 8 * 8
    for name in ("checkpoint", "remat", "while", "cond"):
        row = infer[infer.layer == f"LikeJax/{name}"]
        assert row[["macs", "params"]].to_numpy().tolist() == [[product, 8 * 8 + 8]]
        # The first layer needs no gradient towards its input.
        macs = train[train.layer == f"LikeJax/{name}"].groupby("phase").macs.sum()
        assert macs["forward"] == product
        assert macs["backward"] == product * (1 if name == "checkpoint" else 2)


def test_what_xla_puts_in_stands_in_the_frame_of_what_it_serves() -> None:
    frames = chain(("sim.py", "step", 1), ("sim.py", "force", 5))
    nodes = [
        node("x", "parameter", ""),
        node("copy", "copy", "", "x"),
        structs.replace(node("sin", "sine", "", "copy"), instruction=_in_frame("sine", 2)),
        structs.replace(node("add", "add", "", "sin", "x"), instruction=_in_frame("add", 1)),
    ]
    found = attribute_frames(nodes, module(frames, 1, 2))
    assert found == {"x": 1, "copy": 2, "sin": 2, "add": 1}


def _in_frame(opcode: str, number: int) -> Instruction:
    return Instruction(name=opcode, opcode=opcode, shape=F32, stack_frame_id=number)


def test_the_gradient_of_a_depthwise_convolution_has_its_macs_on_a_cpu() -> None:
    """XLA makes a dense convolution of it there, of as many times the products as channels."""

    def loss(kernels: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        for name, groups in (("depthwise", 32), ("dense", 1)):
            with jax.named_scope(name):
                x = jax.lax.conv_general_dilated(
                    x, kernels[name], (1, 1), "SAME", feature_group_count=groups,
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )  # fmt: skip
        return jnp.sum(x**2)

    kernels = {
        "depthwise": jax.ShapeDtypeStruct((3, 3, 1, 32), jnp.float32),
        "dense": jax.ShapeDtypeStruct((1, 1, 32, 8), jnp.float32),
    }
    x = jax.ShapeDtypeStruct((2, 16, 16, 32), jnp.float32)
    layers = eg.analyze(jax.grad(loss), args=(kernels, x)).layers
    depthwise, dense = 2 * 16 * 16 * 32 * 9, 2 * 16 * 16 * 32 * 8
    found = layers.set_index(["layer", "phase"]).macs
    assert found["depthwise", "forward"] == depthwise
    assert found["depthwise", "backward"] == depthwise  # x is no parameter
    assert found["dense", "forward"] == dense
    assert found["dense", "backward"] == 2 * dense
    assert layers.flops.sum() > 2 * 16 * depthwise  # what runs
