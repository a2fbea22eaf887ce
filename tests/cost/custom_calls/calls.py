"""Custom calls of programs and of HLO written by hand, with their prices."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from edgegraph import xla
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten


def array(*dimensions: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, jnp.dtype(dtype))


def calls(serialized: bytes) -> dict[str, list[OpCost]]:
    """Return the prices of the custom calls of a module by target."""
    module = decode(serialized)
    nodes = flatten(module)
    costs = price_nodes(module, nodes)
    found: dict[str, list[OpCost]] = {}
    for node in nodes:
        if node.instruction.opcode == "custom-call":
            target = node.instruction.custom_call_target or ""
            found.setdefault(target, []).append(costs[node.name])
    return found


def compiled(function: Callable[..., Any], *arguments: Any) -> bytes:
    return xla.compiled_module(jax.jit(function).lower(*arguments).compile())


def lowered(function: Callable[..., Any], *arguments: Any) -> bytes:
    return xla.lowered_module(jax.jit(function).lower(*arguments))


def call(
    result: str, operands: str, target: str, attributes: str = "", config: object = None
) -> OpCost:
    """Price one custom call of operands with the given shapes, separated by spaces."""
    shapes = operands.split()
    parameters = "\n".join(f"p{i} = {shape} parameter({i})" for i, shape in enumerate(shapes))
    handed = ", ".join(f"p{i}" for i in range(len(shapes)))
    written = config if isinstance(config, str) else json.dumps(config or {})
    module = decode(
        xla.parse_text(f"""HloModule m
        ENTRY e {{
          {parameters}
          ROOT y = {result} custom-call({handed}), {attributes}
            custom_call_target="{target}", backend_config={written}
        }}""")
    )
    return price_nodes(module, flatten(module))["y"]
