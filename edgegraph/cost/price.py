"""What every op of a module costs, nested ops included.

XLA prices each instruction alone, rules price custom calls. This module puts the prices
together: a container carries the sum of what runs inside it, a loop multiplies by its trips, of
a conditional the dearest branch counts, and the bytes that cross a fusion's border are credited
to the ops inside that use or make them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from edgegraph.bulk import bulk
from edgegraph.cost.arithmetic import Multiplies, elementwise, is_product, multiplies
from edgegraph.cost.branches import Branches
from edgegraph.cost.collectives import wire_bytes
from edgegraph.cost.cost import UNKNOWN, ZERO, Cost, sequence
from edgegraph.cost.custom_calls import price_custom_call, why_unpriced
from edgegraph.cost.executions import count_executions
from edgegraph.cost.fusion import Credit, credit_border
from edgegraph.cost.macs import macs
from edgegraph.cost.memory_spaces import MemorySpaces
from edgegraph.cost.trips import trip_counts
from edgegraph.cost.xla_price import XlaPrice, XlaPricer
from edgegraph.graph import FREE_OPCODES, Node
from edgegraph.hlo.module import Instruction, Module, Shape

WAITS = frozenset(
    {"all-gather-done", "all-reduce-done", "async-done", "async-update",
     "collective-permute-done", "copy-done", "recv-done", "send-done"}
)  # fmt: skip
"""Opcodes that wait for what another has started. All cost stands at the start; XLA counts the
bytes that have arrived once more."""

_ARRIVES_AT = {
    "all-gather-start": 1, "collective-permute-start": 1, "copy-start": 0, "recv": 0, "send": None
}  # fmt: skip
"""Which element of the result is the memory written to, of opcodes whose result also hands on
the memory read and words to wait on, which XLA counts as written too. None: the data leaves."""


class OpCost(Struct, frozen=True, kw_only=True, gc=False):
    """The cost of one node.

    Attributes:
        executions: How often it runs in one call of the program; None where that depends on
            the data (a loop without a known trip count, a branch of a conditional).
        cost: Of all executions together. In a loop of unknown length it is that of one
            iteration: a lower bound.
        computes: What it computes in, as the program says it.
        working_set_bytes: Bytes that its kernel touches in one execution.
        unpriced: Why some of its cost is unknown, or None.
        branches: Of a conditional, the cost of each branch if that is always taken, in XLA's
            order; `cost` has the largest of each figure. Empty for every other op.
        cheapest: Of a conditional, or of an op with one inside, the cost if the cheapest branch
            is always taken, figure by figure: it spreads from this to `cost`. Else None.
        traced: True where `executions` was counted in an op trace, so that it and `cost` hold
            for the traced arguments only.
    """

    executions: int | None
    cost: Cost
    computes: Multiplies
    working_set_bytes: int
    unpriced: str | None = None
    branches: tuple[Cost, ...] = ()
    cheapest: Cost | None = None
    traced: bool = False

    @property
    def dtype(self) -> str:
        """The dtype it computes in: of a product that of its operands, else of its result."""
        return self.computes.dtype


@bulk
def price_nodes(
    module: Module,
    nodes: Sequence[Node],
    traced: Mapping[tuple[str, str], int] | None = None,
) -> dict[str, OpCost]:
    """Price every node.

    Args:
        module: The module that `nodes` were flattened from.
        nodes: All nodes, containers before their contents.
        traced: How often a loop's computations ran in one call, from an op trace, by loop node
            and computation; used for loops of unknown length.

    Returns:
        The cost of every node by name, in the order of `nodes`. The cost of a container is the
        sum of its contents'; the nodes without parent add up to the program.
    """
    contents: dict[str, list[Node]] = {}
    for node in nodes:
        if node.parent is not None:
            contents.setdefault(node.parent, []).append(node)
    shapes = {node.name: node.instruction.shape for node in nodes}
    alone, kernel_bytes = _price_alone(module, nodes, shapes, contents)
    trips = trip_counts(module)
    executions = count_executions(nodes, trips, traced)
    loops = {loop for loop, _ in traced or ()}
    total: dict[str, Cost] = {}
    branches = Branches(contents)
    for node in reversed(nodes):
        inside = contents.get(node.name)
        if inside is None:
            total[node.name] = alone[node.name] * executions[node.name].counted
        else:
            branches.add(node, total)
            total[node.name] = sequence([total[inner.name] for inner in inside])
    result: dict[str, OpCost] = {}
    kernels = _Kernels(module, nodes)
    for node in nodes:
        name, cost = node.name, total[node.name]
        result[name] = OpCost(
            executions=executions[name].count,
            cost=cost,
            computes=kernels.multiplies(node, cost, shapes),
            working_set_bytes=kernel_bytes[name],
            unpriced=(
                None if name in loops else _why_unpriced(node.instruction, alone.get(name), trips)
            ),
            traced=executions[name].traced,
        )
    for name, cheapest in branches.cheapest.items():
        costs = branches.costs.get(name, ())
        result[name] = replace(result[name], branches=costs, cheapest=cheapest)
    return result


def _price_alone(
    module: Module,
    nodes: Sequence[Node],
    shapes: Mapping[str, Shape],
    contents: Mapping[str, Sequence[Node]],
) -> tuple[dict[str, Cost], dict[str, int]]:
    """Price one execution of every op that is no container, and the bytes of its kernel."""
    pricer = XlaPricer(module)
    alone: dict[str, Cost] = {}
    kernel_bytes: dict[str, int] = {}
    border: Credit = {}
    spaces = MemorySpaces(module)
    silent: set[str] = set()
    in_kernel: dict[str, int] = {}
    for node in nodes:
        name, instruction = node.name, node.instruction
        operands = [shapes[operand] for operand in node.operands]
        kernel = in_kernel.get(node.parent) if node.parent is not None else None
        if instruction.opcode == "fusion" and kernel is None:
            price = pricer.price(instruction.name)
            kernel = sum(price.operand_bytes) + price.output_bytes
            root = module.computations[instruction.called[0]].root
            border |= credit_border(node, contents, root, price, operands, spaces)
            silent |= _silent_ops(node, contents[name])
        if kernel is not None:
            in_kernel[name] = kernel
        if name in contents:
            kernel_bytes[name] = kernel or 0
            continue
        crossing = None if kernel is None else border.get(name, (0, 0, 0))
        if instruction.opcode == "custom-call":
            cost = _price_call(instruction, operands, crossing, spaces)
        elif name in silent or _is_free(instruction, inside_kernel=kernel is not None):
            cost = ZERO if crossing is None else _moving(ZERO, crossing)
        else:
            price = pricer.price(instruction.name)
            moved = crossing or _moved(instruction, operands, price, spaces)
            sends = instruction.collective is not None
            products = macs(instruction, operands)
            steps = _steps(instruction, operands)
            cost = Cost(
                macs=products,
                bytes_read=moved[0],
                bytes_written=moved[1],
                on_chip_bytes=moved[2],
                # XLA takes the groups of a ragged-dot for a dimension that it is summed over.
                flops=2 * products if instruction.opcode == "ragged-dot" else price.flops * steps,
                transcendentals=price.transcendentals * steps,
                wire_bytes=wire_bytes(instruction, operands, module) if sends else 0,
            )
        alone[name] = cost
        kernel_bytes[name] = (
            (cost.bytes_read or 0) + (cost.bytes_written or 0) if kernel is None else kernel
        )
    return alone, kernel_bytes


def _moved(
    instruction: Instruction, operands: Sequence[Shape], price: XlaPrice, spaces: MemorySpaces
) -> tuple[int, int, int]:
    """Give the bytes that an op outside of a fusion reads and writes, and those on the chip."""
    arrives = _ARRIVES_AT.get(instruction.opcode, -1)
    reads = [operand.bytes for operand in operands]
    written, result = 0, instruction.shape
    if arrives is not None:
        if 0 <= arrives < len(instruction.shape.elements):
            result = instruction.shape.elements[arrives]
            written = result.bytes
        else:
            reads, written = [*price.operand_bytes], price.output_bytes
    on_chip = spaces.sum(reads, operands) + spaces.on_chip(written, result)
    return sum(reads), written, on_chip


def _moving(cost: Cost, crossing: tuple[int, int, int]) -> Cost:
    """Give a cost the bytes that cross a fusion's border."""
    read, written, on_chip = crossing
    return replace(cost, bytes_read=read, bytes_written=written, on_chip_bytes=on_chip)


