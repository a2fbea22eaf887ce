"""Names as jax 0.10 and 0.12 and Flax write them, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st

import edgegraph as eg
from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.op_name import (
    LOSS_SCOPE,
    MOST_SCOPES,
    OPTIMIZER_SCOPE,
    is_own,
    lies_in,
    parse_op_name,
    qualify_op_name,
    scope_of,
    without_functions,
)

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
REMATERIALISED = "rematerialised"

NAMES: list[tuple[str, str, str | None, str]] = [
    ("", FORWARD, None, ""),
    ("reduce_sum", FORWARD, None, "reduce_sum"),
    ("jit(f)/dot_general", FORWARD, None, "dot_general"),
    ("jit(f)/jit(main)/jit(relu)/max", FORWARD, None, "max"),
    ("jit(<lambda>)/Net/b0/dense/dot_general", FORWARD, "Net/b0/dense", "dot_general"),
    ("jit(fwd)/Net/b0/jit(relu)", FORWARD, "Net/b0", "jit(relu)"),
    ("jit(step)/jvp(Net)/b0/dense/dot_general", FORWARD, "Net/b0/dense", "dot_general"),
    ("jit(step)/jvp(Net)/jit(relu)/max", FORWARD, "Net", "max"),
    ("jit(step)/jvp(loss)/div", FORWARD, LOSS_SCOPE, "div"),
    ("jit(step)/transpose(jvp(loss))/mul", BACKWARD, LOSS_SCOPE, "mul"),
    ("jit(step)/transpose(jvp(Net))/b0/dense/transpose", BACKWARD, "Net/b0/dense", "transpose"),
    ("jit(step)/transpose(jvp())/broadcast_in_dim", BACKWARD, None, "broadcast_in_dim"),
    ("jit(step)/optimizer/jit(_where)/select_n", UPDATE, OPTIMIZER_SCOPE, "select_n"),
    ("jit(f)/while/body/closed_call/optimizer/mul", UPDATE, OPTIMIZER_SCOPE, "mul"),
    ("jit(f)/Net/optimizer/mul", FORWARD, "Net/optimizer", "mul"),
    # Loops and branches, and user layers of the same names.
    ("jit(f)/Net/while", FORWARD, "Net", "while"),
    ("jit(f)/Net/while/cond/lt", FORWARD, "Net", "lt"),
    ("jit(f)/Net/while/body/closed_call/blocks/dense/add", FORWARD, "Net/blocks/dense", "add"),
    ("jit(f)/Net/while/body/eval_jaxpr/blocks/dense/add", FORWARD, "Net/blocks/dense", "add"),
    ("jit(f)/Net/while/body/cond/branch_1_fun/a/tanh", FORWARD, "Net/a", "tanh"),
    ("jit(f)/M/a/cond/branch_0_fun/dot_general", FORWARD, "M/a", "dot_general"),
    ("jit(f)/Net/cond/dense/dot_general", FORWARD, "Net/cond/dense", "dot_general"),
    ("jit(f)/Net/body/dense/dot_general", FORWARD, "Net/body/dense", "dot_general"),
    ("jit(f)/Net/cond", FORWARD, "Net", "cond"),
    ("jit(f)/Net/while/dense/dot_general", FORWARD, "Net/while/dense", "dot_general"),
    ("jit(f)/Net/while/while/body/closed_call/tanh", FORWARD, "Net/while", "tanh"),
    ("jit(f)/Net/remat/dot_general", FORWARD, "Net/remat", "dot_general"),
    ("jit(f)/transpose(jvp(N))/jvp(N)/checkpoint/remat/dot_general",
     BACKWARD, "N/remat", "dot_general"),
    ("jit(g)/transpose(jvp(checkpoint))/jvp(checkpoint)/checkpoint/rematted_computation/tanh",
     REMATERIALISED, "checkpoint", "tanh"),
    ("jit(f)/Net/attn/BTNH,BSNH->BNTS/dot_general", FORWARD, "Net/attn", "dot_general"),
    ("jit(s)/transpose(jvp(N))/while/body/closed_call/b/dot", BACKWARD, "N/b", "dot"),
    # Rematerialisation and custom rules begin the path anew in the backward pass.
    ("jit(f)/RematNet/checkpoint/b0/dense/add", FORWARD, "RematNet/b0/dense", "add"),
    (
        "jit(step)/transpose(jvp(RematNet))/jvp(RematNet)/checkpoint/rematted_computation/b0/gt",
        REMATERIALISED, "RematNet/b0", "gt",
    ),
    ("jit(s)/transpose(jvp(M))/g/jvp(M)/g/checkpoint/dot_general", BACKWARD, "M/g", "dot_general"),
    ("jit(f)/transpose(jvp(M))/c/jvp(M)/c/mul", BACKWARD, "M/c", "mul"),
    # In a loop, the backward pass of what is rematerialised has the path twice (0.10, then 0.12).
    (
        "jit(f)/transpose(jvp(M))/while/body/closed_call/a/b/a/b/checkpoint/in/dot_general",
        BACKWARD, "M/a/b/in", "dot_general",
    ),
    (
        "jit(f)/transpose(jvp())/while/body/eval_jaxpr/B/B/checkpoint/rematted_computation/D/dot",
        REMATERIALISED, "B/D", "dot",
    ),
    (
        "jit(f)/transpose(jvp(vmap(n)))/while/body/closed_call/o/o/checkpoint/g/while/body"
        "/closed_call/checkpoint/c/dot_general", BACKWARD, "n/o/g/c", "dot_general",
    ),
    ("jit(f)/jvp(N)/while/body/closed_call/a/a/checkpoint/D/dot", FORWARD, "N/a/a/D", "dot"),
    (
        "jit(f)/vmap(jvp(vmap(transpose(vmap(jvp(jvp(M)))))))/c/vmap(jvp(jvp(M)))/c/mul",
        BACKWARD, "M/c", "mul",
    ),
    # jax 0.12 repeats the path in a loop before a function with a custom derivative.
    (
        "jit(step)/jvp(ScanNet)/while/body/eval_jaxpr/blocks/mid/blocks/mid/jit(relu)/max",
        FORWARD, "ScanNet/blocks/mid", "max",
    ),
    (
        "jit(step)/jvp(ScanNet)/while/body/eval_jaxpr/blocks/blocks/jit(relu)",
        FORWARD, "ScanNet/blocks", "jit(relu)",
    ),
    ("jit(f)/Net/attend/attend/dot_general", FORWARD, "Net/attend/attend", "dot_general"),
    # What jax 0.10 calls the condition of a loop that vmap runs for every member of a batch.
    ("jit(f)/Net/while/body_pred/reduce_or", FORWARD, "Net", "reduce_or"),
    # Wrappers around paths, functions and nothing.
    ("jit(f)/vmap(Net/b0)/dot_general", FORWARD, "Net/b0", "dot_general"),
    ("jit(f)/VNet/vmap(experts)/dense/add", FORWARD, "VNet/experts/dense", "add"),
    ("jit(f)/vmap(VNet)/vmap(experts)/jit(relu)/max", FORWARD, "VNet/experts", "max"),
    ("jit(f)/jvp(M)/i/vmap()/mul", FORWARD, "M/i", "mul"),
    ("jit(f)/transpose(jvp(M))/i/vmap(jit(norm))/mul", BACKWARD, "M/i", "mul"),
    ("jit(f)/Net/shard_map/psum", FORWARD, "Net", "psum"),
    ("jit(f)/Net/custom_jvp_call/sin", FORWARD, "Net", "sin"),
    ("jit(f)/Net/block(1)/sin", FORWARD, "Net/block(1)", "sin"),
    # Flax linen's methods.
    ("jit(f)/AE.encode/enc/add", FORWARD, "AE/enc", "add"),
    ("jit(f)/AE/AE.encode/enc/add", FORWARD, "AE/enc", "add"),
    ("jit(f)/Outer/emb.attend/dot_general", FORWARD, "Outer/emb", "dot_general"),
    # A method that calls the module itself is that module, not one below it.
    ("jit(f)/R/RNN_0/while/body/closed_call/LSTMCell_0.scan_fn/LSTMCell_0/ii/dot_general",
     FORWARD, "R/RNN_0/LSTMCell_0/ii", "dot_general"),
    ("jit(f)/W/WeightNorm_0/Dense_0.layer_forward/Dense_0/add",
     FORWARD, "W/WeightNorm_0/Dense_0", "add"),
    # Behind random numbers stands the caller's function or path once more.
    ("jit(s)/jvp(Net)/drop/jit(_threefry_fold_in)/RngStream.__call__/while/body/closed_call/add",
     FORWARD, "Net/drop", "add"),
    ("jit(s)/jvp()/jit(_threefry_split)/model.<locals>.apply/while/body/add", FORWARD, None, "add"),
    ("jit(f)/vmap()/vmap(jit(_threefry_split))/rollout/while/body/closed_call/xor",
     FORWARD, None, "xor"),
    ("jit(f)/N/vmap(vmap(jit(_threefry_fold_in)))/K.run/add", FORWARD, "N", "add"),
    # Functions made by functions, around what JAX writes as a function of its own.
    ("jit(f)/vmap()/while/body/closed_call/run.<locals>.one/reduce", FORWARD, None, "reduce"),
    ("jit(s)/Net/drop/jit(_uniform)/while/jit(s)/Net/drop/jit(_uniform)/while/body/xor",
     FORWARD, "Net/drop", "xor"),
    ("jit(s)/Net/while/body/jit(s)/block/add", FORWARD, "Net/block", "add"),
    # XLA joins the names of what it merges.
    ("jit(s)/jvp(Net)/a/mul;jit(s)/jvp(Net)/b/add", FORWARD, "Net/a", "mul"),
    ("broadcast_in_dim;jit(s)/transpose(jvp(Net))/b/add", BACKWARD, "Net/b", "add"),
    # Arguments are no layers, whatever their keys hold.
    ("x", FORWARD, None, "x"),
    ("params['conv1']['kernel']", FORWARD, None, ""),
    ("variables['params']['a/b']['k\"q']", FORWARD, None, ""),
    ("opt_state[0].mu['b0']['dense']", FORWARD, None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("op_name", "phase", "layer", "primitive"), NAMES)
def test_parse_op_name(op_name: str, phase: str, layer: str | None, primitive: str) -> None:
    parsed = parse_op_name(op_name)
    assert (parsed.phase, parsed.layer, parsed.primitive) == (phase, layer, primitive)


@pytest.mark.parametrize(
    ("op_name", "layer"),
    [
        ("jit(f)/CK/checkpoint/dot_general", "CK/checkpoint"),
        ("jit(f)/CK/checkpoint/other/dot_general", "CK/other"),
        ("jit(f)/CK/checkpoint/checkpoint/dot_general", "CK/checkpoint"),
        ("jit(f)/transpose(jvp(CK))/checkpoint/dot_general", "CK/checkpoint"),
        ("jit(f)/transpose(jvp(CK))/jvp(CK)/checkpoint/other/dot_general", "CK/other"),
        ("jit(f)/CK/checkpoint/blk/checkpoint/inner/add", "CK/blk/inner"),
        ("jit(f)/CK/checkpoint/blk/checkpoint/add", "CK/blk/checkpoint"),
        ("jit(f)/jvp(CK)/while/body/closed_call/checkpoint/blk/checkpoint/add",
         "CK/blk/checkpoint"),
    ],
)  # fmt: skip
def test_a_module_is_told_from_jaxs_scope_of_the_same_name(op_name: str, layer: str) -> None:
    """As jax 0.10 and 0.12 name layers with nn.remat around and below them."""
    modules = frozenset({"checkpoint", "other", "blk", "blk/checkpoint", "blk/inner"})
    assert parse_op_name(op_name, modules).layer == layer


def test_functions_that_hold_nothing_but_an_argmax_are_taken_out() -> None:
    """As XLA names what an argmax and a cumulative sum become; a layer does more than that."""
    named = [
        "jit(f)/Net/while/body/rollout/iota",
        "jit(f)/Net/while/body/rollout/reduce",
        "jit(f)/Net/K.add_up/reduce_window",
        "jit(f)/Net/cond/branch_0_fun/reduce",
        "jit(f)/positions/iota",
        "jit(f)/pool/reduce",
        "jit(f)/pool/div",
        "jit(f)/Net/K.add_up/reduce_window;jit(f)/pool/div",
    ]
    assert without_functions(named) == [
        "jit(f)/Net/while/body/iota",
        "jit(f)/Net/while/body/reduce",
        "jit(f)/Net/reduce_window",
        *named[3:7],
        "jit(f)/Net/reduce_window;jit(f)/pool/div",
    ]


class Sampler:
    """What draws in a loop."""

    def draw(self, x: Any, _: Any) -> Any:
        return x + 1, (jnp.argmax(x), jnp.cumsum(x)[-1])


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_a_function_around_an_argmax_is_no_layer(stage: str) -> None:
    def rollout(x: Any) -> Any:
        with jax.named_scope("Net"):
            return jax.lax.scan(Sampler().draw, x, None, 3)

    layers = eg.analyze(rollout, args=(jnp.ones(64),), stage=stage).layers
    assert set(layers.layer) <= {"Net", "(unattributed)"}
    assert layers.set_index("layer").flops["Net"] >= 3 * (64 + 63)


WRAPPERS = st.lists(st.sampled_from(["jvp", "vmap", "transpose", "checkpoint"]), max_size=4)
LAYERS = st.lists(
    st.sampled_from(["Net", "a", "b_0", "cond", "body", "x1"]), min_size=1, max_size=4
)


@given(WRAPPERS, LAYERS, st.booleans(), st.booleans())
def test_transformations_do_not_change_the_layer(
    wrappers: list[str], layers: list[str], whole: bool, loop: bool
) -> None:
    first, rest = ("/".join(layers), []) if whole else (layers[0], layers[1:])
    for wrapper in wrappers:
        first = f"{wrapper}({first})"
    inside = ["while", "body", "closed_call"] if loop else []
    parsed = parse_op_name("/".join(["jit(f)", first, *rest, *inside, "dot_general"]))
    assert parsed.layer == "/".join(layers)
    assert parsed.phase == (BACKWARD if "transpose" in wrappers else FORWARD)
    assert parsed.primitive == "dot_general"


@given(st.text(alphabet="ab/();.[]'\"0\\ jvptransposewhilebodycond", max_size=60))
def test_any_text_is_read_without_error(text: str) -> None:
    assert parse_op_name(text).phase in (FORWARD, BACKWARD, REMATERIALISED, UPDATE)


def test_deep_nesting_is_read_without_error() -> None:
    depth = 10_000
    assert parse_op_name("jvp(" * depth + "a" + ")" * depth + "/b").layer is None
    assert parse_op_name("jvp(a/" * depth + "b").layer is None
    assert parse_op_name("a/" * depth + "b").layer == "/".join(["a"] * MOST_SCOPES)


@pytest.mark.parametrize(
    ("op_name", "caller", "expected"),
    [
        ("sin", "jit(f)/Net/jit(g)", "jit(f)/Net/jit(g)/sin"),
        ("jit(f)/reduce_sum", "jit(f)/Net/jit(g)", "jit(f)/reduce_sum"),
        ("jit(f)", "jit(f)/Net", "jit(f)"),
        ("jit(f2)/sin", "jit(f)/Net", "jit(f)/Net/jit(f2)/sin"),
        ("", "jit(f)/Net", ""),
        ("sin", "", "sin"),
    ],
)
def test_qualify_op_name(op_name: str, caller: str, expected: str) -> None:
    assert qualify_op_name(op_name, caller) == expected


class Block(nn.Module):
    """A dense layer and a rectifier, as a step of a scan."""

    @nn.compact
    def __call__(self, x: jax.Array, _: Any = None) -> Any:
        y = nn.relu(nn.Dense(8, name="dense")(x))
        return y, None


class Scanned(nn.Module):
    """Three blocks as a loop, rematerialised or not."""

    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        block = nn.remat(Block) if self.remat else Block
        scan = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return scan(name="blocks")(x, None)[0]


class Mapped(nn.Module):
    """Experts, one for each row."""

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        mapped = nn.vmap(Block, variable_axes={"params": 0}, split_rngs={"params": True})
        return mapped(name="experts")(x, None)[0]


class Branch(nn.Module):
    """A dense layer in front of a conditional and of a function with rules of its own."""

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        x = nn.Dense(8, name="cond")(x)
        with jax.named_scope("choice"):
            x = jax.lax.cond(x.sum() > 0, jnp.tanh, lambda v: v * 2.0, x)
        with jax.named_scope("rule"):
            return own_rule(x)


@jax.custom_vjp
def own_rule(x: jax.Array) -> jax.Array:
    """Sine with a derivative of its own."""
    return jnp.sin(x)


own_rule.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))


def layers_by_phase(function: Callable[..., Any], *arguments: Any) -> dict[str, set[str | None]]:
    """Compile and return the layers that XLA's op_names name; reducers' are relative, skip them."""
    module = decode(xla.compiled_module(jax.jit(function).lower(*arguments).compile()))
    found: dict[str, set[str | None]] = {FORWARD: set(), BACKWARD: set(), UPDATE: set()}
    found[REMATERIALISED] = set()
    for computation in module.computations.values():
        for instruction in computation.instructions:
            if instruction.op_name.startswith("jit("):
                parsed = parse_op_name(instruction.op_name)
                found[parsed.phase].add(parsed.layer)
    return found


@pytest.mark.parametrize(
    ("net", "layers", "elsewhere"),
    [
        (Scanned(), {"Scanned", "Scanned/blocks", "Scanned/blocks/dense"}, set()),
        (Scanned(remat=True), {"Scanned", "Scanned/blocks", "Scanned/blocks/dense"}, set()),
        (Mapped(), {"Mapped/experts", "Mapped/experts/dense"}, set()),
        (Branch(), {"Branch/cond", "Branch/choice", "Branch/rule"}, set()),
    ],
    ids=["scan", "remat scan", "vmap", "cond and custom_vjp"],
)
def test_layers_of_compiled_networks(net: nn.Module, layers: set[str], elsewhere: set[str]) -> None:
    x = jnp.ones((4, 8))
    params = net.init(jax.random.key(0), x)["params"]

    def step(params: Any, x: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            y = net.apply({"params": params}, x)
            with jax.named_scope(LOSS_SCOPE):
                return jnp.mean(jnp.square(y))  # type: ignore[arg-type]

        gradients = jax.grad(loss)(params)
        with jax.named_scope(OPTIMIZER_SCOPE):
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)

    forward = layers_by_phase(lambda params, x: net.apply({"params": params}, x), params, x)
    assert forward[FORWARD] == layers
    assert not forward[BACKWARD] | forward[UPDATE]
    train = layers_by_phase(step, params, x)
    assert train[FORWARD] <= layers | {LOSS_SCOPE}
    assert train[BACKWARD] | train[REMATERIALISED] <= layers | {LOSS_SCOPE}
    assert {layer for layer in layers if "/" in layer} <= (
        train[FORWARD] | train[BACKWARD] | train[REMATERIALISED]
    )
    assert train[UPDATE] == {OPTIMIZER_SCOPE}


def test_rows_of_layers_stand_for_scopes() -> None:
    """What a layer does itself has a row of its own, and lies in the layer like those below."""
    assert scope_of("Net/block") == scope_of("Net/block/(own)") == "Net/block"
    assert scope_of(None) == "(unattributed)"
    assert is_own("Net/block/(own)")
    assert not is_own("Net/block")
    assert [lies_in(layer, "Net") for layer in ("Net", "Net/a/b", "Net/(own)", "Net2", "Ne")] == [
        True, True, True, False, False,
    ]  # fmt: skip
