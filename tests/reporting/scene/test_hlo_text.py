"""Attributes as XLA writes them: the expected text is from XLA's own dumps."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp

import edgegraph as eg
from edgegraph.reporting.scene.pack import argument, attributes
from tests import programs


def lines_of_xla(text: str) -> dict[str, str]:
    """Return every instruction's line of an HLO text by its name."""
    return {
        found[1]: line.strip()
        for line in text.splitlines()
        if (found := re.match(r"\s+(?:ROOT )?%?([\w.-]+) = ", line))
    }


def test_the_attributes_of_a_network_stand_in_its_dump() -> None:
    function, arguments = programs.small_cnn_gradient(4)
    compiled = jax.jit(function).lower(*arguments).compile()
    text = lines_of_xla(str(compiled.as_text()))
    seen: set[str] = set()
    module = eg.compile(function, *arguments).module
    for computation in module.computations.values():
        for instruction in computation.instructions:
            written = attributes(instruction).partition(", backend_config")[0]
            for attribute in re.split(r", (?=\w+=)", written)[1:]:
                name = attribute.partition("=")[0]
                if name in ("operand_precision", "control-predecessors"):
                    continue
                seen.add(name)
                assert attribute in text[instruction.name], instruction.name
            # EdgeGraph keeps unused arguments, so parameters have other numbers.
            if instruction.opcode == "constant" and instruction.literal is not None:
                assert f"({argument(instruction)})" in text[instruction.name]
    assert {"dimensions", "direction", "window", "calls", "kind"} <= seen


def test_a_loop_names_its_computations() -> None:
    def run(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda y: y[0, 0] < 9, lambda y: jnp.tanh(y @ y), x)

    module = eg.compile(run, jnp.ones((8, 8))).module
    entry = module.computations[module.entry]
    loop = next(i for i in entry.instructions if i.opcode == "while")
    body, condition = loop.called
    assert f", body=%{body}, condition=%{condition}" in attributes(loop)