def _steps(instruction: Instruction, operands: Sequence[Shape]) -> int:
    """Say how often XLA's price of an op is due: a scan runs its function along an axis."""
    if instruction.opcode != "scan":
        return 1
    return operands[0].dimensions[instruction.dimensions[0]]


def _price_call(
    call: Instruction,
    operands: Sequence[Shape],
    crossing: tuple[int, int, int] | None,
    spaces: MemorySpaces,
) -> Cost:
    """Price a custom call by its rule; inside a fusion, what crosses the border is moved."""
    cost = price_custom_call(call, operands) or UNKNOWN
    if crossing is not None:
        return _moving(cost, crossing)
    if not spaces.placed or cost.bytes_read is None or cost.bytes_written is None:
        return cost
    on_chip = spaces.sum([operand.bytes for operand in operands], operands)
    on_chip += spaces.on_chip(call.shape.bytes, call.shape)
    return replace(cost, on_chip_bytes=min(on_chip, cost.bytes_read + cost.bytes_written))


def _is_free(instruction: Instruction, *, inside_kernel: bool) -> bool:
    """Say whether an op moves nothing; XLA writes the table of pointers of a tuple to memory."""
    if instruction.opcode == "tuple":
        return inside_kernel
    return instruction.opcode in FREE_OPCODES or instruction.opcode in WAITS


