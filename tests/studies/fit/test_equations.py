"""What equations cost, by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.device.catalogue import find_device
from edgegraph.studies.fit.equations import Work, stands_alone, work_of, xla_dtype


def _equation(function: Any, *shapes: tuple[int, ...]) -> Any:
    structs = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    return jax.make_jaxpr(function)(*structs).jaxpr.eqns[-1]


def test_a_product_on_a_tpu() -> None:
    """One pass of bf16 at 197 TFLOP/s."""
    device = find_device("tpu:v5e")
    work = work_of(_equation(jnp.matmul, (512, 512), (512, 512)), device)
    assert (work.flops, work.bytes) == (2 * 512**3, 3 * 4 * 512**2)
    level = device.level_for(work.bytes or 0)
    data_s = (work.bytes or 0) / level.bandwidth_bytes_per_s
    assert work.time_s == pytest.approx(max(2 * 512**3 / 197e12, data_s))


def test_what_is_fused_has_no_traffic_of_its_own() -> None:
    work = work_of(_equation(jnp.negative, (1024,)), find_device("tpu:v5e"))
    assert work.bytes == 2 * 4 * 1024
    assert work.time_s == pytest.approx(1024 / 197e12)


def test_a_scan_counts_every_iteration() -> None:
    def loop(x: Any, w: Any) -> Any:
        return jax.lax.scan(lambda c, _: (c @ w, None), x, None, length=7)[0]

    assert work_of(_equation(loop, (8, 16), (16, 16))).flops == 7 * 2 * 8 * 16 * 16


def test_a_loop_of_unknown_length_is_unknown() -> None:
    def loop(x: Any) -> Any:
        return jax.lax.while_loop(lambda c: jnp.sum(c) < 9, lambda c: c + 1, x)

    assert work_of(_equation(loop, (8,))) == Work(None, None, None)


def test_names() -> None:
    names = {"float32": "f32", "bfloat16": "bf16", "int8": "s8", "uint4": "u4", "bool": "pred"}
    assert {each: xla_dtype(each) for each in names} == names
    assert stands_alone("dot_general")
    assert not stands_alone("add")
