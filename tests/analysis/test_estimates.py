"""What is expected of ops, on a made-up machine whose kernels all run at round rates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph import xla
from edgegraph.analysis.attribution import attribute
from edgegraph.analysis.estimates import with_expected_times
from edgegraph.analysis.records import op_records
from edgegraph.cost.price import price_nodes
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.device.kernel_rates import KernelRate
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.results.records import OpRecord

DEVICE = Device(
    name="made up",
    peak_flops_per_s={"f32": 1e12},
    memory=(MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=1e12),),
    origin="calibrated",
    source="made up",
    op_launch_s=1e-6,
    kernel_rates=tuple(
        KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate)
        for kind, rate in (("dot", 1e9), ("elementwise", 1e9), ("copy", 5e8))
    ),
)
PROGRAM = """HloModule m
inner { a = f32[64,64] parameter(0)
  b = f32[64,64] multiply(a, a)
  ROOT c = f32[64,64] add(b, a) }
body { s = (s32[], f32[64,64]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  x = f32[64,64] get-tuple-element(s), index=1
  one = s32[] constant(1)
  next = s32[] add(i, one)
  d = f32[64,64] dot(x, x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT t = (s32[], f32[64,64]) tuple(next, d) }
condition { s = (s32[], f32[64,64]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  end = s32[] constant(3)
  ROOT less = pred[] compare(i, end), direction=LT }
ENTRY main { x = f32[64,64] parameter(0)
  f = f32[64,64] fusion(x), kind=kLoop, calls=inner
  zero = s32[] constant(0)
  start = (s32[], f32[64,64]) tuple(zero, f)
  loop = (s32[], f32[64,64]) while(start), condition=condition, body=body
  made = f32[64,64] get-tuple-element(loop), index=1
  ROOT out = f32[64,64] transpose(made), dimensions={1,0} }"""


SINGLE = """HloModule m
larger { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] maximum(a, b) }
ENTRY main { x = f32[1,64] parameter(0)
  w = f32[64,1024] parameter(1)
  least = f32[] constant(0)
  d = f32[1,1024] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  square = f32[32,32] reshape(d)
  ROOT p = f32[16,16] reduce-window(square, least), window={size=2x2 stride=2x2},
    to_apply=larger }"""


def predicted(device: Device, program: str = PROGRAM) -> dict[str, OpRecord]:
    module = decode(xla.parse_text(program))
    nodes = flatten(module)
    records = op_records(nodes, price_nodes(module, nodes), attribute(nodes), device)
    return {record.name: record for record in with_expected_times(nodes, records, device)}


def test_kernels_take_their_launch_and_their_work() -> None:
    ops = predicted(DEVICE)
    half_mib = 2 * 64 * 64 * 4
    assert ops["f"].expected_time_s == pytest.approx(1e-6 + half_mib / 1e9)
    assert ops["out"].expected_time_s == pytest.approx(1e-6 + half_mib / 5e8)
    # Three times, each 2 * 64^3 FLOPs.
    assert ops["d"].expected_time_s == pytest.approx(3 * (1e-6 + 2 * 64**3 / 1e9))


def test_a_product_reads_and_a_window_pools() -> None:
    """A product that only waits for its weights reads them as a reduction reads its input."""
    rates = (("dot", 1e12), ("elementwise", 1e6), ("reduction", 1e9), ("pooling", 2e9))
    device = replace(
        DEVICE,
        kernel_rates=tuple(
            KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate) for kind, rate in rates
        ),
    )
    ops = predicted(device, SINGLE)
    weights = 4 * (64 + 64 * 1024 + 1024)
    assert ops["d"].expected_time_s == pytest.approx(1e-6 + weights / 1e9)
    pooled = 4 * (32 * 32 + 16 * 16 + 1)
    assert ops["p"].expected_time_s == pytest.approx(1e-6 + pooled / 2e9)


def test_containers_add_up_what_is_inside() -> None:
    ops = predicted(DEVICE)
    for name in ("f", "loop"):
        inside = [op.expected_time_s or 0 for op in ops.values() if op.parent == name]
        assert ops[name].expected_time_s == pytest.approx(sum(inside))


def test_the_range_holds_the_time_and_the_roof_stays_below() -> None:
    for op in predicted(DEVICE).values():
        if op.expected_time_s is not None:
            assert op.expected_low_s is not None
            assert op.expected_high_s is not None
            assert op.expected_low_s <= op.expected_time_s <= op.expected_high_s
            roof = max(op.compute_time_s or 0, op.memory_time_s or 0)
            assert roof <= op.expected_time_s * (1 + 1e-9)


def test_nothing_is_expected_without_a_table() -> None:
    bare = replace(DEVICE, kernel_rates=())
    assert all(op.expected_time_s is None for op in predicted(bare).values())
