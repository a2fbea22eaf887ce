from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.sources import Sources


def test_values_are_followed_through_loops_calls_and_branches() -> None:
    @jax.jit
    def inner(x: jax.Array) -> jax.Array:
        return jnp.sin(x)

    def function(flag: jax.Array, x: jax.Array) -> Any:
        first = inner(jnp.exp(x))
        looped = jax.lax.fori_loop(0, 3, lambda _, v: (jnp.tanh(v[0]), v[1]), (first, x))
        return jax.lax.cond(flag, jnp.cos, jnp.negative, looped[0]) + looped[1]

    flag, x = jax.ShapeDtypeStruct((), "bool"), jax.ShapeDtypeStruct((4,), "float32")
    nodes = flatten(decode(xla.lowered_module(jax.jit(function).lower(flag, x))))
    sources = Sources(nodes)
    made = {
        node.opcode: [nodes[maker].opcode for maker in sources.of(at)]
        for at, node in enumerate(nodes)
        if node.opcode in ("sine", "tanh", "cosine", "negate", "add")
        and node.instruction.shape.dtype == "f32"
    }
    assert made["sine"] == ["exponential"]
    assert made["tanh"] == ["sine"]  # in the first turn
    assert made["cosine"] == made["negate"] == ["tanh"]
    assert made["add"] == ["conditional", "parameter"]
    (tanh,) = [at for at, node in enumerate(nodes) if node.opcode == "tanh"]
    turns = {nodes[maker].opcode for maker in sources.with_earlier_turns(tanh)}
    assert turns == {"sine", "tanh"}
