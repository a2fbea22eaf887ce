"""Estimates as compilers for TPUs and GPUs write them, in modules by hand."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.analysis.attribution import attribute, model_macs, with_model_macs
from edgegraph.analysis.estimates import compiler_coverage, compiler_time_s, with_compiler_times
from edgegraph.analysis.records import op_records
from edgegraph.cost.price import price_nodes
from edgegraph.device.catalogue import find_device
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.results.records import OpRecord

TPU = '{"window_config":{"estimated_cycles":"1500"},"flag_configs":[]}'
GPU = (
    '{"fusion_backend_config":{"kind":"__triton"},"reification_cost":[{"end_to_end_cycles":0,'
    '"exec_time_us":2.5,"compute_time_us":0.1,"memory_access_time_us":2.4,"name":""}]}'
)
PROGRAM = """HloModule m
inner {{ a = f32[64,64] parameter(0)
  b = f32[64,64] multiply(a, a)
  ROOT c = f32[64,64] dot(b, a), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}} }}
ENTRY main {{ x = f32[64,64] parameter(0)
  ROOT f = f32[64,64] fusion(x), kind=kOutput, calls=inner, backend_config={config} }}"""


def records(config: str) -> tuple[OpRecord, ...]:
    module = decode(xla.parse_text(PROGRAM.format(config=config)))
    nodes = flatten(module)
    device = find_device("tpu-v5e")
    found = op_records(nodes, price_nodes(module, nodes), attribute(nodes), device)
    return with_compiler_times(nodes, found, device.clock_hz)


@pytest.mark.parametrize(("config", "expected_s"), [(TPU, 1e-6), (GPU, 2.5e-6)])
def test_a_fusion_takes_what_its_compiler_says(config: str, expected_s: float) -> None:
    ops = {op.name: op for op in records(config)}
    assert ops["f"].compiler_time_s == pytest.approx(expected_s)  # 1,500 cycles at 1.5 GHz
    inside = [op.compiler_time_s or 0 for op in ops.values() if op.parent == "f"]
    assert sum(inside) == pytest.approx(expected_s)


def test_cycles_need_a_clock_and_nothing_is_made_up() -> None:
    def said(config: str) -> Instruction:
        return Instruction(
            name="f", opcode="fusion", shape=Shape(dtype="f32"), backend_config=config
        )

    assert compiler_time_s(said(TPU), None) is None
    assert compiler_time_s(said("{}"), 1e9) is None
    assert compiler_time_s(said('{"reification_cost":[]}'), 1e9) is None
    assert all(op.compiler_time_s is None for op in records("{}"))


SORTED = """HloModule m
less {{ a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = pred[] compare(a, b), direction=LT }}
ENTRY main {{ x = f32[65536] parameter(0)
  n = f32[65536] negate(x), backend_config={config}
  ROOT s = f32[65536] sort(n), dimensions={{0}}, to_apply=less }}"""


def test_what_a_compiler_says_nothing_of_is_unknown_and_told() -> None:
    """A TPU's compiler has no cycles for sorts, so that its sum is of the rest."""
    module = decode(xla.parse_text(SORTED.format(config=TPU)))
    nodes = flatten(module)
    device = find_device("tpu-v5e")
    found = op_records(nodes, price_nodes(module, nodes), attribute(nodes), device)
    assert compiler_coverage(found) is None
    ops = {op.name: op for op in with_compiler_times(nodes, found, device.clock_hz)}
    assert ops["n"].compiler_time_s == pytest.approx(1e-6)
    assert ops["s"].compiler_time_s is None
    # Both read and write 65,536 floats, and the sort compares besides.
    coverage = compiler_coverage(tuple(ops.values()))
    assert coverage is not None
    assert coverage <= 0.5


def test_what_a_compiler_says_something_of_is_covered() -> None:
    assert compiler_coverage(records(TPU)) == 1.0
    assert compiler_coverage(records("{}")) is None


def test_the_models_macs_replace_those_of_padded_products() -> None:
    before = decode(
        xla.parse_text("""HloModule m
      ENTRY main { x = f32[3,64] parameter(0)
        w = f32[64,64] parameter(1)
        ROOT y = f32[3,64] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0} }""")
    )
    wanted = model_macs(before)
    assert wanted == {(None, "forward"): 3 * 64 * 64}
    ops = {op.name: op for op in with_model_macs(records(TPU), wanted)}
    assert (ops["c"].macs, ops["b"].macs, ops["f"].macs) == (3 * 64 * 64, 0, 3 * 64 * 64)
    assert ops["c"].flops == 2 * 64**3  # what the padded product does
