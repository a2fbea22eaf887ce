"""Ops in nested boxes, by hand."""

from __future__ import annotations

from edgegraph.reporting.scene.hierarchy import Item, nest, topological
from tests.reporting.scene.test_layout import boxes_of


def test_a_scope_before_and_after_another_is_drawn_in_parts() -> None:
    items = [
        Item(name="in", path=("net", "conv")),
        Item(name="relu", path=("net", "act"), operands=(0,)),
        Item(name="out", path=("net", "conv"), operands=(1,)),
    ]
    top = nest(items)
    assert top.title == "net"
    assert [(box.title, box.part, box.parts) for box in top.children] == [
        ("conv", 1, 2), ("act", 1, 1), ("conv", 2, 2),
    ]  # fmt: skip


def test_a_scope_stays_whole_where_nothing_lies_between() -> None:
    # Both branches of a residual block: they are beside each other.
    items = [
        Item(name="x", path=("a",)),
        Item(name="y", path=("b",), operands=(0,)),
        Item(name="z", path=("a",), operands=(0,)),
        Item(name="sum", path=("c",), operands=(1, 2)),
    ]
    assert [box.title for box in nest(items).children] == ["a", "b", "c"]


def test_a_long_chain_is_nested_without_recursion() -> None:
    items = [Item(name="first", path=("s",))]
    items += [Item(name=f"op.{n}", parent=n - 1, path=("s",) * (n % 3)) for n in range(1, 3000)]
    assert len([*boxes_of(nest(items))]) >= 3000


def test_large_groups_are_drawn_as_groups_of_neighbours() -> None:
    assert len(nest([Item(name=f"op.{n}") for n in range(120)]).children) == 120
    top = nest([Item(name=f"op.{n}", operands=(n - 1,) if n else ()) for n in range(121)])
    # The square root of 121 neighbours in each of as many groups.
    assert [len(box.children) for box in top.children] == [11] * 11
    assert top.children[0].title == "op.0 … op.10"
    assert [(line.source, line.target) for line in top.lines] == [(n, n + 1) for n in range(10)]


def test_few_ops_of_a_fusion_stand_side_by_side() -> None:
    def fusion(count: int) -> list[Item]:
        inside = [Item(name=f"op.{n}", path=(f"scope{n % 2}",), parent=0) for n in range(count)]
        return [Item(name="fusion", fused=True), *inside]

    assert len(nest(fusion(40)).children[0].children) == 40
    assert [box.title for box in nest(fusion(41)).children[0].children] == ["scope0", "scope1"]


def test_a_line_names_the_largest_of_its_values() -> None:
    items = [
        Item(name="x", path=("a",), bytes=8), Item(name="y", path=("a",), bytes=16),
        Item(name="z", path=("b",), operands=(0, 1)),
    ]  # fmt: skip
    (line,) = nest(items).lines
    assert (line.source, line.target, line.op, line.values) == (0, 1, 1, 2)


def test_what_belongs_together_stays_near() -> None:
    assert topological(5, [(0, 2), (1, 3), (2, 4)]) == [1, 3, 0, 2, 4]
