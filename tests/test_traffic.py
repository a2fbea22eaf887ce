"""No op moves more than its operands and results have: it would stand above its roof."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.hlo.decode import decode
from tests import plain_programs
from tests.corpus.files import FILES, serialized
from tests.traffic import beyond

ROWS, TABLE = 128, 50_000

KEEPS_SIZES = {"handwritten/tpu_dynamic_shapes.hlo"}
"""Whose arrays have their sizes beside them, in four bytes for each dimension."""


def embedding(table: Any, tokens: Any, w: Any) -> Any:
    """Look some rows up in a table, scale them, and multiply."""
    return jnp.tanh(table[tokens] * 8.0) @ w


def analyse_embedding() -> eg.Analysis:
    shapes = ((TABLE, 64), "float32"), ((ROWS,), "int32"), ((64, 64), "float32")
    args = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    return eg.analyze(embedding, args=args)


@pytest.mark.parametrize("name", sorted(FILES.keys() - KEEPS_SIZES))
def test_no_op_of_the_corpus_moves_more_than_it_has(name: str) -> None:
    content = serialized(name)
    stage = "optimized" if decode(content).schedule else "lowered"
    program = eg.Program(name=name, batch=None, target="unknown", stage=stage, serialized=content)
    assert not beyond(eg.analyze(program))


@pytest.mark.parametrize("name", ["physics", "ode", "sampler"])
def test_no_op_of_a_program_without_layers_moves_more_than_it_has(name: str) -> None:
    function, arguments = getattr(plain_programs, name)()
    assert not beyond(eg.analyze(function, args=arguments))


def test_of_a_table_the_rows_count_that_are_looked_up() -> None:
    analysis = analyse_embedding()
    assert not beyond(analysis)
    # The rows, their numbers, and the weights: read and written once or twice.
    assert analysis.totals.bytes_read < 10 * 4 * 64 * ROWS


def test_a_table_that_counts_as_a_whole_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.cost.unit_cost.needed_elements", lambda inner, root: {})
    said = beyond(analyse_embedding())
    assert any("bytes_read" in each for each in said)
