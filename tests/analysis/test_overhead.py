"""When launches are said to dominate, on a machine of round figures, by arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis import overhead
from edgegraph.compiler.program import Program
from edgegraph.device.kernel_rates import KernelRate
from edgegraph.results.analysis import Analysis
from tests import analyses

DEVICE = replace(
    analyses.DEVICE,
    op_launch_s=0.2e-6,
    kernel_rates=tuple(
        KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate)
        for kind, rate in (("copy", 1e12), ("elementwise", 1e12), ("arithmetic", 1e12))
    ),
)
"""Starting a kernel takes 0.2 us; its work at these rates next to nothing."""

MODULE = """HloModule m
ENTRY main {{ x0 = f32[{values}] parameter(0)
{chain}
  ROOT out = f32[{values}] copy(x{count}) }}"""

LOOP = """HloModule m
body {{ s = (s32[], f32[16]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  x = f32[16] get-tuple-element(s), index=1
  one = s32[] constant(1)
  next = s32[] add(i, one)
  back = f32[16] reverse(x), dimensions={{0}}
  ROOT t = (s32[], f32[16]) tuple(next, back) }}
condition {{ s = (s32[], f32[16]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  end = s32[] constant(500)
  ROOT less = pred[] compare(i, end), direction=LT }}
inside {{ start = (s32[], f32[16]) parameter(0)
  ROOT loop = (s32[], f32[16]) while(start), condition=condition, body=body }}
ENTRY main {{ x = f32[16] parameter(0)
  zero = s32[] constant(0)
  start = (s32[], f32[16]) tuple(zero, x)
  ROOT whole = (s32[], f32[16]) call(start), to_apply=inside{as_one} }}"""


def analysed(text: str) -> Analysis:
    program = Program(
        name="m", batch=None, target="cpu", stage="optimized", serialized=xla.parse_text(text)
    )
    return eg.analyze(program, device=DEVICE)


def chain(count: int, values: int = 16) -> Analysis:
    """Analyse so many reversals, one after the other, and a copy."""
    ops = [
        f"  x{n} = f32[{values}] reverse(x{n - 1}), dimensions={{0}},"
        f' metadata={{op_name="jit(f)/{"Net/a" if n < count / 4 else "Net/b"}/rev"}}'
        for n in range(1, count + 1)
    ]
    return analysed(MODULE.format(values=values, chain="\n".join(ops), count=count))


def test_shares_are_of_what_is_expected() -> None:
    rows = chain(200).layers.set_index("layer")
    assert set(rows.bound) == {"overhead"}
    # All kernels take the same, whatever they move; the copy is of what it copies.
    assert rows.share["Net/a"] == pytest.approx(49 / 201, rel=1e-3)
    assert rows.share["Net/b"] == pytest.approx(152 / 201, rel=1e-3)


@pytest.mark.parametrize(("count", "values"), [(50, 16), (200, 1 << 16)])
def test_few_kernels_and_large_ones_are_not(count: int, values: int) -> None:
    found = chain(count, values)  # 512 kB at 100 GB/s are 5 us, longer than a launch
    assert "overhead" not in {finding.rule for finding in found.findings}
    assert found.totals.bound == "memory"


@pytest.mark.parametrize("as_one", [True, False])
def test_what_is_one_function_launches_nothing_inside(as_one: bool) -> None:
    """XLA's CPU compiler says so with an attribute of the call (`xla_cpu_small_call`)."""
    said = ', frontend_attributes={xla_cpu_small_call="true"}' if as_one else ""
    found = analysed(LOOP.format(as_one=said))
    findings = {finding.rule: finding for finding in found.findings}
    assert ("overhead" in findings) != as_one
    if not as_one:
        assert findings["overhead"].try_next.startswith("batch, merge or unroll")


def test_nothing_is_known_without_a_calibration() -> None:
    program = chain(200)
    again = replace(DEVICE, kernel_rates=(), op_launch_s=None)
    serialized = program.serialized_module
    bare = eg.analyze(
        Program(name="m", batch=None, target="cpu", stage="optimized", serialized=serialized),
        device=again,
    )
    assert bare.totals.bound == "memory"


def test_the_whole_is_bound_by_its_largest_roof_or_by_being_launched() -> None:
    # As a report said once: 28 µs of arithmetic, 18.7 µs of data.
    times = {"compute_time_s": 28e-6, "memory_time_s": 18.7e-6, "network_time_s": None}
    assert overhead.bound_of_whole(None, (), times) == "compute"
    assert overhead.bound_of_whole(analyses.latency(20e-6, 5e-6), (), times) == "compute"
    assert overhead.bound_of_whole(analyses.latency(20e-6, 15e-6), (), times) == "overhead"
    assert overhead.bound_of_whole(None, (), dict.fromkeys(times)) is None
