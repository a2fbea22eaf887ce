"""What is told of products and functions for which XLA's CPU backend has no fast kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import edgegraph as eg
from edgegraph.analysis.findings import find
from edgegraph.device.kernel_rates import KernelRate
from edgegraph.reporting.answer import headline
from edgegraph.results.analysis import Analysis, Finding
from tests import analyses
from tests.analysis.findings import programs as shown

BY_A_ROOF = {"memory-bound-dense", "compute-bound-layer"}


def product(operand: Any, result: Any, rows: int = 64) -> Analysis:
    return shown.compiled(
        lambda x, w: lax.dot(x, w, preferred_element_type=result),
        shown.array(rows, 64, dtype=operand),
        shown.array(64, 64, dtype=operand),
    )


def found(analysis: Analysis, rule: str) -> list[Finding]:
    return [finding for finding in analysis.findings if finding.rule == rule]


@pytest.mark.parametrize(
    ("operand", "result"),
    [("uint8", "uint8"), ("uint8", "uint32"), ("int8", "int8"), ("int16", "int16"), ("bool",) * 2],
)
def test_a_product_that_no_library_runs_is_told_and_has_no_advice_by_a_roof(
    operand: str, result: str
) -> None:
    analysis = product(operand, result)
    (finding,) = found(analysis, "no-library-kernel")
    assert finding.numbers == {"products": 1, "flops": 2 * 64**3}
    assert "preferred_element_type=jnp.int32" in finding.try_next
    assert BY_A_ROOF.isdisjoint(each.rule for each in analysis.findings)


@pytest.mark.parametrize(
    ("operand", "result", "rows"),
    [
        ("int8", "int32", 64),
        ("uint8", "int32", 64),
        ("float32", "float32", 64),
        ("uint8",) * 2 + (1,),
    ],
)
def test_what_a_library_runs_and_a_vector_times_a_matrix_are_not_told(
    operand: str, result: str, rows: int
) -> None:
    assert not found(product(operand, result, rows), "no-library-kernel")


def test_convolutions_of_integers_need_int8_and_int32_sums() -> None:
    def convolution(result: str) -> Analysis:
        return shown.compiled(
            lambda x, w: lax.conv_general_dilated(
                x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
                preferred_element_type=jnp.dtype(result),
            ),
            shown.array(1, 16, 16, 32, dtype="int8"),
            shown.array(3, 3, 32, 32, dtype="int8"),
        )  # fmt: skip

    assert found(convolution("int8"), "no-library-kernel")
    assert not found(convolution("int32"), "no-library-kernel")


def test_products_on_other_devices_are_theirs() -> None:
    text = shown.PRODUCT.format(rows=64, inside=64, columns=64).replace("f32", "u8")
    assert not found(shown.from_text(text), "no-library-kernel")


FUNCTIONS: dict[str, tuple[Callable[[jax.Array], jax.Array], Callable[[jax.Array], jax.Array]]] = {
    "atan2": (lambda x: jnp.arctan2(x, x + 1), lambda x: x / (x + 1)),
    "cbrt": (jnp.cbrt, lambda x: jnp.sign(x) * jnp.exp(jnp.log(jnp.abs(x)) / 3)),
    "power": (lambda x: x**7.0, lambda x: x**7),
    "remainder": (lambda x: x % 3.0, lambda x: x - 3.0 * jnp.floor(x / 3.0)),
    "tan": (jnp.tan, lambda x: jnp.sin(x) / jnp.cos(x)),
}
"""Each, and what is advised instead."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_slow_function_is_told_and_what_is_advised_is_not(function: str) -> None:
    slow, advised = FUNCTIONS[function]
    (finding,) = found(shown.compiled(slow, shown.array(4096)), "slow-function")
    assert finding.seen.startswith(f"{function} of 4.1 k values: 100 % of the estimated time")
    assert finding.numbers["values"] == 4096
    assert not found(shown.compiled(advised, shown.array(4096)), "slow-function")


@pytest.mark.parametrize(
    "make",
    [lambda: shown.compiled(jnp.tan, shown.array(4096)), lambda: product("uint8", "uint8")],
)
def test_a_program_of_one_op_that_is_far_under_its_roof_says_so(
    make: Callable[[], Analysis],
) -> None:
    measured = analyses.measured(make(), 10.0)
    (finding,) = [each for each in find(measured) if each.rule == "far-under-the-roof"]
    assert finding.weight > 0.9
    assert "in kernels far under it" in headline(replace(measured, findings=(finding,)))


def test_few_values_and_integers_are_not_told() -> None:
    assert not found(shown.compiled(jnp.tan, shown.array(99)), "slow-function")
    integers = shown.compiled(lambda x: x % 3, shown.array(4096, dtype="int32"))
    assert not found(integers, "slow-function")


def test_the_calibration_says_how_much_of_the_time_it_is() -> None:
    """200,000 values at 10 M/s take 20 ms; 1.6 MB at 100 MB/s, 16 ms, run meanwhile."""
    rates = (("tan", 1e7), ("elementwise", 1e8))
    device = replace(
        analyses.DEVICE,
        dispatch_s=5e-3,
        kernel_rates=tuple(
            KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate) for kind, rate in rates
        ),
    )
    analysis = eg.analyze(jnp.tan, args=(shown.array(200_000),), device=device)
    assert analysis.totals.expected_time_s == pytest.approx(25e-3)
    (finding,) = found(analysis, "slow-function")
    assert finding.numbers["functions_s"] == pytest.approx(20e-3)
    assert finding.weight == pytest.approx(0.8)
