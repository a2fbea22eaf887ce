"""The cost of ops as an algebra: sequence adds, loops multiply, branches take the maximum.

Which branch runs is decided by data. The totals take the most expensive, figure by figure, as
XLA does (`HandleConditional` takes the maximum per property, of which the bytes read and written
together are one); the others are kept as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import asdict, astuple, replace

from edgegraph.hlo.graph import Node


class Cost(Struct, frozen=True, kw_only=True, gc=False):
    """What running something costs; None where it is unknown.

    Attributes:
        macs: Multiply-accumulates.
        flops: Floating point (and integer) operations as XLA counts them.
        transcendentals: exp, log, tanh and the like, which XLA counts apart from FLOPs.
        bytes_read: Bytes read across kernel borders.
        bytes_written: Bytes written across kernel borders.
        wire_bytes: Bytes that each device sends to other devices.
        on_chip_bytes: Those of the bytes read and written that stay on the chip.
    """

    macs: int | None = 0
    flops: int | None = 0
    transcendentals: int | None = 0
    bytes_read: int | None = 0
    bytes_written: int | None = 0
    wire_bytes: int | None = 0
    on_chip_bytes: int | None = 0

    @property
    def known(self) -> bool:
        """Whether every figure is known."""
        return None not in astuple(self)

    def __mul__(self, times: int) -> Cost:
        """Return the cost of running it `times` times; what is unknown stays unknown.

        >>> cost = Cost(flops=10, bytes_read=None) * 3
        >>> cost.flops, cost.bytes_read, cost.bytes_written
        (30, None, 0)
        """
        if times == 1:
            return self
        figures = asdict(self).items()
        return Cost(**{name: None if one is None else one * times for name, one in figures})


ZERO = Cost()
FIGURES = Cost.__struct_fields__
"""Names of the figures of a cost."""
UNKNOWN = Cost(**dict.fromkeys(FIGURES))


def known_sum(values: Iterable[int | None]) -> int:
    """Return the sum of what is known: a lower bound where something is not."""
    return sum([value for value in values if value is not None])


def sequence(costs: Iterable[Cost]) -> Cost:
    """Return the cost of running all `costs` one after the other, a lower bound of the unknown.

    >>> sequence([Cost(flops=2), Cost(flops=3), Cost(flops=None)]).flops
    5
    """
    columns = zip(*map(astuple, costs), strict=True)
    return Cost(**dict(zip(FIGURES, map(known_sum, columns), strict=False)))


_COMPARED = (("macs",), ("flops",), ("transcendentals",),
             ("bytes_read", "bytes_written", "on_chip_bytes"), ("wire_bytes",))  # fmt: skip
"""Figures by which branches are compared; those that stand together come from one branch."""

_PART = "on_chip_bytes"
"""Part of the bytes read and written, which goes along with them."""


class Branches:
    """What the branches of conditionals cost, while costs are added up from the inside.

    `costs` has each branch in XLA's order, by name of the conditional; `cheapest`, by name of a
    conditional or of what holds one, the cost where each takes its cheapest branch, by figure.
    """

    def __init__(self, contents: Mapping[str | None, Sequence[Node]]) -> None:
        """Start without any conditional; `contents` are nodes by the container they run in."""
        self.costs: dict[str, tuple[Cost, ...]] = {}
        self.cheapest: dict[str, Cost] = {}
        self._contents = contents

    def add(self, container: Node, total: dict[str, Cost]) -> None:
        """Record a container whose contents have all been added up.

        Of a conditional, only the ops of the most expensive branch keep their part in `total`, the
        costs of all executions by node name.
        """
        inside = self._contents[container.name]
        if container.opcode == "conditional":
            branches = _branches(container, inside)
            at_least = [self._at_least(branch, total) for branch in branches]
            self.cheapest[container.name] = _cheapest(at_least)
            costs = [sequence([total[node.name] for node in branch]) for branch in branches]
            self.costs[container.name] = tuple(costs)
            self._keep_most_expensive(branches, costs, total)
        elif self.cheapest and any(node.name in self.cheapest for node in inside):
            self.cheapest[container.name] = self._at_least(inside, total)

    def _at_least(self, nodes: Sequence[Node], total: Mapping[str, Cost]) -> Cost:
        return sequence([self.cheapest.get(node.name, total[node.name]) for node in nodes])

    def _keep_most_expensive(
        self, branches: Sequence[Sequence[Node]], costs: Sequence[Cost], total: dict[str, Cost]
    ) -> None:
        for figures in _COMPARED:
            amounts = [_amount(cost, figures) for cost in costs]
            most_expensive = amounts.index(max(amounts))
            for number, branch in enumerate(branches):
                if number != most_expensive:
                    for node in self._with_contents(branch):
                        _clear(total, node.name, figures)
                        _clear(self.cheapest, node.name, figures)

    def _with_contents(self, nodes: Sequence[Node]) -> list[Node]:
        found = list(nodes)
        for node in found:
            found.extend(self._contents.get(node.name, ()))
        return found


def _branches(conditional: Node, inside: Sequence[Node]) -> list[list[Node]]:
    """Sort what is in a conditional by branch; where two are one computation, a prefix tells."""
    called = conditional.instruction.called
    numbers: dict[str, int] = {}
    for number, name in enumerate(called):
        twice = called.count(name) > 1
        numbers[f"{conditional.name}/{number}/" if twice else name] = number
    branches: list[list[Node]] = [[] for _ in called]
    for node in inside:
        number = numbers.get(node.computation, -1)
        if number < 0:
            prefix = node.name.removesuffix(node.instruction.name)
            number = numbers[prefix]
        branches[number].append(node)
    return branches


def _amount(cost: Cost, figures: Sequence[str]) -> int:
    return known_sum(getattr(cost, figure) for figure in figures if figure != _PART)


def _cheapest(branches: Sequence[Cost]) -> Cost:
    """Take every figure from the branch that has the least of it."""
    least: dict[str, int | None] = {}
    for figures in _COMPARED:
        amounts = [_amount(branch, figures) for branch in branches]
        branch = branches[amounts.index(min(amounts))]
        least |= {figure: getattr(branch, figure) for figure in figures}
    return Cost(**least)


def _clear(costs: dict[str, Cost], name: str, figures: Sequence[str]) -> None:
    """Set figures to nothing; what is unknown stays unknown."""
    if name in costs:
        known = {figure: 0 for figure in figures if getattr(costs[name], figure)}
        if known:
            costs[name] = replace(costs[name], **known)
