"""How often values in a fusion are computed, by counting what reads them by hand."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.analysis.evaluations import ONE_BY_ONE, PERHAPS_ONE_BY_ONE, evaluations
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten

MODULE = """HloModule m
add {{ a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b) }}
inner {{ x = f32[64] parameter(0)
  e = f32[64] exponential(x)
{body} }}
ENTRY main {{ x = f32[64] parameter(0)
  ROOT f = {result} fusion(x), kind=kLoop, calls=inner }}"""

ROLLED = """  last = f32[1] slice({0}), slice={{[63:64]}}
  rest = f32[63] slice({0}), slice={{[0:63]}}
  rolled = f32[64] concatenate(last, rest), dimensions={{0}}
"""

CASES = {
    # Twice at one place, once.
    "same place": ("  ROOT r = f32[64] multiply(e, e)", "f32[64]", 1.0, 1.0),
    # At its place, and at that before it: one of 64 and 63 of 64 values from each slice.
    "rolled": (
        ROLLED.format("e") + "  ROOT r = f32[64] add(e, rolled)",
        "f32[64]", 2.0, PERHAPS_ONE_BY_ONE,
    ),
    "half of it": ("  ROOT r = f32[32] slice(e), slice={[0:32]}", "f32[32]", 0.5, 1.0),
    # [i, j] of e[i]: once for all j; of e[j]: for each of 10 i.
    "inner": ("  ROOT r = f32[64,10] broadcast(e), dimensions={0}", "f32[64,10]", 1.0, 1.0),
    "outer": ("  ROOT r = f32[10,64] broadcast(e), dimensions={1}", "f32[10,64]", 10.0, 1.0),
    "padded": (
        "  z = f32[] constant(0)\n  ROOT r = f32[96] pad(e, z), padding=0_32",
        "f32[96]", 1.0, ONE_BY_ONE,
    ),
    # Every window of 9 reads 9 values.
    "windows": (
        "  z = f32[] constant(0)\n  ROOT r = f32[56] reduce-window(e, z), window={size=9},"
        " to_apply=add",
        "f32[56]", 9 * 56 / 64, 1.0,
    ),
    "summed": (
        "  z = f32[] constant(0)\n  ROOT r = f32[] reduce(e, z), dimensions={0}, to_apply=add",
        "f32[]", 1.0, 1.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_are_computed_where_they_are_read(name: str) -> None:
    body, result, times, slowed = CASES[name]
    nodes = flatten(decode(xla.parse_text(MODULE.format(body=body, result=result))))
    inside = [node for node in nodes if node.parent == "f"]
    shapes = {node.name: node.instruction.shape for node in nodes}
    (found,) = [
        evaluated
        for op, evaluated in evaluations(inside, shapes).items()
        if op.rpartition("/")[2] == "e"
    ]
    assert found.times == pytest.approx(times)
    assert found.slowed == slowed


def test_what_many_read_is_counted_without_listing_every_path() -> None:
    """Twelve sums of a value and its neighbour, each of the one before: 2 ** 12 evaluations."""
    lines, last = [], "e"
    for number in range(12):
        lines.append(f"  back{number} = f32[64] reverse({last}), dimensions={{0}}")
        lines.append(f"  sum{number} = f32[64] add({last}, back{number})")
        last = f"sum{number}"
    body = "\n".join(lines) + f"\n  ROOT r = f32[64] negate({last})"
    nodes = flatten(decode(xla.parse_text(MODULE.format(body=body, result="f32[64]"))))
    shapes = {node.name: node.instruction.shape for node in nodes}
    found = evaluations([node for node in nodes if node.parent == "f"], shapes)
    (times,) = [each.times for name, each in found.items() if name.rpartition("/")[2] == "e"]
    assert times == 2**12
