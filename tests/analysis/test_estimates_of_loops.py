"""What is expected of loops, and of what a fusion of loops computes again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph.device.kernel_rates import KernelRate
from tests.analysis.test_estimates import DEVICE, PROGRAM, predicted


def test_a_loop_has_launches_of_its_own_and_is_asked_only_where_its_length_is_not_known() -> None:
    device = replace(DEVICE, loop_op_launch_s=2e-7, loop_step_s=5e-7)
    known = PROGRAM.replace(
        "body=body", """body=body, backend_config={"known_trip_count":{"n":"3"}}"""
    )
    asked, counted = predicted(device), predicted(device, known)
    assert asked["d"].expected_time_s == pytest.approx(3 * (2e-7 + 2 * 64**3 / 1e9))
    assert asked["f"].expected_time_s == pytest.approx(1e-6 + 2 * 64 * 64 * 4 / 1e9)
    # The condition is looked at four times, and moves nine bytes.
    work_s = 4 * 9 / 1e9
    assert asked["less"].expected_time_s == pytest.approx(4 * 5e-7 + work_s)
    assert counted["less"].expected_time_s == pytest.approx(work_s)


RECOMPUTED = """HloModule m
inner { x = f32[64] parameter(0)
  e = f32[64] exponential(x)
  back = f32[64] reverse(e), dimensions={0}
  ROOT r = f32[64] multiply(e, back) }
ENTRY main { x = f32[64] parameter(0)
  ROOT f = f32[64] fusion(x), kind=kLoop, calls=inner }"""


def test_what_a_fusion_computes_twice_takes_twice_as_long() -> None:
    rates = (("exponential", 1e6), ("arithmetic", 1e9), ("copy", 1e12), ("elementwise", 1e12))
    device = replace(
        DEVICE,
        kernel_rates=tuple(
            KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate) for kind, rate in rates
        ),
    )
    (loops,), (library,) = (
        [
            op
            for op in predicted(device, text).values()
            if op.parent is None and op.opcode == "fusion"
        ]
        for text in (RECOMPUTED, RECOMPUTED.replace("kLoop", "kCustom"))
    )
    assert loops.expected_time_s == pytest.approx(1e-6 + 2 * 64 / 1e6 + 64 / 1e9)
    # A library keeps what it computed; of its arithmetic nothing was measured here.
    assert library.expected_time_s == pytest.approx(1e-6 + 64 / 1e6)
