"""XLA's own price of single instructions."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.cost.xla_cost import XlaPrice, XlaPricer
from edgegraph.hlo.decode import decode
from tests.cost.test_price import priced

TWO_LAYERS = """HloModule m
f { p = f32[4,8] parameter(0) ROOT t = f32[4,8] tanh(p) }
ENTRY e {
  x = f32[4,8] parameter(0)
  w = f32[8,8] parameter(1)
  first = f32[4,8] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  active = f32[4,8] fusion(first), kind=kLoop, calls=f
  second = f32[4,8] dot(active, w), lhs_contracting_dims={1}, rhs_contracting_dims={0},
    metadata={op_name="second"}
  other = f32[8,8] dot(second, second), lhs_contracting_dims={0}, rhs_contracting_dims={0}
  ROOT all = (f32[4,8], f32[8,8]) tuple(second, other)
}"""


@pytest.fixture
def pricer() -> XlaPricer:
    return XlaPricer(decode(xla.parse_text(TWO_LAYERS)))


def test_an_instruction_is_priced_alone(pricer: XlaPricer) -> None:
    # Two for each of 4 x 8 x 8 products; f32 takes four bytes.
    assert pricer.price("first") == XlaPrice(
        flops=512, transcendentals=0, operand_bytes=(128, 256), output_bytes=128
    )
    assert pricer.price("active") == XlaPrice(
        flops=0, transcendentals=32, operand_bytes=(128,), output_bytes=128
    )


def test_what_differs_in_names_only_is_priced_once(
    pricer: XlaPricer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pricer.price("first")
    monkeypatch.setattr(xla, "cost_analysis", lambda _: pytest.fail("priced twice"))
    assert pricer.price("second") is first
    with pytest.raises(pytest.fail.Exception, match="priced twice"):
        pricer.price("other")


def test_summing_up_nothing_costs_nothing() -> None:
    """XLA says that it takes -1 addition."""
    text = """HloModule m
    add {
      a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT c = f32[] add(a, b)
    }
    ENTRY e {
      x = f32[0] parameter(0)
      zero = f32[] parameter(1)
      ROOT y = f32[] reduce(x, zero), dimensions={0}, to_apply=add
    }"""
    serialized = xla.parse_text(text)
    _, costs = priced(serialized)
    assert costs["y"].cost.flops == 0
    assert xla.cost_analysis(serialized)["flops"] == -1
