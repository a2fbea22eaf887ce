"""Random programs for the scene: ops in scopes, some of which hold ops of their own."""

from __future__ import annotations

import random

from edgegraph.reporting.scene.hierarchy import Item


def random_items(seed: int, count: int) -> list[Item]:
    """Draw up to `count` ops, operands before users, containers before their contents."""
    draw = random.Random(seed)
    names = "abcdefgh"[: draw.randint(1, 8)]
    near = draw.choice((3, 50, 1000))
    most_operands = draw.randint(1, 4)
    items: list[Item] = []
    siblings: dict[int | None, list[int]] = {None: []}
    while len(items) < count:
        parent = draw.choice([*siblings]) if draw.random() < 0.3 else None
        known = siblings[parent]
        operands = (
            {draw.choice(known[-near:]) for _ in range(draw.randint(0, most_operands))}
            if (known)
            else set()
        )
        siblings[parent].append(len(items))
        # The operands of an op come before what a container between them holds.
        if draw.random() < 0.05 and len(siblings) < 40:
            siblings[len(items)] = []
        items.append(
            Item(
                name=f"op.{len(items)}",
                path=tuple(draw.choice(names) for _ in range(draw.randint(0, 3))),
                parent=parent,
                operands=tuple(sorted(operands)),
                bytes=draw.randint(0, 99),
                fused=draw.random() < 0.5,
            )
        )
    return items
