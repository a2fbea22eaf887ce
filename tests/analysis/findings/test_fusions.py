"""Where fusions compute twice and where they cost time, with the numbers by hand."""

from __future__ import annotations

import pytest

from tests.analysis.findings import programs
from tests.analysis.findings.test_data import only, rules


def test_what_two_more_fusions_compute_is_recomputed() -> None:
    finding = only(programs.shared_intermediate(dear=False), "fusion-recomputes")
    # A product and a sum of 64 x 64 in two fusions more than needed; three fusions of three each.
    assert finding.numbers["recomputed_operations"] == 2 * 2 * 64 * 64
    assert finding.numbers["share"] == pytest.approx(4 / 9)
    assert finding.numbers["fusions"] == 2


def test_what_is_returned_is_computed_once_as_the_advice_says() -> None:
    assert "fusion-recomputes" not in rules(programs.shared_intermediate(returned=True))


def test_other_values_under_the_same_name_are_not_recomputed() -> None:
    assert "fusion-recomputes" not in rules(programs.rotated_halves())


TWO_FUSIONS = """
HloModule m

first {{
  p = f32[512] parameter(0)
  q = f32[512] parameter(1)
  a = f32[512] add(p, q), metadata={{op_name="jit(f)/add"}}
  ROOT b = f32[512] negate(a), metadata={{op_name="jit(f)/neg"}}
}}

second {{
  p.1 = f32[512] parameter(0)
  q.1 = f32[512] parameter(1)
  a.1 = f32[512] {opcode}(p.1, q.1), metadata={{op_name="jit(f)/add"}}
  ROOT c = f32[512] abs(a.1), metadata={{op_name="jit(f)/abs"}}
}}

ENTRY e {{
  x = f32[512] parameter(0)
  y = f32[512] parameter(1)
  f = f32[512] fusion(x, y), kind=kLoop, calls=first
  g = f32[512] fusion({operands}), kind=kLoop, calls=second
  ROOT r = (f32[512], f32[512]) tuple(f, g)
}}
"""


@pytest.mark.parametrize(
    ("opcode", "operands", "twice"),
    [
        ("add", "x, y", True),
        ("add", "x, x", False),
        ("add", "f, y", False),
        ("multiply", "x, y", False),
    ],
)
def test_the_same_is_what_has_the_same_operation_and_operands(
    opcode: str, operands: str, twice: bool
) -> None:
    text = TWO_FUSIONS.format(opcode=opcode, operands=operands)
    assert ("fusion-recomputes" in rules(programs.from_text(text))) is twice


def test_a_library_fusion_is_held_against_its_layers_alone() -> None:
    finding = only(programs.timed_library_fusion(20e-3), "library-fusion-hurts")
    # Four layers and what stands between them, 1 ms each and 5 µs to launch it.
    assert finding.numbers["alone_s"] == pytest.approx(5 * 1.005e-3)
    assert finding.numbers["fused_s"] == pytest.approx(20e-3)


def test_what_the_profiler_may_have_added_is_no_loss() -> None:
    assert "library-fusion-hurts" not in rules(programs.timed_library_fusion(5.9e-3))
