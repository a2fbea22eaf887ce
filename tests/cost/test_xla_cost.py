"""XLA's own price of single instructions, and bytes that stay on the chip, added up by hand."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.cost.cost import Cost
from edgegraph.cost.price import price_nodes
from edgegraph.cost.xla_cost import XlaPrice, XlaPricer
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
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


CONFIG = 'backend_config={"scoped_memory_configs":[]}'


PREFETCH = """
HloModule prefetch, is_scheduled=true

body {
  a = f32[1024]{0:S(1)} parameter(0)
  b = f32[1024]{0} parameter(1)
  ROOT sum = f32[1024]{0:S(1)} add(a, b)
}

ENTRY main {
  x = f32[1024]{0} parameter(0)
  y = f32[1024]{0} parameter(1)
  start = (f32[1024]{0:S(1)}, f32[1024]{0}, u32[]{:S(2)}) copy-start(x), CONFIG
  done = f32[1024]{0:S(1)} copy-done(start)
  both = f32[1024]{0:S(1)} fusion(done, y), kind=kLoop, calls=body
  again = f32[1024]{0:S(1)} negate(both)
  ROOT out = f32[1024]{0} tanh(again)
}
"""


KIB4 = 4096


def costs(text: str) -> dict[str, Cost]:
    module = decode(xla.parse_text(text))
    return {name: op.cost for name, op in price_nodes(module, flatten(module)).items()}


def main_memory(cost: Cost) -> int:
    return (cost.bytes_read or 0) + (cost.bytes_written or 0) - (cost.on_chip_bytes or 0)


@pytest.mark.parametrize(
    ("name", "moved", "from_main_memory"),
    [
        # Read from main memory once, written to the chip.
        ("start", 2 * KIB4, KIB4),
        ("done", 0, 0),
        # One of two operands comes from main memory; the result stays.
        ("both", 3 * KIB4, KIB4),
        ("sum", 3 * KIB4, KIB4),
        ("again", 2 * KIB4, 0),
        ("out", 2 * KIB4, KIB4),
    ],
)
def test_bytes_on_the_chip_are_no_traffic_of_main_memory(
    name: str, moved: int, from_main_memory: int
) -> None:
    cost = costs(PREFETCH.replace("CONFIG", CONFIG))[name]
    assert (cost.bytes_read or 0) + (cost.bytes_written or 0) == moved
    assert main_memory(cost) == from_main_memory


def test_spaces_of_other_compilers_are_main_memory() -> None:
    found = costs(PREFETCH.replace(", CONFIG", ""))
    assert all(cost.on_chip_bytes == 0 for cost in found.values())


def test_the_memory_of_the_host_is_not_on_the_chip() -> None:
    text = PREFETCH.replace("CONFIG", CONFIG).replace("S(1)", "S(5)")
    assert main_memory(costs(text)["again"]) == 2 * KIB4


def test_arrays_of_a_tuple_share_its_bytes_by_size() -> None:
    text = f"""
HloModule pair, is_scheduled=true

body {{
  a = f32[1024]{{0}} parameter(0)
  low = f32[1024]{{0}} negate(a)
  high = f32[1024]{{0}} tanh(a)
  ROOT both = (f32[1024]{{0:S(1)}}, f32[1024]{{0}}) tuple(low, high)
}}

ENTRY main {{
  x = f32[1024]{{0}} parameter(0)
  ROOT both.1 = (f32[1024]{{0:S(1)}}, f32[1024]{{0}}) fusion(x), kind=kLoop, calls=body, {CONFIG}
}}
"""
    cost = costs(text)["both.1"]
    assert (cost.bytes_read, cost.bytes_written, cost.on_chip_bytes) == (KIB4, 2 * KIB4, KIB4)
