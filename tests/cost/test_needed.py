"""What a fusion looks up, and what it scatters, by arithmetic: rows of a table of 5,000 of 16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph import xla
from tests.cost.test_price import priced, total

TABLE = jax.ShapeDtypeStruct((5_000, 16), jnp.float32)
ROWS = jax.ShapeDtypeStruct((3,), jnp.int32)
FROM_THE_END = 3 * 3
"""Rows that count from the end: each is compared with 0, 5,000 are added, one of both selected."""


def lookup(table: Any, rows: Any) -> Any:
    return table[rows] + 1.0


def scaled(table: Any, rows: Any) -> Any:
    return (table * 2.0)[rows] + 1.0


def functions(table: Any, rows: Any) -> Any:
    return jnp.tanh(table)[rows]


def turned(table: Any, rows: Any) -> Any:
    return table.T[:, rows] + 1.0


def joined(table: Any, rows: Any) -> Any:
    return jnp.concatenate([table, table])[rows] + 1.0


def first_rows(table: Any, rows: Any) -> Any:
    return jnp.tanh(table * 2.0)[:3] + rows[:, None]


def compiled(run: Callable[..., Any], **options: Any) -> bytes:
    return xla.compiled_module(jax.jit(run, **options).lower(TABLE, ROWS).compile())


@pytest.mark.parametrize(
    ("run", "flops", "transcendentals", "tables"),
    [
        (lookup, 48 + FROM_THE_END, 0, 1),
        (scaled, 2 * 48 + FROM_THE_END, 0, 1),
        (functions, FROM_THE_END, 48, 1),
        (turned, 48 + FROM_THE_END, 0, 1),
        (joined, 48 + FROM_THE_END, 0, 2),
        (first_rows, 2 * 48 + 3, 48, 1),
    ],
)
def test_only_the_rows_that_are_looked_up_are_read_and_computed(
    run: Callable[..., Any], flops: int, transcendentals: int, tables: int
) -> None:
    nodes, costs = priced(compiled(run))
    lookups = [node for node in nodes if node.opcode in ("gather", "slice")]
    assert lookups
    assert total(nodes, costs, "transcendentals") == transcendentals
    assert total(nodes, costs, "flops") == flops
    rows = 4 * 48
    read = total(nodes, costs, "bytes_read")
    assert tables * rows <= read <= tables * rows + 4 * 20
    assert total(nodes, costs, "bytes_written") <= rows + 4 * 3


def test_what_is_read_as_a_whole_too_is_read_as_a_whole() -> None:
    text = """HloModule m
    f { table = f32[5000,16] parameter(0)
        rows = s32[3,1] parameter(1)
        some = f32[3,16] gather(table, rows), offset_dims={1}, collapsed_slice_dims={0},
          start_index_map={0}, index_vector_dim=1, slice_sizes={1,16}
        all = f32[5000,16] negate(table)
        ROOT both = (f32[3,16], f32[5000,16]) tuple(some, all) }
    ENTRY e { x = f32[5000,16] parameter(0)
              i = s32[3,1] parameter(1)
              ROOT y = (f32[3,16], f32[5000,16]) fusion(x, i), kind=kLoop, calls=f }"""
    nodes, costs = priced(xla.parse_text(text))
    assert total(nodes, costs, "bytes_read") == 4 * (5_000 * 16 + 3)
    assert total(nodes, costs, "flops") == 5_000 * 16


def test_numbers_put_together_from_bytes_take_all_of_them() -> None:
    text = """HloModule m
    f { bytes = u8[5000,4] parameter(0)
        row = s32[] parameter(1)
        words = u32[5000] bitcast-convert(bytes)
        ROOT one = u32[1] dynamic-slice(words, row), dynamic_slice_sizes={1} }
    ENTRY e { x = u8[5000,4] parameter(0)
              i = s32[] parameter(1)
              ROOT y = u32[1] fusion(x, i), kind=kLoop, calls=f }"""
    nodes, costs = priced(xla.parse_text(text))
    assert total(nodes, costs, "bytes_read") == 5_000 * 4 + 4


def test_what_is_scattered_touches_the_rows_that_it_changes() -> None:
    def add(table: Any, rows: Any) -> Any:
        return table.at[rows].add(1.0)

    nodes, costs = priced(compiled(add, donate_argnums=0))
    scatter = next(node for node in nodes if node.opcode == "scatter")
    cost = costs[scatter.name].cost
    # XLA of a scatter alone: the updates, the elements that they change, and the indices.
    assert (cost.bytes_read, cost.bytes_written) == (4 * (2 * 48 + 3), 4 * 48)
    assert cost.flops == 48


def test_a_scatter_into_what_the_fusion_makes_writes_all_of_it() -> None:
    text = """HloModule m
    add { a = f32[] parameter(0)
          b = f32[] parameter(1)
          ROOT c = f32[] add(a, b) }
    f { rows = s32[3,1] parameter(0)
        new = f32[3,16] parameter(1)
        zero = f32[] constant(0)
        empty = f32[5000,16] broadcast(zero), dimensions={}
        ROOT all = f32[5000,16] scatter(empty, rows, new), update_window_dims={1},
          inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1,
          to_apply=add }
    ENTRY e { i = s32[3,1] parameter(0)
              x = f32[3,16] parameter(1)
              ROOT y = f32[5000,16] fusion(i, x), kind=kInput, calls=f }"""
    nodes, costs = priced(xla.parse_text(text))
    assert total(nodes, costs, "bytes_written") == 4 * 5_000 * 16
