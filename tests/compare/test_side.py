"""One side of a comparison: what stands around its ops, and how they are labelled."""

from __future__ import annotations

import jax

import edgegraph as eg
from edgegraph import xla
from edgegraph.compare.side import Side, costs_of, downwards, make_side, upwards
from edgegraph.hlo.identity import Labels, label_instructions

# y = (a + b) * (b + a): the sums are equal in kind, and differ in the order of their operands.
TEXT = """HloModule m
ENTRY e {
  a = f32[4] parameter(0)
  b = f32[4] parameter(1)
  one = f32[4] add(a, b)
  two = f32[4] add(b, a)
  ROOT y = f32[4] multiply(one, two)
}"""


def side(text: str = TEXT) -> tuple[Side, Labels]:
    x = jax.ShapeDtypeStruct((4,), "float32")
    program = eg.compile(lambda a, b: (a + b) * (b + a), x, x, stage="lowered")
    from dataclasses import replace

    analysis = eg.analyze(replace(program, serialized=xla.parse_text(text), executable=None))
    labels = Labels()
    found = label_instructions(analysis.module, labels, exact=True)
    return make_side(analysis, found, labels, {"(unattributed)": 0}), labels


def at(found: Side, name: str) -> int:
    return [node.name for node in found.nodes].index(name)


def test_operands_and_users_are_positions_in_the_order_of_execution() -> None:
    found, _ = side()
    one, two, y = (at(found, name) for name in ("one", "two", "y"))
    assert found.operands[y] == (one, two)
    assert found.users[one] == [(0, y)]
    assert found.users[at(found, "a")] == [(0, one), (1, two)]


def test_equal_ops_have_one_label_and_the_values_they_compute_have_two() -> None:
    found, labels = side()
    one, two = at(found, "one"), at(found, "two")
    assert found.own[one] == found.own[two]
    assert found.kinds[one] == found.kinds[two] != found.kinds[at(found, "y")]
    up = upwards(found, found.deep, labels)
    # The parameters are told apart by their order, and so are the sums.
    assert up[one] != up[two]
    down = downwards(found, found.deep, labels)
    assert down[one] != down[two]


def test_the_costs_of_what_holds_others_are_how_often_it_runs() -> None:
    found, _ = side()
    # 4 additions that read 2 x 16 bytes and write 16.
    assert costs_of(found.record(at(found, "one"))) == (1, 0, 4, 0, 32, 16, 0)
    loop = jax.ShapeDtypeStruct((3, 4), "float32")
    scanned = eg.analyze(
        lambda xs: jax.lax.scan(lambda c, x: (c + x, c * x), xs[0], xs), args=(loop,)
    )
    (record,) = [op for op in scanned.op_records if op.opcode == "while"]
    assert costs_of(record) == (1,)