def _silent_ops(fusion: Node, inner: Sequence[Node]) -> set[str]:
    """Name the inner ops that XLA does not count.

    XLA costs a custom fusion that gathers or scatters as that one op: the rest of its body
    stands for indices that the kernel computes on the side.
    """
    movers = {"gather", "scatter"}
    if fusion.instruction.fusion_kind != "kCustom" or not any(
        node.instruction.opcode in movers for node in inner
    ):
        return set()
    return {node.name for node in inner if node.instruction.opcode not in movers}


class _Kernels:
    """Says what ops compute in, with a look at what stands beside a product in its fusion."""

    def __init__(self, module: Module, nodes: Sequence[Node]) -> None:
        self._module = module
        self._kinds = {
            node.name: node.instruction.fusion_kind
            for node in nodes
            if node.instruction.opcode == "fusion"
        }
        self._by_name: dict[str, Mapping[str, Instruction]] = {}

    def multiplies(self, node: Node, cost: Cost, shapes: Mapping[str, Shape]) -> Multiplies:
        """Say what a node that costs `cost` computes in."""
        instruction = node.instruction
        product = is_product(instruction)
        if not product and instruction.opcode != "custom-call":
            return elementwise(instruction.shape)
        kind = self._kinds.get(node.parent or "")
        return multiplies(
            instruction,
            [shapes[operand] for operand in node.operands],
            cost,
            self._beside(node) if product and node.parent in self._kinds else {},
            # XLA computes small products that it fuses into loops without units for matrices.
            element_by_element=kind == "kLoop",
        )

    def _beside(self, node: Node) -> Mapping[str, Instruction]:
        name = node.computation
        if name not in self._by_name:
            inside = self._module.computations[name].instructions
            self._by_name[name] = {instruction.name: instruction for instruction in inside}
        return self._by_name[name]


def _why_unpriced(
    instruction: Instruction, alone: Cost | None, trips: Mapping[str, int | None]
) -> str | None:
    """Say why part of an instruction's cost is unknown."""
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
