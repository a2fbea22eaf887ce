"""Ops in nested boxes, by hand."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegraph.reporting.scene.hierarchy import Item, nest, split, topological
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


def fusion(count: int, scopes: int) -> list[Item]:
    """Return a fusion of so many ops of so many scopes, and an input that only it reads."""
    inside = [
        Item(name=f"op.{n}", path=(f"scope{n % scopes}",), rows=(n % scopes,), parent=1)
        for n in range(count)
    ]
    given = Item(name="weights", path=("scope0",), rows=(0,), idle=True)
    return [given, Item(name="fusion", fused=True, operands=(0,)), *inside]


def test_few_ops_of_a_fusion_stand_side_by_side() -> None:
    assert len(nest(fusion(40, scopes=1)).children[1].children) == 40
    titles = [box.title for box in nest(fusion(2, scopes=1)).children[1].children]
    assert titles == ["op.0", "op.1"]


@pytest.mark.parametrize("count", [2, 41])
def test_a_fusion_across_layers_shows_them_as_its_parts(count: int) -> None:
    inputs, fused = nest(fusion(count, scopes=2)).children
    assert [(box.title, box.rows) for box in fused.children] == [("scope0", (0,)), ("scope1", (1,))]
    # What only names the layer's inputs is not the layer, and shows none of its figures.
    assert (inputs.title, inputs.rows) == ("scope0 inputs", ())
    assert {box.parts for box in [inputs, *fused.children]} == {1}


def test_a_layer_inside_and_outside_of_a_fusion_is_in_parts() -> None:
    more = Item(name="more", path=("scope0",), rows=(0,), operands=(1,))
    top = nest([*fusion(2, scopes=2), more])
    _, fused, after = top.children
    assert (fused.children[0].part, fused.children[0].parts) == (1, 2)
    assert (after.part, after.parts) == (2, 2)


def test_inputs_that_nothing_reads_are_not_drawn() -> None:
    state = Item(name="state", idle=True)
    top = nest([state, Item(name="x", path=("net",), idle=True), Item(name="y", path=("net",),
                operands=(1,))])  # fmt: skip
    assert [box.title for box in top.children] == ["x", "y"]
    assert top.title == "net"
    assert [box.title for box in nest([state, state]).children] == ["state", "state"]


def test_a_line_names_the_largest_of_its_values() -> None:
    items = [
        Item(name="x", path=("a",), bytes=8), Item(name="y", path=("a",), bytes=16),
        Item(name="z", path=("b",), operands=(0, 1)),
    ]  # fmt: skip
    (line,) = nest(items).lines
    assert (line.source, line.target, line.op, line.values) == (0, 1, 1, 2)


def test_what_belongs_together_stays_near() -> None:
    assert topological(5, [(0, 2), (1, 3), (2, 4)]) == [1, 3, 0, 2, 4]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.lists(st.integers(0, 10**6))),
        min_size=1,
        max_size=40,
    )
)
def test_parts_make_no_cycle(ops: list[tuple[str | None, list[int]]]) -> None:
    labels = [label for label, _ in ops]
    operands = [[o % n for o in read] if n else [] for n, (_, read) in enumerate(ops)]
    parts = split(labels, operands)
    before: dict[int, set[int]] = {part: set() for part in parts}
    for number, read in enumerate(operands):
        before[parts[number]] |= {parts[o] for o in read} - {parts[number]}
    TopologicalSorter(before).prepare()
    assert sorted(before) == [*range(max(parts) + 1)]
    of_part: dict[int, set[str | None]] = {}
    for label, part in zip(labels, parts, strict=True):
        of_part.setdefault(part, set()).add(label)
    assert all(len(found) == 1 for found in of_part.values())


def test_an_op_goes_to_the_part_that_it_reads_from() -> None:
    # The second a reads from b, so a new part begins; the third reads from the first.
    assert split(["a", "b", "a", "a"], [[], [0], [1], [0]]) == [0, 1, 2, 0]
    assert split(["a", None, "a"], [[], [0], [1]]) == [0, 1, 2]
