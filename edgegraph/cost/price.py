"""What every op of a module costs, nested ops included, and how often it runs.

Puts the prices of single executions together: a container carries the sum of what runs inside it,
a loop multiplies by its trips, and of a conditional the most expensive branch counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from msgspec import Struct

from edgegraph.base.timing import bulk
from edgegraph.cost.cost import Branches, Cost, sequence
from edgegraph.cost.custom_calls import why_unpriced
from edgegraph.cost.products import ComputeType
from edgegraph.cost.trip_counts import trip_counts, with_given
from edgegraph.cost.unit_cost import UnitCost, price_once
from edgegraph.errors import FormatError
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Instruction, Module
from edgegraph.hlo.op_tree import OpTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """How often an op runs; `count` is None where that depends on the data.

    Its cost is multiplied by `counted`, in which loops of unknown length count once. `source` is
    ``module``; ``trace`` or ``given`` where a loop around it was counted in an op trace or by
    whoever asks, so that it holds for some arguments only.
    """

    count: int | None
    counted: int
    source: str = "module"


MAX_EXECUTIONS = 1 << 63
"""More often than any program gets to run an op; a file that says so is damaged."""

ONCE = Executions(count=1, counted=1)


def count_executions(
    nodes: Sequence[Node],
    trips: Mapping[str, int | None],
    traced: Mapping[tuple[str, str], int] | None = None,
    given: Collection[str] = (),
) -> Mapping[str, Executions]:
    """Multiply the trip counts of nested loops; a loop's condition runs once more than its body.

    `trips` are by instruction name, the result by node name. Where a trip count is unknown,
    `traced` tells how often computations ran in one call, by loop node and computation. The trips
    of the loops in `given` are not the module's own.
    """
    by_name: dict[str, Node] = {}
    result: dict[str, Executions] = {}
    inside: dict[tuple[str, str], Executions] = {}
    for node in nodes:
        by_name[node.name] = node
        if node.parent is None:
            result[node.name] = ONCE
            continue
        key = (node.parent, node.computation)
        if key not in inside:
            container = by_name[node.parent]
            trip_count = trips.get(container.instruction.name)
            outer = result[node.parent]
            if trip_count is None and traced is not None and key in traced:
                seen = traced[key]
                inside[key] = Executions(count=seen, counted=seen, source="trace")
            else:
                inside[key] = _inside(container, node.computation, outer, trip_count)
                if container.instruction.name in given:
                    inside[key] = replace(inside[key], source="given")
        result[node.name] = inside[key]
    return result


def _inside(container: Node, computation: str, outer: Executions, trips: int | None) -> Executions:
    """Return the executions of the ops in `computation`, which `container` calls."""
    instruction = container.instruction
    if outer.count == 0 or instruction.opcode not in ("conditional", "while"):
        return outer
    if instruction.opcode == "conditional" or trips is None:
        return replace(outer, count=None)
    body, condition = instruction.called
    if outer.counted * trips > MAX_EXECUTIONS:
        raise FormatError(
            f"HLO while {container.name!r}: with the loops around it, its body would run more than"
            " 2^63 times"
        )
    times = trips + 1 if computation == condition and condition != body else trips
    unknown = outer.count is None and times > 0
    count = None if unknown else (outer.count or 0) * times
    return replace(outer, count=count, counted=outer.counted * times)


class OpCost(Struct, frozen=True, kw_only=True, gc=False):
    """The cost of one node.

    Attributes:
        executions: How often it runs in a call; None where that depends on the data.
        cost: Of all executions; a loop of unknown length counts one iteration, a lower bound.
        working_set_bytes: Bytes that its kernel touches in one execution.
        unpriced: Why some of its cost is unknown, or None.
        branches: Of a conditional, each branch if always taken, in XLA's order.
        cheapest: Of a conditional, or what holds one, with the cheapest branches; else None.
        source: Who says how often it runs, as in `Executions`.
    """

    executions: int | None
    cost: Cost
    computes: ComputeType
    working_set_bytes: int
    unpriced: str | None = None
    branches: tuple[Cost, ...] = ()
    cheapest: Cost | None = None
    source: str = "module"

    @property
    def dtype(self) -> str:
        """The dtype it computes in: of a product that of its operands, else of its result."""
        return self.computes.dtype


@bulk
def price_nodes(
    module: Module,
    nodes: Sequence[Node],
    traced: Mapping[tuple[str, str], int] | None = None,
    given: Mapping[str, int] = {},
) -> dict[str, OpCost]:
    """Price every node, containers before their contents; return costs by name, in that order.

    A container costs the sum of its contents. `traced` is as in `count_executions`; `given` has the
    trips of loops of unknown length.
    """
    tree = OpTree(nodes)
    unit_costs = price_once(module, tree)
    trips = with_given(trip_counts(module), given)
    executions = count_executions(nodes, trips, traced, given)
    total, branches = _add_up(tree, unit_costs, executions)
    loops = {loop for loop, _ in traced or ()}

    def price(node: Node, one: UnitCost) -> OpCost:
        name, runs = node.name, executions[node.name]
        return OpCost(
            executions=runs.count,
            cost=total[name],
            computes=one.computes,
            working_set_bytes=one.working_set_bytes,
            unpriced=None if name in loops else _why_unpriced(node.instruction, one.cost, trips),
            branches=branches.costs.get(name, ()),
            cheapest=branches.cheapest.get(name),
            source=runs.source,
        )

    # Fusions that do the same and run equally often share their ops' costs.
    known: dict[tuple[int, int], list[OpCost]] = {}
    result: dict[str, OpCost] = {}
    for inside, priced in _together(nodes, unit_costs):
        alike = (id(priced), id(executions[inside[0].name]))
        if (found := known.get(alike)) is None:
            found = [price(node, one) for node, one in zip(inside, priced, strict=True)]
            if _runs_as_one(inside, executions):
                known[alike] = found
        result.update(zip([node.name for node in inside], found, strict=True))
    return result


def _together(
    nodes: Sequence[Node], unit_costs: Sequence[list[UnitCost]]
) -> list[tuple[Sequence[Node], list[UnitCost]]]:
    """Return the nodes of each list of costs beside it."""
    ends = list(accumulate(map(len, unit_costs)))
    return [
        (nodes[end - len(priced) : end], priced)
        for end, priced in zip(ends, unit_costs, strict=True)
    ]


def _runs_as_one(nodes: Sequence[Node], executions: Mapping[str, Executions]) -> bool:
    """Return whether all of a fusion runs equally often; it holds no loop then."""
    runs = executions[nodes[0].name]
    return all(executions[node.name] is runs for node in nodes)


def _add_up(
    tree: OpTree[Node],
    unit_costs: Sequence[list[UnitCost]],
    executions: Mapping[str, Executions],
) -> tuple[dict[str, Cost], Branches]:
    """Return what all executions of every node cost, from the innermost outwards."""
    total: dict[str, Cost] = {}
    branches = Branches(tree.contents)
    known: dict[tuple[int, int], list[Cost]] = {}
    for inside, priced in reversed(_together(tree.ops, unit_costs)):
        alike = (id(priced), id(executions[inside[0].name]))
        if alike in known:
            names = [node.name for node in inside]
            total.update(zip(names, known[alike], strict=True))
            continue
        for node, one in zip(reversed(inside), reversed(priced), strict=True):
            if one.cost is not None:
                total[node.name] = one.cost * executions[node.name].counted
            else:
                branches.add(node, total)
                contents = tree.contents[node.name]
                total[node.name] = sequence([total[inner.name] for inner in contents])
        if _runs_as_one(inside, executions):
            known[alike] = [total[node.name] for node in inside]
    return total, branches


def _why_unpriced(
    instruction: Instruction, alone: Cost | None, trips: Mapping[str, int | None]
) -> str | None:
    """Return why part of an instruction's cost is unknown."""
    opcode = instruction.opcode
    if opcode == "while":
        if trips[instruction.name] is None:
            return "loop whose trip count depends on data or is not understood; counted once"
    elif opcode == "custom-call" and alone is not None:
        if None in (alone.flops, alone.transcendentals, alone.bytes_read, alone.bytes_written):
            return why_unpriced(instruction.custom_call_target or "")
    elif instruction.collective is not None and alone is not None and alone.wire_bytes is None:
        return f"{opcode}: the module does not say to how many devices it sends how much"
    return None
