"""Scopes are cut only where a cycle would come up."""

from __future__ import annotations

from graphlib import TopologicalSorter

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegraph.reporting.scene.split import split


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
